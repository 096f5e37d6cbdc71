//! Log lines as datagrams: plain UDP and Unix sockets, syslog here and elsewhere, the journal.
//! Sending never blocks; a receiver that comes back is found again.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use imperator_core::settings::LogTarget;
use imperator_process::time;

use crate::clock;

const SYSLOG: &str = "/dev/log";
const JOURNAL: &str = "/run/systemd/journal/socket";
/// A syslog line beyond this is cut: many daemons take no more.
const MAX_SYSLOG: usize = 8 * 1024;
/// RFC 3164 wants datagrams of at most 1024 bytes; the head may take 30 of them.
const MAX_RSYSLOG: usize = 1024 - 30;

#[derive(Debug)]
pub(crate) struct Datagrams {
    peer: Peer,
    /// `None`: nobody was there when it was looked for last.
    socket: Option<Socket>,
    dress: Dress,
}

#[derive(Debug, Clone)]
enum Peer {
    Internet(SocketAddr),
    Path(PathBuf),
}

#[derive(Debug)]
enum Socket {
    Internet(UdpSocket),
    Unix(UnixDatagram),
}

/// What stands around a line.
#[derive(Debug)]
enum Dress {
    Plain { prefix: String },
    Syslog { priority: u8, tag: String },
    Rsyslog { priority: u32, tag: String },
    Journal { tag: String },
}

impl Datagrams {
    /// `name` is the app's. `None`: no target for datagrams.
    ///
    /// # Errors
    /// A text that names the target and what is wrong.
    pub(crate) fn open(target: &LogTarget, name: &str) -> Option<Result<Self, String>> {
        let (peer, dress) = match target {
            LogTarget::Udp(udp) => {
                let prefix = udp.prefix.clone();
                (internet(&udp.to, None), Dress::Plain { prefix })
            }
            LogTarget::Unix(unix) => {
                let prefix = unix.prefix.clone();
                (
                    Ok(Peer::Path(PathBuf::from(&unix.to))),
                    Dress::Plain { prefix },
                )
            }
            LogTarget::Syslog { tag, facility } => {
                let tag = if tag.is_empty() { name } else { tag }.to_owned();
                // Severity info, as the original's plugin.
                let priority = facility | 6;
                (
                    Ok(Peer::Path(PathBuf::from(SYSLOG))),
                    Dress::Syslog { priority, tag },
                )
            }
            LogTarget::Rsyslog { to, tag, priority } => {
                let peer = match to.starts_with('/') {
                    true => Ok(Peer::Path(PathBuf::from(to))),
                    false => internet(to, Some(514)),
                };
                let tag = tag.clone().unwrap_or_else(|| {
                    let host = nix::sys::utsname::uname();
                    let host = host.map(|it| it.nodename().to_string_lossy().into_owned());
                    format!("{} {name}", host.unwrap_or_default())
                });
                let priority = *priority;
                (peer, Dress::Rsyslog { priority, tag })
            }
            LogTarget::Journal => {
                let tag = name.to_owned();
                (
                    Ok(Peer::Path(PathBuf::from(JOURNAL))),
                    Dress::Journal { tag },
                )
            }
            LogTarget::Stderr | LogTarget::Stdio | LogTarget::File(_) | LogTarget::Pipe(_) => {
                return None;
            }
        };
        Some(peer.and_then(|peer| {
            let cannot = |error: io::Error, why: &str| {
                let shown = peer.shown();
                Err(format!("cannot log to {shown}: {error}; {why}"))
            };
            let socket = match (connect(&peer), &dress) {
                (Ok(socket), _) => Some(socket),
                // What belongs to the machine is there, or is not to come: others get the lines.
                (Err(error), Dress::Journal { .. }) => return cannot(error, "is systemd running?"),
                (Err(error), Dress::Syslog { .. }) => {
                    return cannot(error, "is a syslog daemon running?");
                }
                (Err(_), Dress::Plain { .. } | Dress::Rsyslog { .. }) => None,
            };
            Ok(Self {
                peer,
                socket,
                dress,
            })
        }))
    }

    /// Sends one line, whole or cut, or not at all.
    ///
    /// # Errors
    /// Nobody takes it now.
    pub(crate) fn send(&mut self, line: &[u8]) -> io::Result<()> {
        let datagram = self.dress.put_on(line);
        if let Some(socket) = &self.socket {
            match socket.send(&datagram) {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
                // An old error of the network, or a receiver that was started again.
                Err(_) => self.socket = None,
            }
        }
        let socket = self.socket.insert(connect(&self.peer)?);
        socket.send(&datagram)
    }
}

