//! The Unix layer: spawn, double fork, child set-up, descriptors, signals, reaping, privileges and
//! the poll loop. Knows no word of uWSGI.

pub mod channel;
pub mod fds;
pub mod shared;
