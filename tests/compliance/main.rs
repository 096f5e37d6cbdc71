//! The same scenarios on the original and on ours. What differs on purpose has its row in
//! `docs/differences.md`; a difference without a row fails, and so does a row without one.

mod config;
mod environ;
mod lifecycle;
mod log;
mod options;
mod pair;
mod response;
mod shown;
mod static_files;
mod stats;
mod wire;

#[path = "../support/mod.rs"]
mod support;
