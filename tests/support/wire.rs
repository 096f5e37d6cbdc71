//! Clients: the uwsgi protocol and HTTP/1.1 over Unix sockets and TCP. Small on purpose, and not
//! made of the product's own codec, so that a mistake in one does not hide in the other.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where a server listens.
#[derive(Debug, Clone)]
pub(crate) enum Address {
    Unix(PathBuf),
    Tcp(SocketAddr),
}

impl From<&Path> for Address {
    fn from(path: &Path) -> Self {
        Self::Unix(path.to_owned())
    }
}

impl From<PathBuf> for Address {
    fn from(path: PathBuf) -> Self {
        Self::Unix(path)
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl From<u16> for Address {
    /// A port of 127.0.0.1.
    fn from(port: u16) -> Self {
        Self::Tcp(SocketAddr::from(([127, 0, 0, 1], port)))
    }
}

/// One connection. A read that takes a minute is an error: no test hangs.
pub(crate) enum Exchange {
    Unix(UnixStream),
    Tcp(TcpStream),
}

const READ_DEADLINE: Duration = Duration::from_secs(60);

impl Exchange {
    pub(crate) fn connect(to: &Address) -> io::Result<Self> {
        match to {
            Address::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(READ_DEADLINE))?;
                stream.set_write_timeout(Some(READ_DEADLINE))?;
                Ok(Self::Unix(stream))
            }
            Address::Tcp(address) => {
                let stream = TcpStream::connect(address)?;
                stream.set_read_timeout(Some(READ_DEADLINE))?;
                stream.set_write_timeout(Some(READ_DEADLINE))?;
                stream.set_nodelay(true)?;
                Ok(Self::Tcp(stream))
            }
        }
    }

    /// No more will be sent.
    pub(crate) fn finish(&self) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
        }
    }

    /// Everything until the server closes.
    pub(crate) fn read_all(&mut self) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        self.read_to_end(&mut all)?;
        Ok(all)
    }
}

impl Read for Exchange {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.read(buffer),
            Self::Tcp(stream) => stream.read(buffer),
        }
    }
}

impl Write for Exchange {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.write(bytes),
            Self::Tcp(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An answer. `status` is 0 when the server closed without a whole head.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// `HTTP/1.1 200 OK`
    pub(crate) line: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// False: the body ended before its framing said so.
    pub(crate) complete: bool,
}

impl Reply {
    /// The first header of this name, in any case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let same = |key: &str| key.eq_ignore_ascii_case(name);
        self.headers
            .iter()
            .find_map(|(key, value)| same(key).then_some(value.as_str()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    /// Reads an answer that ends with the connection, as all of the uwsgi protocol do.
    pub(crate) fn parse(raw: &[u8]) -> Self {
        let Some(end) = find(raw, b"\r\n\r\n") else {
            return Self {
                body: raw.to_vec(),
                ..Self::default()
            };
        };
        let head = String::from_utf8_lossy(&raw[..end]).into_owned();
        let mut lines = head.split("\r\n");
        let line = lines.next().unwrap_or_default().to_owned();
        let status = line.split(' ').nth(1).and_then(|word| word.parse().ok());
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(key, value)| (key.to_owned(), value.trim().to_owned()))
            .collect();
        let mut reply = Self {
            status: status.unwrap_or(0),
            line,
            headers,
            body: raw[end + 4..].to_vec(),
            complete: true,
        };
        let length: Option<usize> = reply
            .header("content-length")
            .and_then(|text| text.parse().ok());
        let chunked = reply.header("transfer-encoding").is_some();
        if chunked {
            (reply.body, reply.complete) = unchunk(&reply.body);
        } else if let Some(length) = length {
            reply.complete = reply.body.len() == length;
        }
        reply
    }
}

/// The variables of a request, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Vars(pub(crate) Vec<(Vec<u8>, Vec<u8>)>);

impl Vars {
    /// What a front end sends at least.
    pub(crate) fn request(method: &str, uri: &str) -> Self {
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        Self::default()
            .with("QUERY_STRING", query)
            .with("REQUEST_METHOD", method)
            .with("CONTENT_TYPE", "")
            .with("CONTENT_LENGTH", "")
            .with("REQUEST_URI", uri)
            .with("PATH_INFO", path)
            .with("DOCUMENT_ROOT", "/usr/share/nginx/html")
            .with("SERVER_PROTOCOL", "HTTP/1.1")
            .with("REQUEST_SCHEME", "http")
            .with("REMOTE_ADDR", "127.0.0.1")
            .with("REMOTE_PORT", "51234")
            .with("SERVER_PORT", "80")
            .with("SERVER_NAME", "test.example")
            .with("HTTP_HOST", "test.example")
    }

