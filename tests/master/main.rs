//! One app run by a master alone, `imperator app.ini`: real interpreters, sockets and signals.

mod apps;
mod failures;
mod identity;
mod lifecycle;
mod logs;
mod pid1;
mod recycle;
mod reload;
mod sockets;
mod stats;

#[path = "../support/mod.rs"]
mod support;
