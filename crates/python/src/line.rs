//! The line to the master: the channel, guarded so that only the process that owns it may speak.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use imperator_core::message::{FromWorker, ToWorker};
use imperator_process::channel::{Channel, Received};

/// The channel of a mold or worker. A child that the app forked (without exec) has a copy of its
/// descriptor; `say` tells it apart: not every fork runs Python's fork hooks.
pub(crate) struct Line {
    channel: Channel,
    pid: u32,
}

impl Line {
    pub(crate) fn new(channel: Channel) -> Self {
        Self {
            channel,
            pid: std::process::id(),
        }
    }

    /// Whether this process is the one that the master knows, and no fork of it.
    fn is_ours(&self) -> bool {
        std::process::id() == self.pid
    }

    /// Says one thing. A master that is gone hears nothing, and the next receive shows it.
    pub(crate) fn say(&self, message: &FromWorker) {
        if self.is_ours()
            && let Err(error) = self.channel.send(message, &[])
            && error.kind() != std::io::ErrorKind::BrokenPipe
        {
            crate::log::line(&format!("cannot report to the master: {error}"));
        }
    }

    /// The next order. `None`: the master is gone, or speaks no language of ours.
    pub(crate) fn hear(&self) -> Option<(ToWorker, Vec<OwnedFd>)> {
        match self.channel.receive::<ToWorker>() {
            Ok(Received::Message(message, fds)) => Some((message, fds)),
            Ok(Received::Closed | Received::Empty) => None,
            Err(error) => {
                crate::log::line(&format!("cannot read an order of the master: {error}"));
                None
            }
        }
    }

    pub(crate) fn into_channel(self) -> Channel {
        self.channel
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}
