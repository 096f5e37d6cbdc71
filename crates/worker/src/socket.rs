//! Calls on one connection: never blocking, never a signal, each wait with a deadline.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, SocketFlags};

/// A connection, without waiting for one.
pub(crate) fn accept(listener: impl AsFd) -> rustix::io::Result<OwnedFd> {
    rustix::net::accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)
}

/// As [`accept`], with the peer's address; `None` on a Unix socket.
pub(crate) fn accept_from(
    listener: impl AsFd,
) -> rustix::io::Result<(OwnedFd, Option<SocketAddr>)> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let (socket, peer) = rustix::net::acceptfrom_with(listener, flags)?;
    Ok((
        socket,
        peer.and_then(|peer| SocketAddr::try_from(peer).ok()),
    ))
}

/// What a receive found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Read {
    Bytes(usize),
    /// Nothing there now.
    Nothing,
    /// The peer will send no more, or is gone.
    End,
}

/// Appends what is there, up to the buffer's spare capacity, which must not be 0.
pub(crate) fn receive(socket: impl AsFd, buffer: &mut Vec<u8>) -> Read {
    debug_assert!(
        buffer.capacity() > buffer.len(),
        "no room looks like the end"
    );
    let socket = socket.as_fd();
    loop {
        let spare = rustix::buffer::spare_capacity(buffer);
        return match rustix::net::recv(socket, spare, RecvFlags::DONTWAIT) {
            Ok((0, _)) => Read::End,
            Ok((read, _)) => Read::Bytes(read),
            Err(Errno::INTR) => continue,
            Err(Errno::AGAIN) => Read::Nothing,
            Err(_) => Read::End,
        };
    }
}

/// Receives at most `at_most` bytes into the end of `buffer`.
pub(crate) fn receive_at_most(socket: impl AsFd, buffer: &mut Vec<u8>, at_most: usize) -> Read {
    let start = buffer.len();
    buffer.resize(start + at_most, 0);
    let socket = socket.as_fd();
    let read = loop {
        match rustix::net::recv(socket, &mut buffer[start..], RecvFlags::DONTWAIT) {
            Ok((0, _)) => break Read::End,
            Ok((read, _)) => break Read::Bytes(read),
            Err(Errno::INTR) => (),
            Err(Errno::AGAIN) => break Read::Nothing,
            Err(_) => break Read::End,
        }
    };
    let got = match read {
        Read::Bytes(got) => got,
        Read::Nothing | Read::End => 0,
    };
    buffer.truncate(start + got);
    read
}

/// Sends as much of the parts as fits now, and advances them. `WouldBlock` when some is left.
pub(crate) fn send(socket: impl AsFd, parts: &mut &mut [IoSlice<'_>]) -> io::Result<()> {
    let socket = socket.as_fd();
    IoSlice::advance_slices(parts, 0);
    while !parts.is_empty() {
        let sent = match &**parts {
            [only] => rustix::net::send(socket, only, SendFlags::NOSIGNAL),
            several => rustix::net::sendmsg(
                socket,
                several,
                &mut SendAncillaryBuffer::default(),
                SendFlags::NOSIGNAL,
            ),
        };
        match sent {
            Ok(sent) => IoSlice::advance_slices(parts, sent),
            Err(Errno::INTR) => (),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// As [`send`], waiting up to `patience` each time that nothing fits.
pub(crate) fn send_patiently(
    socket: impl AsFd,
    parts: &mut &mut [IoSlice<'_>],
    patience: Duration,
) -> io::Result<()> {
    let socket = socket.as_fd();
    loop {
        match send(socket, parts) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if !wait(socket, PollFlags::OUT, patience) {
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
            done => return done,
        }
    }
}

/// Waits until the socket can be read (or written); `false` at the deadline. A signal is waited
/// over: its handler runs when the request is done, as in any blocking call of the app's.
pub(crate) fn wait(socket: impl AsFd, what: PollFlags, patience: Duration) -> bool {
    use crate::clock::Moment;
    let deadline = Moment::now().after(patience);
    loop {
        let left = deadline.left(Moment::now());
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        match rustix::event::poll(&mut [PollFd::new(&socket, what)], Some(&timeout)) {
            Ok(0) => return false,
            Err(Errno::INTR) => (),
            // Whatever else it is, the read or write that follows says it.
            Ok(_) | Err(_) => return true,
        }
    }
}
