//! One app: its listening sockets, its generations and their workers. Runs no app code.
//!
//! `app.rs` decides, purely; `effects.rs` and its neighbours act; `run.rs` is the loop between.

#![forbid(unsafe_code)]

mod alarms;
mod app;
mod backlog;
mod beside;
mod chronicle;
mod clock;
mod control;
mod effects;
mod event;
mod extension;
mod failure;
mod generation;
mod harakiri;
mod identity;
mod interpreter;
mod lines;
mod log;
mod modules;
mod obstacle;
mod oom;
mod pem;
mod pidfile;
mod prepare;
mod release;
mod resolve;
mod run;
mod scale;
mod sockets;
mod sources;
mod start;
mod stats;
mod status;
mod succession;
mod touched;
mod trial;
mod troubles;
mod watch;

pub use extension::check_extension;
pub use start::{run_alone, run_under_emperor};
pub use trial::{Imported, Trial, import, interpreter};
