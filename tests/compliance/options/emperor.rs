//! Options of the emperor.

/// Options that another test shows: name, and the function of the test.
pub(super) const ELSEWHERE: &[(&str, &str)] = &[];
