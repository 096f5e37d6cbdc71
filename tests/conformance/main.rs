//! One table of WSGI's rules, asked on every Python that is found and over every way to a worker; the
//! original, where it keeps the rule; `wsgiref.validate` around real frameworks; HTTP/1.1 as front ends
//! use it; and bodies that are larger than anybody's memory.

mod bulk;
mod cases;
mod frameworks;
mod keepalive;
mod standing;
mod ways;

#[expect(
    dead_code,
    reason = "of the WSGI tests' harness only the start is used here"
)]
#[path = "../wsgi/harness.rs"]
mod harness;
#[path = "../support/mod.rs"]
mod support;
