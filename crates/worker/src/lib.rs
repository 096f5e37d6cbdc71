//! The request path, for any language: accept, read uwsgi or HTTP, call an [`app::App`], write.
//!
//! App threads ([`serve`]) accept and answer; one I/O thread per worker keeps everything that has
//! to wait, and hears the master.

pub mod app;
pub mod context;
#[cfg(any(test, feature = "entry"))]
pub mod entry;
pub mod errors;
pub mod exchange;
pub mod mount;
pub mod ready;
mod serve;
mod shape;
pub mod signals;

mod additions;
mod answer;
mod arrival;
mod body;
mod claim;
mod clock;
mod close;
mod connection;
mod crew;
mod deadlines;
mod disk;
mod front;
mod handover;
mod http;
mod io_thread;
mod kept;
mod lifecycle;
mod listener;
mod log;
mod memory;
mod pool;
mod records;
mod refusal;
mod request;
mod response;
mod routes;
mod sendfile;
mod sending;
mod socket;
mod static_files;
mod sys;
mod tls;
mod uwsgi;
mod waiting;

pub use app::{App, Interpreter, Readiness};
pub use connection::app_has_forked;
pub use context::{Parts, WorkerContext};
pub use crew::Told;
pub use deadlines::Language;
pub use errors::{BodyError, StartError, WriteError};
pub use exchange::Exchange;
pub use pool::{Pool, Taken, Turn};
pub use serve::serve;
pub use shape::same;
