//! The request path with a Rust app behind real sockets; no Python.

#![expect(
    clippy::disallowed_methods,
    reason = "tests read the clock for their deadlines and run clients in threads"
)]

mod answers;
mod files;
mod framing;
mod http;
mod kept;
mod lifecycle;
mod support;
mod tls;
mod uwsgi;
