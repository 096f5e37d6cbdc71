//! TLS in front of HTTP: one thread per worker takes each TLS connection, and gives the rest of the
//! worker a plain one in its place. rustls does the cryptography; this moves bytes.
//!
//! ```text
//! client ⇄ TCP ⇄ [rustls, this thread] ⇄ socket pair ⇄ I/O thread and app threads, as ever
//! ```

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use imperator_core::message::Pem;
use nix::sys::signal::SigSet;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};

use crate::clock::Moment;
use crate::context::WorkerContext;
use crate::handover::{hush, ring};

/// A handshake that takes longer is no client's.
const HANDSHAKE_WAIT: Duration = Duration::from_secs(30);
/// A client that takes nothing of what is left to send, after the app has ended, is left then.
const FLUSH_WAIT: Duration = Duration::from_secs(60);
/// Bytes of one direction of one connection.
const ROOM: usize = 64 * 1024;
/// How often deadlines are looked at.
const TICK: Duration = Duration::from_secs(1);

/// What a listener shows its clients.
///
/// # Errors
/// What is wrong with certificate or key, as `io::ErrorKind::InvalidData`.
pub(crate) fn config(pem: &Pem) -> io::Result<Arc<ServerConfig>> {
    let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
    let chain = CertificateDer::pem_slice_iter(pem.certificate.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| invalid(format!("https: the certificate is not PEM: {error}")))?;
    let key = PrivateKeyDer::from_pem_slice(pem.key.as_bytes())
        .map_err(|error| invalid(format!("https: the key is not PEM: {error}")))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| invalid(format!("https: {error}")))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| invalid(format!("https: certificate and key: {error}")))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// New connections on their way to the thread.
#[derive(Debug)]
pub(crate) struct Terminal {
    inbox: Mutex<Vec<Link>>,
    wake: OwnedFd,
}

