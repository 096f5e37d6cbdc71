//! The Python stacks of molds and workers: asked for by a signal, written by faulthandler into a
//! file in memory, read and told by the master.

use std::fs::File;
use std::io::{self, Seek};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::time::Duration;

use imperator_core::counters::{Core, Counters, Worker};
use imperator_process::{shared, signals};

use super::{Child, Effects};
use crate::clock;
use crate::event::ProcessId;

/// What was written is read after this, and when nothing more comes; or at the latest then.
const QUIET: u64 = 100;
const LATEST: u64 = 1000;
/// What was asked for is told for so long.
const SHOWN: u64 = 5_000;
/// No more workers than this are asked at once.
const ASKED_MOST: usize = 8;
/// What one answer may be long.
const MOST: usize = 64 * 1024;
/// A file of this length begins anew.
const FULL: u64 = 1024 * 1024;
/// How often is looked whether stacks are there.
pub(crate) const LOOK: Duration = Duration::from_millis(50);

/// A file that its process writes to. Both have the same open file: its place is shared.
#[derive(Debug)]
pub(crate) struct Stacks {
    file: File,
    read: u64,
    asked: Option<u64>,
    length: u64,
    /// What it wrote last.
    pub last: String,
}

impl Stacks {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            file: shared::text("imperator-stacks", b"")?.into(),
            read: 0,
            asked: None,
            length: 0,
            last: String::new(),
        })
    }

    /// They are on their way.
    pub(crate) fn expect(&mut self, now: u64) {
        self.asked.get_or_insert(now);
    }

    pub(crate) fn is_expected(&self) -> bool {
        self.asked.is_some()
    }

    fn now_long(&self) -> u64 {
        self.file.metadata().map_or(0, |it| it.len())
    }

    fn is_due(&mut self, now: u64) -> bool {
        let Some(asked) = self.asked else {
            return false;
        };
        let length = self.now_long();
        let rests = length > self.read && length == self.length;
        self.length = length;
        let waited = now.saturating_sub(asked);
        waited >= LATEST || (rests && waited >= QUIET)
    }

    /// What was written since the last time.
    fn take(&mut self) -> String {
        self.asked = None;
        let length = self.now_long();
        let wanted = usize::try_from(length.saturating_sub(self.read)).unwrap_or(MOST);
        let mut bytes = vec![0; wanted.min(MOST)];
        let read = self.file.read_at(&mut bytes, self.read).unwrap_or(0);
        bytes.truncate(read);
        self.read = length;
        if length > FULL && self.file.set_len(0).is_ok() && self.file.rewind().is_ok() {
            (self.read, self.length) = (0, 0);
        }
        let text = String::from_utf8_lossy(&bytes);
        text.chars()
            .filter(|it| *it == '\n' || !it.is_control())
            .collect()
    }
}

impl AsFd for Stacks {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn has_begun(counters: Counters<'_>) -> bool {
    let pulse = counters.worker(Worker::HeartbeatMillis);
    pulse.load(std::sync::atomic::Ordering::Relaxed) != 0
}

impl Child {
    /// Whether somebody asked a moment ago what it does.
    pub(crate) fn is_shown(&self, now: u64) -> bool {
        self.shown_since
            .is_some_and(|since| now.saturating_sub(since) < SHOWN)
    }
}

impl Effects {
    /// As [`Effects::ask_for_stacks`], for the status and not for the log.
    pub(crate) fn ask_quietly(&mut self, process: ProcessId) {
        let Some(child) = self.children.get_mut(&process) else {
            return;
        };
        let is_quiet = !child.stacks.is_expected() || child.is_asked_quietly;
        self.ask_for_stacks(process);
        if let Some(child) = self.children.get_mut(&process) {
            child.is_asked_quietly = is_quiet;
        }
    }

