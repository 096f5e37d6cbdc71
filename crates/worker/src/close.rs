//! The ways a connection leaves an app thread: closed, kept, parked, refused. None of them blocks.

use std::io::IoSlice;
use std::os::fd::OwnedFd;

use crate::additions::Dress;
use crate::answer::Answer;
use crate::clock::Moment;
use crate::connection::Connection;
use crate::context::WorkerContext;
use crate::handover::{Wait, Waiting};
use crate::refusal::Refusal;
use crate::request::Request;
use crate::sending::{Sending, Then};
use crate::socket::{self, Read};

/// What a client still sends after its answer is read at once up to this much.
const DRAIN_BYTES: usize = 256 * 1024;
const DRAIN_STEP: usize = 16 * 1024;

/// Hands a connection to the I/O thread, or refuses it when too many wait there.
pub(crate) fn park(worker: &WorkerContext, connection: Connection, request: Request, wait: Wait) {
    // A kept connection may end at any time; the client asks again on a new one.
    let is_idle = matches!(wait, Wait::Idle);
    if worker.hold() || (!is_idle && worker.hold_soon()) {
        worker.hand_over(Waiting {
            connection,
            request,
            wait,
        });
        return;
    }
    if is_idle {
        return;
    }
    let refusal = Refusal::too_many_waiting();
    worker.count_refusal(&refusal);
    send_refusal(
        &connection.socket,
        &refusal,
        &worker.dress,
        request.head_only,
    );
}

/// Answers without the app. The client may still be sending: closing at once could destroy the
/// answer.
pub(crate) fn refuse(
    worker: &WorkerContext,
    connection: Connection,
    refusal: &Refusal,
    head_only: bool,
) {
    send_refusal(&connection.socket, refusal, &worker.dress, head_only);
    linger(worker, connection);
}

/// One try: a peer that cannot take a few hundred bytes at the start of its connection does not
/// read at all.
pub(crate) fn send_refusal(socket: &OwnedFd, refusal: &Refusal, dress: &Dress, head_only: bool) {
    let answer = refusal.bytes(dress, head_only);
    let mut parts = [IoSlice::new(&answer)];
    let _ = socket::send(socket, &mut &mut parts[..]);
}

/// The app has answered.
pub(crate) fn after_answer(
    worker: &WorkerContext,
    mut connection: Connection,
    request: &Request,
    answer: &mut Answer,
    now: Moment,
) {
    connection.requests += 1;
    if let Some(sending) = answer.rest.take() {
        return send_rest(worker, connection, request, answer, sending);
    }
    if answer.response.needs_reset() {
        // Over TCP; a Unix socket has no reset of this kind.
        let now = Some(std::time::Duration::ZERO);
        let _ = rustix::net::sockopt::set_socket_linger(&connection.socket, now);
        return;
    }
    let unreceived = answer.body.unreceived(request);
    if unreceived == Some(0) {
        if answer.response.keep_alive && !answer.write_failed() && !worker.is_draining() {
            let leftover = answer.body.leftover(request);
            if leftover.is_empty() {
                return worker.keep(connection, now);
            }
            // The client did not wait for its answer: whoever has waited comes first.
            let mut next = Request::new(0);
            next.clear(connection.protocol);
            next.buffer.extend_from_slice(leftover);
            park(worker, connection, next, Wait::Idle);
        }
        return;
    }
    if answer.write_failed() {
        return;
    }
    if !read_away(&connection.socket, unreceived) {
        linger(worker, connection);
    }
}

/// The I/O thread sends the rest of a file; its place is held already.
fn send_rest(
    worker: &WorkerContext,
    connection: Connection,
    request: &Request,
    answer: &Answer,
    mut sending: Sending,
) {
    let mut next = Request::new(0);
    next.clear(connection.protocol);
    sending.then = match answer.body.unreceived(request) {
        Some(0) if answer.response.keep_alive => {
            next.buffer.extend_from_slice(answer.body.leftover(request));
            Then::Next
        }
        Some(0) => Then::Close,
        Some(_) | None => Then::Linger,
    };
    worker.hand_over(Waiting {
        connection,
        request: next,
        wait: Wait::Send(sending),
    });
}

/// Reads what is there of an unread body; `true` when that was all of it.
fn read_away(socket: &OwnedFd, unreceived: Option<u64>) -> bool {
    let mut left = unreceived.unwrap_or(u64::MAX);
    let mut bytes = Vec::with_capacity(DRAIN_STEP);
    for _ in 0..DRAIN_BYTES / DRAIN_STEP {
        bytes.clear();
        match socket::receive(socket, &mut bytes) {
            Read::Bytes(read) => left = left.saturating_sub(read as u64),
            Read::End => return true,
            Read::Nothing => return false,
        }
        if left == 0 {
            return true;
        }
    }
    false
}

/// Says "no more from us", and lets the I/O thread wait for the client's end.
fn linger(worker: &WorkerContext, connection: Connection) {
    let _ = rustix::net::shutdown(&connection.socket, rustix::net::Shutdown::Write);
    if worker.hold() {
        let request = Request::new(0);
        worker.hand_over(Waiting {
            connection,
            request,
            wait: Wait::Linger,
        });
    }
}
