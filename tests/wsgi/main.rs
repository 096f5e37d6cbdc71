//! The Python side with real processes: PEP 3333 on every interpreter found, over both protocols,
//! and what apps that cannot be loaded get.

#![expect(
    clippy::disallowed_methods,
    reason = "clients that wait for an answer while the test asks on run on threads of their own"
)]

mod answers;
mod callables;
mod crew;
mod deadlines;
mod developing;
mod files;
mod greenlets;
mod harness;
mod input;
mod loading;
mod names;
mod process;
mod requests;
mod uwsgi_module;

#[path = "../support/mod.rs"]
mod support;