    /// Somebody asks what the app does: where no thread is free, the workers with the oldest
    /// requests write it. Nobody waits for that.
    pub(crate) fn ask_what_is_done(&mut self) {
        let troubles = &self.troubles;
        if troubles.capacity == 0 || troubles.occupied < troubles.capacity {
            return;
        }
        let mut oldest: Vec<u32> = Vec::new();
        for running in &troubles.running {
            if !oldest.contains(&running.worker) {
                oldest.push(running.worker);
            }
        }
        oldest.truncate(ASKED_MOST);
        let now = clock::monotonic_millis();
        let mut asked = Vec::new();
        for (&process, child) in &mut self.children {
            // One that loads would write into the app's log.
            let words = child.counters.as_ref();
            let counters = words.and_then(|words| Counters::open(words.words()));
            let begun = counters.is_some_and(has_begun);
            if !begun || !child.worker.is_some_and(|it| oldest.contains(&it)) {
                continue;
            }
            if child.stuck.is_none() && !child.stacks.is_expected() {
                child.stacks.last.clear();
            }
            child.shown_since = Some(now);
            asked.push(process);
        }
        for process in asked {
            self.ask_quietly(process);
        }
    }

    /// Has a process write its stacks: its oldest request's thread is asked, else whichever hears
    /// it. They are told when they are there.
    pub(crate) fn ask_for_stacks(&mut self, process: ProcessId) {
        let Some(child) = self.children.get_mut(&process) else {
            return;
        };
        let Some(pid) = child.pid else {
            return;
        };
        let words = child.counters.as_ref();
        let counters = words.and_then(|words| Counters::open(words.words()));
        let busy = counters.and_then(|counters| {
            let word = |core, word| {
                let word = counters.core(core, word);
                word.load(std::sync::atomic::Ordering::Relaxed)
            };
            let busy = |core: &usize| word(*core, Core::StartMillis) != 0;
            let oldest = (0..counters.cores()).filter(busy);
            let oldest = oldest.min_by_key(|&core| word(core, Core::StartMillis))?;
            i32::try_from(word(oldest, Core::Tid)).ok()
        });
        let begun = counters.is_some_and(has_begun);
        // It is for the log, too, if somebody else asked quietly before.
        child.is_asked_quietly = false;
        // What still loads writes into the app's log, where its failure is looked for.
        if begun {
            child.stacks.expect(clock::monotonic_millis());
        }
        let signal = signals::stack_dump();
        // What is interrupted is the request that is to be seen.
        let sent = busy.is_some_and(|tid| signals::send_thread(pid, tid, signal).is_ok());
        if !sent {
            let _ = signals::send(pid, signal);
        }
    }

    /// Tells what has been written.
    pub(crate) fn look_for_stacks(&mut self) {
        let now = clock::monotonic_millis();
        let due: Vec<_> = self
            .children
            .iter_mut()
            .filter_map(|(&process, child)| child.stacks.is_due(now).then_some(process))
            .collect();
        for process in due {
            self.tell_stacks(process);
        }
    }

    pub(super) fn tell_stacks(&mut self, process: ProcessId) {
        let Some(child) = self.children.get_mut(&process) else {
            return;
        };
        let text = child.stacks.take();
        let pid = child.pid.unwrap_or_default();
        let who = match child.worker {
            Some(worker) => format!("worker {worker} (pid {pid})"),
            None => format!("the mold (pid {pid})"),
        };
        let quietly = std::mem::take(&mut child.is_asked_quietly);
        if text.is_empty() {
            let text = format!("{who} has written no Python stacks: it hangs in the kernel");
            child.stacks.last.clone_from(&text);
            // Who asks again and again is told each time; the log is told once.
            if !quietly || child.stuck.is_some() && child.shown_since.is_none() {
                self.log.note(&text);
            }
            return;
        }
        child.stacks.last.clone_from(&text);
        if quietly {
            return;
        }
        self.log.note(&format!("Python stacks of {who}:"));
        for line in text.lines() {
            self.log.note(line);
        }
    }

    /// Whether somebody waits for stacks.
    pub(crate) fn expects_stacks(&self) -> bool {
        self.children.values().any(|it| it.stacks.is_expected())
    }
}
