//! Options of the interpreter and of what it loads.

/// Options that another test shows: name, and the function of the test.
pub(super) const ELSEWHERE: &[(&str, &str)] = &[];
