//! Any bytes as a config in json, yaml or xml (the first byte chooses): no panic, options with their
//! lines or a reason. The corpus beside it is replayed by an ordinary test in `tests/ini_corpus.rs`.

#![no_main]

#[path = "../../tests/common/ini_entry.rs"]
mod ini_entry;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| ini_entry::check_carrier(bytes));
