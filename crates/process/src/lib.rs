//! The Unix layer: spawn, double fork, child set-up, descriptors, signals, reaping, privileges and
//! the poll loop. Knows no word of uWSGI.

pub mod access;
pub mod as_user;
pub mod channel;
pub mod documents;
pub mod elsewhere;
pub mod estate;
pub mod fds;
pub mod fork;
pub mod held;
pub mod image;
pub mod inotify;
pub mod limits;
pub mod local_time;
pub mod lock;
pub mod mask;
pub mod memory;
pub mod poll;
pub mod privileges;
pub mod reap;
pub mod shared;
pub mod signals;
pub mod spawn;
pub mod time;
pub mod title;
