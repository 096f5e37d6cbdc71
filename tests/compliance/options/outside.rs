//! Options that act outside of requests: hooks, daemons, cron, files that are watched or written.

/// Options that another test shows: name, and the function of the test.
pub(super) const ELSEWHERE: &[(&str, &str)] = &[];
