//! The request path, for any language: accept, read uwsgi or HTTP, call an [`app::App`], write.

pub mod app;
pub mod context;
pub mod exchange;
pub mod mount;
pub mod signals;

pub use context::{Parts, WorkerContext};
pub use exchange::{BodyError, Exchange, StartError, WriteError};

/// The loop of one app thread. Call it with the interpreter held, on the main thread with core 0
/// and on one more thread per core; returns when the worker has drained.
pub fn serve(_worker: &WorkerContext, _core: usize, _app: &impl app::App) {
    todo!()
}
