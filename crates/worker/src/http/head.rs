//! The head.

use std::net::SocketAddr;

use crate::refusal::Refusal;
use crate::request::{Limits, Request};
use crate::uwsgi::Progress;

/// What the connection adds to a request's variables.
pub(crate) struct Local<'a> {
    pub(crate) hostname: &'a str,
    pub(crate) port: &'a str,
    pub(crate) peer: Option<SocketAddr>,
    /// http-keepalive is set.
    pub(crate) keep_alive: bool,
}

pub(crate) fn parse(
    _request: &mut Request,
    _limits: &Limits,
    _local: &Local<'_>,
) -> Result<Progress, Refusal> {
    todo!()
}
