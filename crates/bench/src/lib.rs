//! Load for uwsgi and HTTP sockets on this machine, and the same load on ours and the original in
//! turn. Every answer is checked; every wait has a deadline; nothing is started that is not ended.

#![forbid(unsafe_code)]

pub mod answer;
pub mod clock;
pub mod compare;
pub mod configs;
pub mod cpu;
pub mod floor;
pub mod histogram;
pub mod lifecycle;
pub mod load;
pub mod memory;
pub mod programs;
pub mod report;
pub mod request;
pub mod server;
pub mod soak;
pub mod suite;
pub mod target;
