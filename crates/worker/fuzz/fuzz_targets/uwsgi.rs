//! Any bytes as a packet of the uwsgi protocol: no panic, and what must hold of whatever is accepted.
//! The corpus beside it is replayed by an ordinary test in `src/entry.rs`.

#![no_main]

use imperator_worker::entry;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| entry::check_packet(bytes));
