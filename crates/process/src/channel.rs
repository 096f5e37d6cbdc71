//! A channel between two of our processes: a Unix SEQPACKET socket that carries one JSON document
//! per message and descriptors beside it (SCM_RIGHTS).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest message; a receiver refuses a longer one.
pub const MAX_BYTES: usize = 160 * 1024;
/// The most descriptors in one message (SCM_MAX_FD is 253).
pub const MAX_FDS: usize = 250;

/// One end of a channel.
#[derive(Debug)]
pub struct Channel {
    socket: OwnedFd,
}

/// What a receive found.
#[derive(Debug)]
pub enum Received<T> {
    Message(T, Vec<OwnedFd>),
    /// The other end is closed: its process ended.
    Closed,
    /// Nothing there, on a non-blocking channel.
    Empty,
}

impl Channel {
    /// A connected pair, close-on-exec, blocking.
    ///
    /// # Errors
    /// What socketpair(2) says.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (a, b) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        Ok((Self::from(a), Self::from(b)))
    }

    /// # Errors
    /// What fcntl(2) says.
    pub fn set_nonblocking(&self, on: bool) -> io::Result<()> {
        crate::fds::set_nonblocking(&self.socket, on)
    }

    /// Sends one message. A peer that is gone is an error (EPIPE), never a signal.
    ///
    /// # Errors
    /// `InvalidInput` for a message over the limits, else what sendmsg(2) says; `WouldBlock` when
    /// a non-blocking peer does not read.
    pub fn send<T: Serialize>(&self, message: &T, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let text = serde_json::to_vec(message)?;
        if text.len() > MAX_BYTES || fds.len() > MAX_FDS {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(fds));
        }
        let sent = rustix::net::sendmsg(
            &self.socket,
            &[IoSlice::new(&text)],
            &mut control,
            SendFlags::NOSIGNAL,
        )?;
        debug_assert_eq!(sent, text.len(), "a SEQPACKET message is sent whole");
        Ok(())
    }

    /// Receives one message.
    ///
    /// # Errors
    /// `InvalidData` for a message that is too long or no JSON of this type (its descriptors are
    /// closed), else what recvmsg(2) says.
    pub fn receive<T: DeserializeOwned>(&self) -> io::Result<Received<T>> {
        let mut text = vec![0; MAX_BYTES];
        let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            match rustix::net::recvmsg(
                &self.socket,
                &mut [IoSliceMut::new(&mut text)],
                &mut control,
                RecvFlags::CMSG_CLOEXEC,
            ) {
                Ok(received) => break received,
                Err(rustix::io::Errno::INTR) => continue,
                Err(rustix::io::Errno::AGAIN) => return Ok(Received::Empty),
                Err(rustix::io::Errno::CONNRESET) => return Ok(Received::Closed),
                Err(error) => return Err(error.into()),
            }
        };
        let mut fds = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                fds.extend(rights);
            }
        }
        if received.bytes == 0 {
            return Ok(Received::Closed);
        }
        if received.flags.contains(rustix::net::ReturnFlags::TRUNC) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(Received::Message(
            serde_json::from_slice(&text[..received.bytes])?,
            fds,
        ))
    }
}

impl From<OwnedFd> for Channel {
    fn from(socket: OwnedFd) -> Self {
        // Messages are rare and may be long; the kernel's default of 208 KiB counts overhead.
        let _ = rustix::net::sockopt::set_socket_send_buffer_size(&socket, 2 * MAX_BYTES);
        Self { socket }
    }
}

impl From<Channel> for OwnedFd {
    fn from(channel: Channel) -> Self {
        channel.socket
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_arrives_with_its_descriptors_and_death_is_seen() {
        let (here, there) = Channel::pair().unwrap();
        let memory = crate::shared::create("test", 1).unwrap();
        here.send(&("hello", 7), &[memory.as_fd()]).unwrap();
        let Received::Message((text, number), fds) = there.receive::<(String, u32)>().unwrap()
        else {
            panic!("no message")
        };
        assert_eq!((text.as_str(), number, fds.len()), ("hello", 7, 1));
        there.set_nonblocking(true).unwrap();
        assert!(matches!(there.receive::<u32>().unwrap(), Received::Empty));
        drop(here);
        assert!(matches!(there.receive::<u32>().unwrap(), Received::Closed));
    }
}
