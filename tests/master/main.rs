//! One app run by a master alone, `imperator app.ini`: real interpreters, sockets and signals.
#![expect(
    clippy::disallowed_methods,
    reason = "tests stand at the edge: they read clocks and run threads"
)]

mod apps;
mod beside;
mod draining;
mod failures;
mod flight;
mod generations;
mod identity;
mod lifecycle;
mod logs;
mod pid1;
mod recycle;
mod releases;
mod reload;
mod scaling;
mod sockets;
mod stats;
mod virtualenv;

#[path = "../support/mod.rs"]
mod support;
