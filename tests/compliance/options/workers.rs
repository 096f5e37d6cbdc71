//! Options of processes: how many, how long, with which limits.

/// Options that another test shows: name, and the function of the test.
pub(super) const ELSEWHERE: &[(&str, &str)] = &[];
