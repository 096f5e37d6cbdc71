//! Any words as a command line, one a line: no panic, a result or a reason, and the words that the
//! config reads end. The corpus beside it is replayed by an ordinary test in `tests/ini_corpus.rs`.

#![no_main]

#[path = "../../tests/common/ini_entry.rs"]
mod ini_entry;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| ini_entry::check_line(bytes));
