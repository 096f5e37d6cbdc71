//! What a language gives the request path, and what it gets from it.

/// The interpreter's lock. A wait inside [`Interpreter::unlocked`] lets other threads run.
pub trait Interpreter {
    /// Calls `wait`, which may block, with the interpreter released, and takes it back after.
    fn unlocked(&self, wait: &mut (dyn FnMut() + Send));

    /// Called after a wait was interrupted by a signal, on the main thread: runs the handlers
    /// that the app installed.
    fn signals(&self) {}
}
