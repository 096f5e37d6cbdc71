//! A part of a file to a connection, by sendfile(2) with an explicit offset: a file that several
//! requests share keeps its position.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::event::PollFlags;
use rustix::fs::FileType;
use rustix::io::Errno;

use crate::answer::write_error;
use crate::connection::Connection;
use crate::errors::WriteError;
use crate::socket;

/// One sendfile(2) takes at most this much, so that the deadline is looked at in between.
const STEP: u64 = 1 << 20;
/// For files that sendfile(2) cannot read.
const COPY_BYTES: usize = 64 * 1024;

/// The size of a regular file; the errno of what says that it is none.
pub(crate) fn size(file: BorrowedFd<'_>) -> Result<u64, i32> {
    let stat = rustix::fs::fstat(file).map_err(Errno::raw_os_error)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Errno::INVAL.raw_os_error());
    }
    Ok(u64::try_from(stat.st_size).unwrap_or(0))
}

/// Sends `before`, `length` bytes of the file from `offset`, and `after`.
pub(crate) fn send(
    connection: &Connection,
    before: [&[u8]; 2],
    file: BorrowedFd<'_>,
    offset: u64,
    length: u64,
    after: &[u8],
    patience: Duration,
) -> Result<(), WriteError> {
    let socket = &connection.socket;
    let mut parts = before.map(IoSlice::new);
    socket::send_patiently(socket, &mut &mut parts[..], patience)
        .map_err(|error| write_error(&error))?;
    let mut at = offset;
    let end = offset + length;
    let mut copying = false;
    while at < end {
        let step = (end - at).min(STEP) as usize;
        let sent = if copying {
            copy(socket, file, &mut at, step, patience)
        } else {
            rustix::fs::sendfile(socket, file, Some(&mut at), step)
        };
        match sent {
            // The file became shorter than it was.
            Ok(0) => return Err(WriteError::File(Errno::NODATA.raw_os_error())),
            Ok(_) | Err(Errno::INTR) => (),
            Err(Errno::AGAIN) => {
                if !socket::wait(socket, PollFlags::OUT, patience) {
                    return Err(WriteError::TimedOut);
                }
            }
            // This file system has no sendfile(2).
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) if !copying => copying = true,
            Err(Errno::IO) => return Err(WriteError::File(Errno::IO.raw_os_error())),
            Err(error) => return Err(write_error(&io::Error::from(error))),
        }
    }
    let mut parts = [IoSlice::new(after)];
    socket::send_patiently(socket, &mut &mut parts[..], patience)
        .map_err(|error| write_error(&error))
}

fn copy(
    socket: &std::os::fd::OwnedFd,
    file: BorrowedFd<'_>,
    at: &mut u64,
    step: usize,
    patience: Duration,
) -> rustix::io::Result<usize> {
    let mut bytes = vec![0; step.min(COPY_BYTES)];
    let read = rustix::io::pread(file, &mut bytes, *at)?;
    let mut parts = [IoSlice::new(&bytes[..read])];
    match socket::send_patiently(socket, &mut &mut parts[..], patience) {
        Ok(()) => {
            *at += read as u64;
            Ok(read)
        }
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(Errno::TIMEDOUT),
        Err(_) => Err(Errno::PIPE),
    }
}
