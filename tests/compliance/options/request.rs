//! Options of requests, answers and static files.

/// Options that another test shows: name, and the function of the test.
pub(super) const ELSEWHERE: &[(&str, &str)] = &[];
