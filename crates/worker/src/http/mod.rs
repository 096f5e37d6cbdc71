//! HTTP/1.1 as the workers of http-socket and http speak it. Pure.

pub(crate) mod chunked;
pub(crate) mod head;

use crate::refusal::Refusal;
use crate::request::{Limits, Request};

/// How far a chunked body is that should be decoded before the app is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chunks {
    Whole,
    More,
    /// Longer than what we wait for: the app gets it chunk by chunk.
    TooLong,
}

pub(crate) fn whole_chunks(_request: &mut Request, _limits: &Limits) -> Result<Chunks, Refusal> {
    todo!()
}