impl Terminal {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            inbox: Mutex::default(),
            wake: rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        })
    }

    /// The plain connection that stands for this one. The caller has taken a place with
    /// [`WorkerContext::reserve`]; the thread gives it back when all is sent.
    pub(crate) fn take(&self, client: OwnedFd, config: &Arc<ServerConfig>) -> io::Result<OwnedFd> {
        let tls = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
        let (here, there) = UnixStream::pair()?;
        here.set_nonblocking(true)?;
        there.set_nonblocking(true)?;
        let link = Link::new(TcpStream::from(client), here, tls);
        let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        inbox.push(link);
        ring(&self.wake);
        Ok(there.into())
    }

    fn arrived(&self) -> Vec<Link> {
        hush(&self.wake);
        std::mem::take(&mut *self.inbox.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Starts the thread, with every signal blocked in it.
pub(crate) fn start(worker: &Arc<WorkerContext>) -> io::Result<()> {
    let before = SigSet::thread_get_mask()?;
    SigSet::all().thread_block()?;
    let context = Arc::clone(worker);
    let started = std::thread::Builder::new()
        .name("imperator-tls".to_owned())
        .stack_size(512 * 1024)
        .spawn(move || run(&context));
    before.thread_set_mask()?;
    started.map(|_| ())
}

fn run(worker: &WorkerContext) {
    let Some(terminal) = &worker.terminal else {
        return;
    };
    let mut links: Vec<Link> = Vec::new();
    while !worker.dismissed.load(Ordering::Acquire) {
        let ready = {
            let mut fds = vec![PollFd::new(&terminal.wake, PollFlags::IN)];
            for link in &links {
                fds.push(PollFd::new(&link.client, link.client_interest()));
                fds.push(PollFd::new(&link.plain, link.plain_interest()));
            }
            let timeout = Timespec {
                tv_sec: i64::try_from(TICK.as_secs()).unwrap_or(1),
                tv_nsec: 0,
            };
            let _ = rustix::event::poll(&mut fds, Some(&timeout));
            fds.iter()
                .map(|fd| !fd.revents().is_empty())
                .collect::<Vec<_>>()
        };
        let now = Moment::now();
        let mut index = 0;
        links.retain_mut(|link| {
            index += 1;
            let is_ready = ready[2 * index - 1] || ready[2 * index];
            let goes_on = (!is_ready || link.pump(now)) && link.deadline.is_none_or(|at| at > now);
            if !goes_on {
                worker.unreserve();
            }
            goes_on
        });
        links.extend(terminal.arrived());
    }
}

/// One client.
#[derive(Debug)]
struct Link {
    client: TcpStream,
    plain: UnixStream,
    tls: ServerConnection,
    /// Decrypted, and not yet taken by the worker.
    to_plain: Vec<u8>,
    /// The client will send nothing more.
    client_ended: bool,
    /// … and the worker was told.
    told_end: bool,
    /// The worker will send nothing more.
    plain_ended: bool,
    /// `None` while the worker decides how long it waits.
    deadline: Option<Moment>,
}

impl Link {
    fn new(client: TcpStream, plain: UnixStream, mut tls: ServerConnection) -> Self {
        tls.set_buffer_limit(Some(ROOM));
        Self {
            client,
            plain,
            tls,
            to_plain: Vec::new(),
            client_ended: false,
            told_end: false,
            plain_ended: false,
            deadline: Some(Moment::now().after(HANDSHAKE_WAIT)),
        }
    }

    fn client_interest(&self) -> PollFlags {
        let mut flags = PollFlags::empty();
        if !self.client_ended && self.to_plain.len() < ROOM {
            flags |= PollFlags::IN;
        }
        if self.tls.wants_write() {
            flags |= PollFlags::OUT;
        }
        flags
    }

    fn plain_interest(&self) -> PollFlags {
        let mut flags = PollFlags::empty();
        // What the client has not taken yet holds the app's answer back.
        if !self.plain_ended && !self.tls.is_handshaking() && !self.tls.wants_write() {
            flags |= PollFlags::IN;
        }
        if !self.to_plain.is_empty() {
            flags |= PollFlags::OUT;
        }
        flags
    }

    /// Moves what can be moved; `false`: the connection is over.
    fn pump(&mut self, now: Moment) -> bool {
        let moved = self
            .receive()
            .and_then(|()| self.hand_on())
            .and_then(|()| self.take_answer(now))
            .and_then(|()| self.send());
        if moved.is_err() {
            return false;
        }
        if !self.tls.is_handshaking() && !self.plain_ended {
            self.deadline = None;
        }
        let is_over = match self.tls.is_handshaking() {
            true => self.client_ended,
            false => self.plain_ended,
        };
        !is_over || self.tls.wants_write()
    }

    fn receive(&mut self) -> io::Result<()> {
        while !self.client_ended && self.to_plain.len() < ROOM {
            match self.tls.read_tls(&mut self.client) {
                Ok(0) => self.client_ended = true,
                Ok(_) => (),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            match self.tls.process_new_packets() {
                Ok(state) => {
                    let mut bytes = vec![0; state.plaintext_bytes_to_read()];
                    self.tls.reader().read_exact(&mut bytes)?;
                    self.to_plain.append(&mut bytes);
                    self.client_ended |= state.peer_has_closed();
                }
                Err(error) => {
                    // The alert tells the client why, if it still listens.
                    let _ = self.tls.write_tls(&mut self.client);
                    return Err(io::Error::other(error));
                }
            }
        }
        Ok(())
    }

    fn hand_on(&mut self) -> io::Result<()> {
        while !self.to_plain.is_empty() {
            match self.plain.write(&self.to_plain) {
                Ok(written) => drop(self.to_plain.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                // The worker refused the request and reads no more: its answer is still to be sent.
                Err(_) => self.to_plain.clear(),
            }
        }
        if self.client_ended && !std::mem::replace(&mut self.told_end, true) {
            // The worker may have closed already.
            let _ = self.plain.shutdown(std::net::Shutdown::Write);
        }
        Ok(())
    }

    fn take_answer(&mut self, now: Moment) -> io::Result<()> {
        let mut chunk = [0; 16 * 1024];
        while !self.plain_ended && !self.tls.is_handshaking() && !self.tls.wants_write() {
            match self.plain.read(&mut chunk) {
                Ok(0) => {
                    self.plain_ended = true;
                    self.deadline = Some(now.after(FLUSH_WAIT));
                    self.tls.send_close_notify();
                }
                // At most a quarter of the room is taken at once, and it was empty.
                Ok(read) => self.tls.writer().write_all(&chunk[..read])?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(_) => self.plain_ended = true,
            }
            self.send()?;
        }
        Ok(())
    }

    fn send(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut self.client) {
                Ok(_) => (),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
