//! What a language gives the request path, and what it gets from it.

use std::sync::Arc;

use crate::exchange::Exchange;

/// The interpreter's lock. A wait inside [`Interpreter::unlocked`] lets other threads run.
pub trait Interpreter {
    /// Calls `wait`, which may block, with the interpreter released, and takes it back after.
    fn unlocked(&self, wait: &mut (dyn FnMut() + Send));

    /// Called after a wait was interrupted by a signal, on the main thread: runs the handlers
    /// that the app installed.
    fn signals(&self) {}
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
