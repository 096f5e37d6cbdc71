//! What app threads and the I/O thread pass to each other: whole requests one way, connections that
//! wait the other way. Both directions are bounded by one count.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use rustix::event::EventfdFlags;

use crate::connection::Connection;
use crate::request::Request;
use crate::sending::Sending;

/// Connections of one worker that wait for their request or for an app thread, at most. Each costs
/// a descriptor and up to buffer-size of memory.
pub(crate) const MAX_WAITING: usize = 4096;

/// A whole request.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) connection: Connection,
    pub(crate) request: Request,
    pub(crate) spooled: Option<File>,
}

/// Why a connection waits.
#[derive(Debug)]
pub(crate) enum Wait {
    /// For the head of its first request.
    Head,
    /// For the next request of a kept HTTP connection; bytes of it may be in the buffer.
    Idle,
    /// For the rest of a short body.
    Body,
    /// For the rest of a long body, into a file.
    Spool { file: File, left: u64 },
    /// For the rest of a short chunked body.
    Chunks,
    /// For the client to take the rest of a file.
    Send(Sending),
    /// For the client's end, after the answer: closing before what it still sends is read would
    /// destroy the answer on its way (RST).
    Linger,
}

#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) connection: Connection,
    pub(crate) request: Request,
    pub(crate) wait: Wait,
}

/// The two queues.
#[derive(Debug)]
pub(crate) struct Handover {
    jobs: Mutex<VecDeque<Job>>,
    jobs_waiting: AtomicUsize,
    /// A semaphore: one count per job, so that one app thread wakes for each.
    pub(crate) jobs_event: OwnedFd,
    inbox: Mutex<Vec<Waiting>>,
    /// Connections that the I/O thread was handed and has not taken in.
    arriving: AtomicUsize,
    turn: Condvar,
    /// Wakes the I/O thread.
    pub(crate) wake: OwnedFd,
    /// Connections between accept and close that no app thread has.
    held: AtomicUsize,
    pub(crate) places: usize,
}

impl Handover {
    /// `places`: how many connections may wait.
    pub(crate) fn new(places: usize) -> io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        Ok(Self {
            jobs: Mutex::default(),
            jobs_waiting: AtomicUsize::new(0),
            jobs_event: rustix::event::eventfd(0, flags | EventfdFlags::SEMAPHORE)?,
            inbox: Mutex::default(),
            arriving: AtomicUsize::new(0),
            turn: Condvar::new(),
            wake: rustix::event::eventfd(0, flags)?,
            held: AtomicUsize::new(0),
            places,
        })
    }

    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Acquire)
    }

    /// Idle kept connections leave a quarter of the places to those that ask something.
    pub(crate) fn is_crowded(&self) -> bool {
        self.held() > self.places - self.places / 4
    }

    /// Takes a place among the waiting; `false`: all are taken.
    pub(crate) fn hold(&self) -> bool {
        self.held
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |held| {
                (held < self.places).then_some(held + 1)
            })
            .is_ok()
    }

    /// Waits until the I/O thread has taken in one of those that it was handed, or so long; `false`:
    /// it has them all.
    pub(crate) fn wait_for_turn(&self, longest: Duration) -> bool {
        let inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        if self.arriving.load(Ordering::Acquire) == 0 {
            return false;
        }
        let _ = self.turn.wait_timeout(inbox, longest);
        true
    }

    /// The I/O thread has taken in one of those that it was handed.
    pub(crate) fn arrived(&self) {
        self.arriving.fetch_sub(1, Ordering::AcqRel);
        self.turn.notify_one();
    }

    /// Gives a place back; `true` when it was the last one taken.
    pub(crate) fn release(&self) -> bool {
        self.held.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// Hands a connection to the I/O thread; its place is taken with [`Handover::hold`] before.
    pub(crate) fn park(&self, waiting: Waiting) {
        self.arriving.fetch_add(1, Ordering::AcqRel);
        self.inbox
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(waiting);
        ring(&self.wake);
    }

    pub(crate) fn take_parked(&self) -> Vec<Waiting> {
        std::mem::take(&mut *self.inbox.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Hands a whole request to an app thread. It keeps its place until it is popped.
    pub(crate) fn push(&self, job: Job) {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.push_back(job);
        self.jobs_waiting.store(jobs.len(), Ordering::Release);
        // Under the lock, so that counts and jobs are always the same number.
        ring(&self.jobs_event);
    }

    /// Without a system call when there is none.
    pub(crate) fn pop(&self) -> Option<Job> {
        if self.jobs_waiting.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let job = jobs.pop_front()?;
        self.jobs_waiting.store(jobs.len(), Ordering::Release);
        hush(&self.jobs_event);
        Some(job)
    }
}

/// Adds one to an eventfd. It cannot overflow: nobody counts to 2^64.
pub(crate) fn ring(event: &OwnedFd) {
    let _ = rustix::io::write(event, &1u64.to_ne_bytes());
}

/// Takes one from a semaphore, or everything from another eventfd.
pub(crate) fn hush(event: &OwnedFd) {
    let _ = rustix::io::read(event, &mut [0u8; 8]);
}
