//! What is sent: a kind of request, encoded once and sent again and again.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, bail};

use crate::target::Protocol;

/// The most of a body or of an answer that may be asked for.
const MAX_BYTES: usize = 1 << 30;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `hello`: GET / with the headers that a browser sends through nginx.
    Hello,
    /// `headers=N`: N more headers.
    Headers(usize),
    /// `post=N`: a body of N bytes.
    Post(usize),
    /// `work=N`: GET /count/N: the app counts to N and then waits 5 ms.
    Work(usize),
    /// `bytes=N`: GET /bytes/N, which the benchmark app answers with N bytes.
    Bytes(usize),
}

impl FromStr for Kind {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self, anyhow::Error> {
        let (name, number) = match text.split_once('=') {
            Some((name, number)) => {
                let number: usize = number
                    .parse()
                    .with_context(|| format!("{text:?}: {number:?} is no number"))?;
                (name, Some(number))
            }
            None => (text, None),
        };
        match (name, number) {
            ("hello", None) => Ok(Self::Hello),
            ("headers", Some(count)) if count <= 500 => Ok(Self::Headers(count)),
            ("post", Some(size)) if size <= MAX_BYTES => Ok(Self::Post(size)),
            ("work", Some(size)) if size <= MAX_BYTES => Ok(Self::Work(size)),
            ("bytes", Some(size)) if size <= MAX_BYTES => Ok(Self::Bytes(size)),
            _ => bail!(
                "{text:?} is no kind of request: hello, headers=N (up to 500), post=BYTES, bytes=BYTES, work=N"
            ),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hello => f.write_str("hello"),
            Self::Headers(count) => write!(f, "headers={count}"),
            Self::Post(size) => write!(f, "post={size}"),
            Self::Bytes(size) => write!(f, "bytes={size}"),
            Self::Work(size) => write!(f, "work={size}"),
        }
    }
}

impl Kind {
    /// The whole request as it goes on the wire.
    ///
    /// # Errors
    /// When the variables do not fit into one uwsgi packet.
    pub fn encode(self, protocol: Protocol, path: Option<&str>) -> Result<Vec<u8>, anyhow::Error> {
        let default_path = match self {
            Self::Bytes(size) => format!("/bytes/{size}"),
            Self::Work(size) => format!("/count/{size}"),
            Self::Hello | Self::Headers(_) | Self::Post(_) => "/".to_owned(),
        };
        let uri = path.unwrap_or(&default_path);
        let body = match self {
            Self::Post(size) => size,
            Self::Hello | Self::Headers(_) | Self::Bytes(_) | Self::Work(_) => 0,
        };
        let extra = match self {
            Self::Headers(count) => count,
            Self::Hello | Self::Post(_) | Self::Bytes(_) | Self::Work(_) => 0,
        };
        let method = if matches!(self, Self::Post(_)) {
            "POST"
        } else {
            "GET"
        };
        let mut message = match protocol {
            Protocol::Uwsgi => uwsgi_packet(&uwsgi_vars(method, uri, body, extra))?,
            Protocol::Http => http_head(method, uri, body, extra),
        };
        message.resize(message.len() + body, b'x');
        Ok(message)
    }
}

/// The variables of Debian's stock `uwsgi_params`, and the headers of a usual client.
fn uwsgi_vars(method: &str, uri: &str, body: usize, extra: usize) -> Vec<(String, String)> {
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let length = if body > 0 {
        body.to_string()
    } else {
        String::new()
    };
    let mut vars: Vec<(String, String)> = [
        ("QUERY_STRING", query),
        ("REQUEST_METHOD", method),
        (
            "CONTENT_TYPE",
            if body > 0 {
                "application/octet-stream"
            } else {
                ""
            },
        ),
        ("CONTENT_LENGTH", &length),
        ("REQUEST_URI", uri),
        ("PATH_INFO", path),
        ("DOCUMENT_ROOT", "/usr/share/nginx/html"),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("REQUEST_SCHEME", "http"),
        ("REMOTE_ADDR", "127.0.0.1"),
        ("REMOTE_PORT", "40000"),
        ("SERVER_PORT", "80"),
        ("SERVER_NAME", "localhost"),
        ("HTTP_HOST", "localhost"),
        ("HTTP_USER_AGENT", "imperator-bench"),
        ("HTTP_ACCEPT", "*/*"),
        ("HTTP_ACCEPT_ENCODING", "gzip, deflate"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    for index in 0..extra {
        vars.push((
            format!("HTTP_X_BENCH_{index}"),
            format!("the value of header {index}"),
        ));
    }
    vars
}

fn uwsgi_packet(vars: &[(String, String)]) -> Result<Vec<u8>, anyhow::Error> {
    let mut packet = vec![0; 4];
    for text in vars.iter().flat_map(|(key, value)| [key, value]) {
        packet.extend(u16::try_from(text.len())?.to_le_bytes());
        packet.extend(text.as_bytes());
    }
    let size = u16::try_from(packet.len() - 4)
        .context("the variables do not fit into one uwsgi packet of 65535 bytes")?;
    packet[1..3].copy_from_slice(&size.to_le_bytes());
    Ok(packet)
}

fn http_head(method: &str, uri: &str, body: usize, extra: usize) -> Vec<u8> {
    let mut head = format!(
        "{method} {uri} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: imperator-bench\r\n\
         Accept: */*\r\nAccept-Encoding: gzip, deflate\r\n"
    );
    if body > 0 {
        head += &format!("Content-Type: application/octet-stream\r\nContent-Length: {body}\r\n");
    }
    for index in 0..extra {
        head += &format!("X-Bench-{index}: the value of header {index}\r\n");
    }
    head += "\r\n";
    head.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_states_the_size_of_its_variables() {
        let packet = Kind::Post(10).encode(Protocol::Uwsgi, None).unwrap();
        let size = usize::from(u16::from_le_bytes([packet[1], packet[2]]));
        assert_eq!((packet[0], packet[3]), (0, 0));
        assert_eq!(packet.len(), 4 + size + 10);
        assert!(packet.ends_with(b"xxxxxxxxxx"));
        assert!(
            packet
                .windows(18)
                .any(|part| part == b"CONTENT_LENGTH\x02\x0010")
        );
    }

    #[test]
    fn kinds_are_read_as_they_are_written() {
        for text in ["hello", "headers=20", "post=50000000", "bytes=0"] {
            assert_eq!(text.parse::<Kind>().unwrap().to_string(), text);
        }
        for text in ["", "hello=1", "headers", "headers=501", "post=-1", "get"] {
            assert!(text.parse::<Kind>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_into_a_packet_is_refused() {
        let path = format!("/{}", "x".repeat(70_000));
        assert!(Kind::Hello.encode(Protocol::Uwsgi, Some(&path)).is_err());
    }
}
