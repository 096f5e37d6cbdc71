//! Looks at files whose file system may hang: a thread looks, and who asks waits for it a moment only.
//! What does not answer is not asked again until its thread comes back; all else is.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::time::Duration;

use crate::mask::SignalMask;

/// A disk that is merely slow answers within this.
const PATIENCE: Duration = Duration::from_secs(1);
/// While something hangs already, the next one is not waited for so long: they may all hang.
const SHORT: Duration = Duration::from_millis(50);
/// So many threads may wait in the kernel; then nothing new is asked.
const MOST: usize = 64;
const STACK_BYTES: usize = 256 * 1024;

type Task = Box<dyn FnOnce() + Send>;

#[derive(Debug, Default)]
pub struct Elsewhere {
    /// The thread that takes the next task.
    idle: Option<Sender<Task>>,
    hanging: Vec<Hanging>,
}

#[derive(Debug)]
struct Hanging {
    key: PathBuf,
    came_back: Arc<AtomicBool>,
}

impl Elsewhere {
    /// Runs `look` in another thread; `None`: it hangs, or an earlier one with this key still does.
    pub fn ask<T: Send + 'static>(
        &mut self,
        key: &Path,
        look: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        if self.hangs(key) || self.hanging.len() >= MOST {
            return None;
        }
        let patience = match self.hanging.is_empty() {
            true => PATIENCE,
            false => SHORT,
        };
        let (tell, told) = mpsc::sync_channel(1);
        let came_back = Arc::new(AtomicBool::new(false));
        let back = Arc::clone(&came_back);
        self.hand(Box::new(move || {
            let found = look();
            back.store(true, Ordering::Release);
            // Who asked may have gone on.
            let _ = tell.send(found);
        }));
        let answer = told.recv_timeout(patience).ok();
        if answer.is_none() {
            // It ends when it comes back.
            self.idle = None;
            self.hanging.push(Hanging {
                key: key.to_owned(),
                came_back,
            });
        }
        answer
    }

    /// Whether a look at this is still out.
    pub fn hangs(&mut self, key: &Path) -> bool {
        self.hanging
            .retain(|it| !it.came_back.load(Ordering::Acquire));
        self.hanging.iter().any(|it| it.key == key)
    }

    fn hand(&mut self, task: Task) {
        let task = match &self.idle {
            Some(idle) => match idle.send(task) {
                Ok(()) => return,
                Err(mpsc::SendError(task)) => task,
            },
            None => task,
        };
        let (idle, tasks) = mpsc::channel::<Task>();
        // A signal is for the thread that waits for signals.
        let mask = SignalMask::block_all();
        let started = std::thread::Builder::new()
            .name("imperator-look".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || {
                while let Ok(task) = tasks.recv() {
                    task();
                }
            });
        mask.restore();
        match started {
            Ok(_) => {
                // It receives until this end goes.
                let _ = idle.send(task);
                self.idle = Some(idle);
            }
            // Without a thread there is only this one.
            Err(_) => task(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hangs_is_asked_again_when_it_came_back_and_the_others_meanwhile() {
        let mut elsewhere = Elsewhere::default();
        let (release, hold) = mpsc::channel::<()>();
        let (slow, quick) = (Path::new("/slow"), Path::new("/quick"));
        assert_eq!(elsewhere.ask(slow, || 1), Some(1));
        let hanging = elsewhere.ask(slow, move || hold.recv().is_ok());
        assert_eq!(hanging, None);
        assert!(elsewhere.hangs(slow));
        assert_eq!(elsewhere.ask(slow, || 2), None, "it is not asked twice");
        // Not the first time where this machine is busier than the short patience.
        let again = (0..200).find_map(|_| elsewhere.ask(quick, || 3));
        assert_eq!(again, Some(3));
        drop(release);
        let deadline = Duration::from_millis(10);
        let back = (0..2000).find_map(|_| {
            let (_nobody, wait) = mpsc::channel::<()>();
            let _ = wait.recv_timeout(deadline);
            elsewhere.ask(slow, || 4)
        });
        assert_eq!(back, Some(4));
    }
}