impl Dress {
    fn put_on(&self, line: &[u8]) -> Vec<u8> {
        let bare = line.strip_suffix(b"\n").unwrap_or(line);
        match self {
            Self::Plain { prefix } => [prefix.as_bytes(), line].concat(),
            Self::Syslog { priority, tag } => {
                let head = format!("<{priority}>{tag}: ");
                [head.as_bytes(), &bare[..bare.len().min(MAX_SYSLOG)]].concat()
            }
            Self::Rsyslog { priority, tag } => {
                let now = time::ctime(i64::try_from(clock::epoch()).unwrap_or(0));
                let head = format!("<{priority}>{} {tag}: ", now.get(4..19).unwrap_or_default());
                [head.as_bytes(), &bare[..bare.len().min(MAX_RSYSLOG)]].concat()
            }
            // systemd's native protocol: NAME=value, or for a value with line ends NAME, a line
            // end, its length as 64 bits, little end first, and the value.
            Self::Journal { tag } => {
                let head = format!("PRIORITY=6\nSYSLOG_IDENTIFIER={tag}\nMESSAGE");
                let mut text = head.into_bytes();
                if bare.contains(&b'\n') {
                    text.push(b'\n');
                    text.extend_from_slice(&(bare.len() as u64).to_le_bytes());
                } else {
                    text.push(b'=');
                }
                text.extend_from_slice(bare);
                text.push(b'\n');
                text
            }
        }
    }
}

impl Socket {
    fn send(&self, datagram: &[u8]) -> io::Result<()> {
        match self {
            Self::Internet(socket) => socket.send(datagram),
            Self::Unix(socket) => socket.send(datagram),
        }
        .map(|_| ())
    }
}

impl Peer {
    fn shown(&self) -> String {
        match self {
            Self::Internet(address) => address.to_string(),
            Self::Path(path) => path.display().to_string(),
        }
    }
}

fn connect(peer: &Peer) -> io::Result<Socket> {
    match peer {
        Peer::Internet(address) => {
            let any: SocketAddr = if address.is_ipv4() {
                ([0, 0, 0, 0], 0).into()
            } else {
                ([0_u16; 8], 0).into()
            };
            let socket = UdpSocket::bind(any)?;
            socket.set_nonblocking(true)?;
            socket.connect(address)?;
            Ok(Socket::Internet(socket))
        }
        Peer::Path(path) => {
            let socket = UnixDatagram::unbound()?;
            socket.set_nonblocking(true)?;
            socket.connect(path)?;
            Ok(Socket::Unix(socket))
        }
    }
}

/// Only numbers: a name server that does not answer would stop the master.
fn internet(text: &str, default_port: Option<u16>) -> Result<Peer, String> {
    let numeric = || {
        let (host, port) = match (text.rsplit_once(':'), default_port) {
            (Some((host, port)), _) => (host, port.parse().ok()?),
            (None, Some(port)) => (text, port),
            (None, None) => return None,
        };
        let host = match host {
            "" | "localhost" => "127.0.0.1",
            host => host.trim_start_matches('[').trim_end_matches(']'),
        };
        Some(SocketAddr::new(host.parse::<IpAddr>().ok()?, port))
    };
    numeric()
        .map(Peer::Internet)
        .ok_or_else(|| format!("cannot log to {text}: no IP address and port"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_is_no_log_address() {
        assert!(internet("127.0.0.1:514", None).is_ok());
        assert!(internet("[::1]:514", None).is_ok());
        assert!(internet("localhost:514", None).is_ok());
        assert!(internet("10.0.0.1", Some(514)).is_ok());
        assert!(internet("10.0.0.1", None).is_err());
        assert!(internet("logs.example.org:514", None).is_err());
    }

    fn dressed(dress: &Dress, line: &[u8]) -> String {
        String::from_utf8(dress.put_on(line)).unwrap()
    }

    #[test]
    fn each_receiver_gets_lines_in_its_own_dress() {
        let tag = || "shop".to_owned();
        let plain = Dress::Plain {
            prefix: "a: ".to_owned(),
        };
        assert_eq!(dressed(&plain, b"line\n"), "a: line\n");
        let syslog = Dress::Syslog {
            priority: 30,
            tag: tag(),
        };
        assert_eq!(dressed(&syslog, b"line\n"), "<30>shop: line");
        let rsyslog = Dress::Rsyslog {
            priority: 29,
            tag: tag(),
        };
        let text = dressed(&rsyslog, &[b'x'; 5000]);
        assert!(
            text.starts_with("<29>") && text.contains(" shop: xxx"),
            "{text}"
        );
        assert!(text.len() <= 1024, "{}", text.len());
        let journal = Dress::Journal { tag: tag() };
        let head = "PRIORITY=6\nSYSLOG_IDENTIFIER=shop\nMESSAGE";
        assert_eq!(dressed(&journal, b"line\n"), format!("{head}=line\n"));
        let two = dressed(&journal, b"one\ntwo\n");
        assert_eq!(two, format!("{head}\n\u{7}\0\0\0\0\0\0\0one\ntwo\n"));
    }

    #[test]
    fn a_receiver_that_was_started_again_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let first = UnixDatagram::bind(&path).unwrap();
        let target = LogTarget::Unix(imperator_core::settings::logs::Datagrams {
            to: path.display().to_string(),
            prefix: String::new(),
        });
        let mut sink = Datagrams::open(&target, "app").unwrap().unwrap();
        sink.send(b"one\n").unwrap();
        let mut buffer = [0; 64];
        assert_eq!(first.recv(&mut buffer).unwrap(), 4);
        drop(first);
        std::fs::remove_file(&path).unwrap();
        assert!(sink.send(b"lost\n").is_err());
        let second = UnixDatagram::bind(&path).unwrap();
        sink.send(b"two\n").unwrap();
        let length = second.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"two\n");
    }
}
