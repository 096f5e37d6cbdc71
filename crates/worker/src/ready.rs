//! `ready-request`: asks the app itself, before the worker accepts, whether it works. No listener
//! and no client is needed for that: the answer goes into one end of a pair, and is read at the other.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use imperator_core::packet;
use imperator_core::settings::Protocol;
use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType};

use crate::app::App;
use crate::clock::Moment;
use crate::connection::Connection;
use crate::context::WorkerContext;
use crate::exchange::Exchange;
use crate::http::target::decoded;
use crate::refusal::phrase;
use crate::uwsgi;

/// So much of the answer is looked at; the rest is read and dropped.
const KEPT: usize = 64 * 1024;
/// So much of its body is told.
const TOLD: usize = 4096;

/// What the app answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    pub status: u16,
    /// The beginning of head and body, as a client would have seen it.
    pub text: String,
}

impl Said {
    pub fn is_well(&self) -> bool {
        (200..400).contains(&self.status)
    }

    /// A refusal that speaks of the Host.
    pub fn blames_host(&self) -> bool {
        let body = self.text.split_once("\r\n\r\n").map_or("", |it| it.1);
        self.status == 400 && body.to_ascii_lowercase().contains("host")
    }

    /// What is wrong, and the way out. `refuses_host`: the app's framework says so.
    pub fn verdict(&self, path: &str, host: &str, refuses_host: bool) -> (String, String) {
        let Self { status, .. } = self;
        let answered = format!(
            "ready-request = {path} was answered {status} {}, not 2xx or 3xx",
            phrase(*status)
        );
        let allow = "(Django: ALLOWED_HOSTS), or set ready-host to a host that it knows";
        match status {
            400 if refuses_host || self.blames_host() => (
                format!("{answered}: the app refuses the Host \"{host}\""),
                format!("let the app know \"{host}\" {allow}"),
            ),
            400 => (
                answered,
                format!(
                    "if the app refuses the Host \"{host}\", let it know that one {allow}; else see what it says"
                ),
            ),
            404 => (
                answered,
                "set ready-request to a path that the app has".to_owned(),
            ),
            401 | 403 => (
                answered,
                "set ready-request to a path that needs no login".to_owned(),
            ),
            _ => (
                answered,
                "mend the app, or set ready-request to a path that tells its health".to_owned(),
            ),
        }
    }

    /// The beginning of it, for whoever looks for the reason.
    pub fn excerpt(&self) -> &str {
        let mut end = self.text.len().min(TOLD);
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        &self.text[..end]
    }
}

/// Asks the app for `target`, a path with perhaps a query. Call it with the interpreter held, on
/// the main thread, before any thread calls [`crate::serve`].
///
/// # Errors
/// The request could not be made.
pub fn ask(
    worker: &Arc<WorkerContext>,
    app: &impl App,
    target: &str,
    host: &str,
) -> Result<Said, String> {
    let mut exchange = Exchange::new(Arc::clone(worker), 0);
    write(target, host, &mut exchange.request.buffer)?;
    exchange.request.clear_head(Protocol::Uwsgi);
    uwsgi::parse(&mut exchange.request, &worker.limits).map_err(|it| it.reason)?;
    let (theirs, ours) = rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )
    .map_err(|error| error.to_string())?;
    rustix::io::ioctl_fionbio(&ours, false).map_err(|error| error.to_string())?;
    let reader = std::thread::Builder::new()
        .name("imperator-ready".to_owned())
        .spawn(move || read(&ours))
        .map_err(|error| error.to_string())?;
    let connection = Connection {
        socket: theirs,
        listener: 0,
        protocol: Protocol::Uwsgi,
        peer: None,
        needs_proxy_line: false,
        requests: 0,
        ticket: None,
    };
    exchange.begin(connection, None, Moment::now());
    let exchange = Arc::new(exchange);
    app.call(&exchange);
    let (status, connection) = {
        let mut answer = exchange.end();
        (answer.response.status, answer.connection.take())
    };
    if let Some(connection) = connection {
        // A process that the app has forked may hold it open.
        let _ = rustix::net::shutdown(&connection.socket, Shutdown::Both);
    }
    // It ends at once, and needs no interpreter.
    let text = reader.join().unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    Ok(Said { status, text })
}

/// What a front end would send.
fn write(target: &str, host: &str, out: &mut Vec<u8>) -> Result<(), String> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let path = decoded(path.as_bytes()).map_err(|it| it.reason)?;
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let vars: [(&str, &[u8]); 12] = [
        ("REQUEST_METHOD", b"GET"),
        ("REQUEST_URI", target.as_bytes()),
        ("PATH_INFO", &path),
        ("QUERY_STRING", query.as_bytes()),
        ("CONTENT_LENGTH", b""),
        ("SERVER_PROTOCOL", b"HTTP/1.1"),
        ("SERVER_NAME", name.as_bytes()),
        ("SERVER_PORT", b"80"),
        ("REMOTE_ADDR", b"127.0.0.1"),
        ("REQUEST_SCHEME", b"http"),
        ("HTTP_HOST", host.as_bytes()),
        ("HTTP_USER_AGENT", b"Imperator (ready-request)"),
    ];
    out.clear();
    packet::encode(0, vars, out).map_err(|error| error.to_string())
}

/// The beginning of what is sent, up to its end.
fn read(socket: &OwnedFd) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        match rustix::io::read(socket, &mut buffer) {
            Ok(0) => return kept,
            Ok(count) => {
                let room = KEPT.saturating_sub(kept.len());
                kept.extend_from_slice(&buffer[..count.min(room)]);
            }
            Err(rustix::io::Errno::INTR) => (),
            Err(_) => return kept,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status: u16, body: &str) -> Said {
        let text = format!("HTTP/1.1 {status} x\r\nServer: localhost\r\n\r\n{body}");
        Said { status, text }
    }

    #[test]
    fn only_two_and_three_hundreds_are_well() {
        for (status, well) in [
            (200, true),
            (204, true),
            (302, true),
            (399, true),
            (0, false),
            (199, false),
            (400, false),
            (500, false),
        ] {
            assert_eq!(said(status, "").is_well(), well, "{status}");
        }
    }

    #[test]
    fn a_400_that_blames_the_host_is_named_as_such() {
        let blames = [
            "Invalid HTTP_HOST header: 'localhost'. You may need to add 'localhost' to ALLOWED_HOSTS.",
            "Host 'localhost' is not trusted",
        ];
        for body in blames {
            let (summary, hint) = said(400, body).verdict("/", "localhost", false);
            assert_eq!(
                summary,
                "ready-request = / was answered 400 Bad Request, not 2xx or 3xx: the app refuses the Host \"localhost\""
            );
            assert!(hint.contains("ready-host"), "{hint}");
        }
        // Its framework knows better than its text.
        let (summary, _) = said(400, "Bad Request (400)").verdict("/", "localhost", true);
        assert!(summary.contains("refuses the Host"), "{summary}");
        let (summary, hint) = said(400, "no such id").verdict("/", "localhost", false);
        assert!(!summary.contains("Host"), "{summary}");
        assert!(hint.contains("if the app refuses the Host"), "{hint}");
        let (summary, _) = said(500, "the host is down").verdict("/x", "localhost", false);
        assert_eq!(
            summary,
            "ready-request = /x was answered 500 Internal Server Error, not 2xx or 3xx"
        );
    }
}
