//! How many connections wait to be accepted: of TCP listeners /proc/net/tcp tells it, of Unix ones
//! only the kernel's socket diagnosis (sock_diag(7), one question per look).

use std::cell::{Cell, OnceCell};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};

use crate::sockets::{Listener, queue_of};

/// SOCK_DIAG_BY_FAMILY of linux/sock_diag.h.
const BY_FAMILY: u16 = 20;
/// NLM_F_REQUEST of linux/netlink.h.
const REQUEST: u16 = 1;
/// UDIAG_SHOW_RQLEN and UNIX_DIAG_RQLEN of linux/unix_diag.h.
const SHOW_QUEUE: u32 = 0x10;
const QUEUE: u16 = 4;
const LISTENING: u32 = 1 << 10;
const HEADER: usize = 16;

/// The question's socket, opened when it is needed first.
#[derive(Debug, Default)]
pub(crate) struct Diagnosis {
    socket: OnceCell<Option<OwnedFd>>,
    /// This kernel does not answer: nobody asks it again.
    is_mute: Cell<bool>,
}

impl Diagnosis {
    /// Connections that wait at this listener; `None`: nobody tells.
    pub(crate) fn waiting(&self, listener: &Listener) -> Option<u64> {
        match listener.local() {
            Some(tcp) => queue_of(tcp),
            None => self.waiting_at(listener.fd.as_fd()),
        }
    }

    fn waiting_at(&self, listener: BorrowedFd<'_>) -> Option<u64> {
        if self.is_mute.get() {
            return None;
        }
        let inode = rustix::fs::fstat(listener).ok()?.st_ino;
        let answer = self.ask(u32::try_from(inode).ok()?);
        self.is_mute.set(answer.is_none());
        answer
    }

    fn ask(&self, inode: u32) -> Option<u64> {
        let open = || {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let (family, kind) = (AddressFamily::NETLINK, SocketType::RAW);
            rustix::net::socket_with(family, kind, flags, Some(netlink::SOCK_DIAG)).ok()
        };
        let socket = self.socket.get_or_init(open).as_ref()?;
        rustix::net::send(socket, &question(inode), SendFlags::empty()).ok()?;
        let mut bytes = [0; 512];
        // The kernel has answered before send(2) returns.
        let (length, _) = rustix::net::recv(socket, &mut bytes, RecvFlags::DONTWAIT).ok()?;
        answer(bytes.get(..length)?, inode)
    }
}

/// nlmsghdr and unix_diag_req.
fn question(inode: u32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(40);
    bytes.extend(40_u32.to_ne_bytes());
    bytes.extend(BY_FAMILY.to_ne_bytes());
    bytes.extend(REQUEST.to_ne_bytes());
    bytes.extend([0; 8]);
    // AF_UNIX, no protocol.
    bytes.extend([1, 0, 0, 0]);
    for word in [LISTENING, inode, SHOW_QUEUE, u32::MAX, u32::MAX] {
        bytes.extend(word.to_ne_bytes());
    }
    bytes
}

/// The receive queue of a listener in nlmsghdr, unix_diag_msg and its attributes.
fn answer(bytes: &[u8], inode: u32) -> Option<u64> {
    let short = |at: usize| {
        let it = bytes.get(at..at.checked_add(2)?)?;
        Some(u16::from_ne_bytes(it.try_into().ok()?))
    };
    let word = |at: usize| {
        let it = bytes.get(at..at.checked_add(4)?)?;
        Some(u32::from_ne_bytes(it.try_into().ok()?))
    };
    if short(4)? != BY_FAMILY || word(HEADER + 4)? != inode {
        return None;
    }
    let mut at = HEADER + 16;
    while let (Some(length), Some(kind)) = (short(at), short(at + 2)) {
        if kind == QUEUE {
            return word(at + 4).map(u64::from);
        }
        at += usize::from(length).max(4).next_multiple_of(4);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::os::unix::net::{UnixListener, UnixStream};

    #[test]
    fn connections_that_wait_at_a_unix_socket_are_counted() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let kernel = Diagnosis::default();
        if kernel.waiting_at(listener.as_fd()).is_none() {
            eprintln!("SKIPPED connections_that_wait: this kernel has no unix_diag");
            return;
        }
        let clients: Vec<_> = (0..3)
            .map(|_| UnixStream::connect(&path).unwrap())
            .collect();
        assert_eq!(kernel.waiting_at(listener.as_fd()), Some(3));
        let taken = listener.accept().unwrap();
        assert_eq!(kernel.waiting_at(listener.as_fd()), Some(2));
        drop((clients, taken));
    }

    #[test]
    fn nonsense_is_no_answer() {
        assert_eq!(answer(&[], 7), None);
        assert_eq!(answer(&[0xff; 80], 7), None);
        let mut bytes = question(7);
        bytes.extend([0; 12]);
        assert_eq!(answer(&bytes, 7), None);
    }
}
