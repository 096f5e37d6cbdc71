//! One thread that answers many requests at a time, for a language with tasks of its own (gevent's
//! greenlets): it looks for requests without ever waiting, and each one has a seat until it ends.
//! The language waits for [`Pool::fd`], and in [`crate::Interpreter::wait`].

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use crate::context::WorkerContext;
use crate::exchange::Exchange;
use crate::serve::{AppThread, Found, Seat};

/// What a look found.
pub enum Turn {
    /// A request with a seat of its own, until [`Pool::end`].
    Request(Box<Taken>),
    /// Something was done that needs no app.
    Other,
    /// Nothing: wait for [`Pool::fd`].
    Nothing,
    /// Every seat is taken.
    Full,
    /// There will be no more; those that have a seat go on.
    Drained,
}

/// A request that is being answered.
pub struct Taken(Seat);

impl Taken {
    pub fn exchange(&self) -> &Arc<Exchange> {
        &self.0.exchange
    }

    /// Whether another task is in the middle of a call on this request: [`Pool::end`] would block
    /// the thread that both need.
    pub fn is_busy(&self) -> bool {
        self.0.exchange.is_busy()
    }
}

/// The thread, and the seats that are free.
pub struct Pool {
    /// Its own seat is only a place to put others in.
    thread: AppThread<'static>,
    worker: &'static Arc<WorkerContext>,
    free: Vec<Seat>,
    /// Seats that were made so far, and how many there may be.
    made: usize,
    most: usize,
}

impl Pool {
    /// With as many seats as the worker has cores. One pool per process: it never goes.
    pub fn join(worker: &Arc<WorkerContext>) -> Option<Self> {
        let most = worker.settings().cores();
        let worker: &'static Arc<WorkerContext> = Box::leak(Box::new(Arc::clone(worker)));
        Some(Self {
            thread: AppThread::join(worker, 0)?,
            worker,
            free: Vec::new(),
            made: 0,
            most,
        })
    }

    /// Readable when a look may find something.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.thread.set.as_fd()
    }

    /// Looks, and does not wait.
    pub fn look(&mut self) -> Turn {
        let Some(seat) = self.seat() else {
            return Turn::Full;
        };
        let place = std::mem::replace(&mut self.thread.seat, seat);
        let mut found = self.thread.look();
        if found == Some(Found::Nothing) {
            // What woke us is taken before the last look: what comes after it wakes us again.
            self.thread.hush();
            found = self.thread.look();
        }
        let mut seat = std::mem::replace(&mut self.thread.seat, place);
        if found == Some(Found::Request) {
            seat.called = true;
            return Turn::Request(Box::new(Taken(seat)));
        }
        self.free.push(seat);
        match found {
            Some(Found::Nothing) => Turn::Nothing,
            Some(Found::Other | Found::Request) => Turn::Other,
            None => Turn::Drained,
        }
    }

    /// The app has answered. What it left unsaid is sent, then the seat is free.
    pub fn end(&mut self, taken: Taken) {
        let place = std::mem::replace(&mut self.thread.seat, taken.0);
        self.thread.free_seat();
        let seat = std::mem::replace(&mut self.thread.seat, place);
        self.free.push(seat);
    }

    fn seat(&mut self) -> Option<Seat> {
        if let Some(seat) = self.free.pop() {
            return Some(seat);
        }
        if self.made >= self.most {
            return None;
        }
        self.made += 1;
        Some(Seat::new(self.worker, self.made - 1))
    }
}
