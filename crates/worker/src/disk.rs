//! Where files are waited for whose next bytes are not in memory: a few threads read ahead, so that the
//! I/O thread never waits for a disk. A file system that hangs costs these threads and the places of
//! those who ask for its files, nothing else. The I/O thread hands connections in and gets them back.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::signal::SigSet;

use crate::clock::Moment;

/// So many may wait in the kernel at one time.
const THREADS: usize = 4;
/// A thread without work ends after this.
const IDLE: Duration = Duration::from_secs(10);

/// Something that can wait for a disk, and who gets it back.
pub(crate) trait Work: Send + 'static {
    /// Waits in the kernel, maybe for ever.
    fn read_ahead(&mut self);
    fn go_back(self);
}

#[derive(Debug)]
pub(crate) struct Disk<T> {
    queue: Mutex<Queue<T>>,
    come: Condvar,
}

#[derive(Debug)]
struct Queue<T> {
    waiting: VecDeque<(Moment, T)>,
    threads: usize,
    idle: usize,
}

impl<T: Work> Disk<T> {
    pub(crate) fn new() -> Arc<Self> {
        let queue = Queue {
            waiting: VecDeque::new(),
            threads: 0,
            idle: 0,
        };
        Arc::new(Self {
            queue: Mutex::new(queue),
            come: Condvar::new(),
        })
    }

    /// Never blocks: who finds no thread waits here until `deadline`. It comes back at once where not
    /// even one thread can be started.
    pub(crate) fn hand(self: &Arc<Self>, work: T, deadline: Moment) -> Option<T> {
        let mut queue = self.lock();
        queue.waiting.push_back((deadline, work));
        if queue.waiting.len() <= queue.idle || queue.threads == THREADS {
            self.come.notify_one();
            return None;
        }
        queue.threads += 1;
        drop(queue);
        if self.start().is_ok() {
            return None;
        }
        let mut queue = self.lock();
        queue.threads -= 1;
        match queue.threads {
            0 => queue.waiting.pop_back().map(|(_, work)| work),
            _ => None,
        }
    }

    /// Those that no thread took in time.
    pub(crate) fn overdue(&self, now: Moment) -> Vec<T> {
        let mut queue = self.lock();
        let mut late = Vec::new();
        while let Some((deadline, _)) = queue.waiting.front()
            && *deadline <= now
        {
            late.extend(queue.waiting.pop_front().map(|(_, work)| work));
        }
        late
    }

    fn lock(&self) -> MutexGuard<'_, Queue<T>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// With every signal blocked, as the I/O thread that calls this.
    fn start(self: &Arc<Self>) -> std::io::Result<()> {
        let disk = Arc::clone(self);
        let before = SigSet::thread_get_mask()?;
        SigSet::all().thread_block()?;
        let started = std::thread::Builder::new()
            .name("imperator-disk".to_owned())
            .stack_size(256 * 1024)
            .spawn(move || disk.serve());
        before.thread_set_mask()?;
        started.map(|_| ())
    }

    fn serve(&self) {
        while let Some(mut work) = self.next() {
            work.read_ahead();
            work.go_back();
        }
    }

    fn next(&self) -> Option<T> {
        let mut queue = self.lock();
        loop {
            if let Some((_, work)) = queue.waiting.pop_front() {
                return Some(work);
            }
            queue.idle += 1;
            let woken = self.come.wait_timeout(queue, IDLE);
            let (again, timeout) = woken.unwrap_or_else(PoisonError::into_inner);
            queue = again;
            queue.idle -= 1;
            if timeout.timed_out() && queue.waiting.is_empty() {
                queue.threads -= 1;
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    const PATIENCE: Duration = Duration::from_secs(30);

    /// Hangs until somebody says go on.
    struct Hanging {
        name: u32,
        until: Option<mpsc::Receiver<()>>,
        reading: mpsc::Sender<u32>,
        back: mpsc::Sender<u32>,
    }

    impl Work for Hanging {
        fn read_ahead(&mut self) {
            let _ = self.reading.send(self.name);
            if let Some(until) = &self.until {
                let _ = until.recv_timeout(PATIENCE);
            }
        }

        fn go_back(self) {
            let _ = self.back.send(self.name);
        }
    }

    #[test]
    fn a_disk_that_hangs_holds_a_few_threads_and_who_waits_for_one_is_given_up_in_time() {
        let disk = Disk::new();
        let (reading, read) = mpsc::channel();
        let (back, came) = mpsc::channel();
        let mut releases = Vec::new();
        let mut hand = |name: u32, hangs: bool, deadline: u64| {
            let until = hangs.then(|| {
                let (release, until) = mpsc::channel();
                releases.push(release);
                until
            });
            let (reading, back) = (reading.clone(), back.clone());
            let work = Hanging {
                name,
                until,
                reading,
                back,
            };
            assert!(disk.hand(work, Moment(deadline)).is_none());
        };
        for name in 0..THREADS as u32 {
            hand(name, true, 1000);
        }
        let mut hanging: Vec<u32> = (0..THREADS)
            .map(|_| read.recv_timeout(PATIENCE).expect("a thread"))
            .collect();
        hanging.sort_unstable();
        assert_eq!(hanging, [0, 1, 2, 3]);
        // All threads are held: these two wait, and one of them not for long.
        hand(10, false, 2000);
        hand(11, false, 9000);
        assert!(disk.overdue(Moment(1999)).is_empty());
        let late = disk.overdue(Moment(2000));
        assert_eq!(late.iter().map(|it| it.name).collect::<Vec<_>>(), [10]);
        assert!(came.try_recv().is_err(), "nobody came back so far");
        drop(releases.swap_remove(0));
        let mut back: Vec<u32> = (0..2)
            .map(|_| came.recv_timeout(PATIENCE).expect("one that came back"))
            .collect();
        back.sort_unstable();
        assert_eq!(back, [0, 11]);
        drop(releases);
        for _ in 1..THREADS {
            came.recv_timeout(PATIENCE).expect("one that came back");
        }
    }
}
