//! What a language gives the request path, and what it gets from it.

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::PollFlags;

use crate::exchange::Exchange;
use crate::socket;

/// The interpreter's lock. A wait inside [`Interpreter::unlocked`] lets other threads run.
pub trait Interpreter {
    /// Calls `wait`, which may block, with the interpreter released, and takes it back after.
    fn unlocked(&self, wait: &mut (dyn FnMut() + Send));

    /// Waits until the socket can be read (or written), at most so long; `false`: it could not.
    fn wait(&self, socket: BorrowedFd<'_>, what: Readiness, patience: Duration) -> bool {
        let mut ready = false;
        self.unlocked(&mut || ready = socket::wait(socket, what.flags(), patience));
        ready
    }

    /// Whether other requests of this thread go on during [`Interpreter::wait`], and only then.
    fn is_cooperative(&self) -> bool {
        false
    }

    /// Called after a wait was interrupted by a signal, on the main thread: runs the handlers
    /// that the app installed.
    fn signals(&self) {}
}

/// What a socket is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    Read,
    Write,
}

impl Readiness {
    fn flags(self) -> PollFlags {
        match self {
            Self::Read => PollFlags::IN,
            Self::Write => PollFlags::OUT,
        }
    }
}

/// A loaded app.
pub trait App: Interpreter {
    /// Answers one request, on the thread that called [`crate::serve`], with the interpreter held.
    ///
    /// Whatever is not answered when this returns is ended by the caller: a head without a body is
    /// sent, an exchange without [`Exchange::start`] becomes a 500. The exchange may be kept, but
    /// all its methods then say `Ended`; the next request finds it in use and takes a new one.
    fn call(&self, exchange: &Arc<Exchange>);
}

/// What needs no interpreter: files and answers of ours.
pub(crate) struct Free;

impl Interpreter for Free {
    fn unlocked(&self, wait: &mut (dyn FnMut() + Send)) {
        wait();
    }
}