    /// Replaces the variable, or adds it at the end.
    pub(crate) fn with(mut self, key: &str, value: &str) -> Self {
        let value = value.as_bytes().to_vec();
        match self.0.iter_mut().find(|(name, _)| name == key.as_bytes()) {
            Some(there) => there.1 = value,
            None => self.0.push((key.as_bytes().to_vec(), value)),
        }
        self
    }

    /// Adds it even when it is there: what a peer that lies sends.
    pub(crate) fn again(mut self, key: &str, value: &str) -> Self {
        self.0
            .push((key.as_bytes().to_vec(), value.as_bytes().to_vec()));
        self
    }

    pub(crate) fn without(mut self, key: &str) -> Self {
        self.0.retain(|(name, _)| name != key.as_bytes());
        self
    }

    /// The packet. Panics over 65535 bytes: write such a one by hand.
    pub(crate) fn packet(&self, modifier1: u8, modifier2: u8) -> Vec<u8> {
        let mut block = Vec::new();
        for (key, value) in &self.0 {
            for text in [key, value] {
                block.extend(u16::try_from(text.len()).unwrap().to_le_bytes());
                block.extend(text);
            }
        }
        let size = u16::try_from(block.len()).unwrap().to_le_bytes();
        [&[modifier1, size[0], size[1], modifier2], &block[..]].concat()
    }
}

/// One request of the uwsgi protocol. An error: no connection, or one that was cut.
pub(crate) fn uwsgi(to: &Address, vars: &Vars, body: &[u8]) -> io::Result<Reply> {
    let mut exchange = Exchange::connect(to)?;
    let vars = match body.len() {
        0 => vars.clone(),
        length => vars.clone().with("CONTENT_LENGTH", &length.to_string()),
    };
    let mut bytes = vars.packet(0, 0);
    bytes.extend(body);
    // A server may answer and close before it has read everything.
    let sent = exchange.write_all(&bytes);
    let raw = exchange.read_all();
    match (sent, raw) {
        (_, Ok(raw)) if !raw.is_empty() => Ok(Reply::parse(&raw)),
        (Err(error), _) | (_, Err(error)) => Err(error),
        (Ok(()), Ok(_)) => Ok(Reply::default()),
    }
}

/// `GET` over the uwsgi protocol.
pub(crate) fn uwsgi_get(to: impl Into<Address>, uri: &str) -> io::Result<Reply> {
    uwsgi(&to.into(), &Vars::request("GET", uri), b"")
}

/// One HTTP/1.1 request with `Connection: close`.
pub(crate) fn http(
    to: &Address,
    method: &str,
    uri: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<Reply> {
    let mut exchange = Exchange::connect(to)?;
    let mut head = format!("{method} {uri} HTTP/1.1\r\nConnection: close\r\n");
    if !headers
        .iter()
        .any(|(key, _)| key.eq_ignore_ascii_case("host"))
    {
        head.push_str("Host: test.example\r\n");
    }
    for (key, value) in headers {
        head.push_str(&format!("{key}: {value}\r\n"));
    }
    if !body.is_empty() || method == "POST" {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    let sent = exchange
        .write_all(head.as_bytes())
        .and_then(|()| exchange.write_all(body));
    let raw = exchange.read_all();
    let mut reply = match (sent, raw) {
        (_, Ok(raw)) if !raw.is_empty() => Reply::parse(&raw),
        (Err(error), _) | (_, Err(error)) => return Err(error),
        (Ok(()), Ok(_)) => Reply::default(),
    };
    if method == "HEAD" {
        reply.complete = reply.status != 0;
    }
    Ok(reply)
}

/// `GET` over HTTP.
pub(crate) fn http_get(to: impl Into<Address>, uri: &str) -> io::Result<Reply> {
    http(&to.into(), "GET", uri, &[], b"")
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

/// The body of a chunked answer, and whether its last chunk came.
fn unchunk(mut raw: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    while let Some(end) = find(raw, b"\r\n") {
        let size = String::from_utf8_lossy(&raw[..end]).into_owned();
        let size = size.split(';').next().unwrap_or_default().trim();
        let Ok(size) = usize::from_str_radix(size, 16) else {
            return (body, false);
        };
        let start = end + 2;
        if size == 0 {
            return (body, true);
        }
        if raw.len() < start + size + 2 {
            return (body, false);
        }
        body.extend(&raw[start..start + size]);
        raw = &raw[start + size + 2..];
    }
    (body, false)
}
