//! The line by which a proxy in front tells whose connection it passes on (PROXY protocol,
//! version 1). Pure.

use std::net::{IpAddr, SocketAddr};

use crate::refusal::Refusal;

/// The longest line that the protocol allows.
const MAX_LINE: usize = 107;
/// How version 2 begins.
const BINARY: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A line that is there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) length: usize,
    /// `None`: the proxy does not say.
    pub(crate) client: Option<SocketAddr>,
}

/// Reads the line at the start of a connection; `None`: it is not all there yet. A connection
/// without one is refused: its client could else write a line of its own.
pub(crate) fn line(bytes: &[u8]) -> Result<Option<Line>, Refusal> {
    let bad = |why: &str| Refusal::bad(format!("enable-proxy-protocol: {why}"));
    if bytes.starts_with(BINARY) {
        return Err(bad(
            "the proxy speaks version 2, and only version 1 is read",
        ));
    }
    let start = b"PROXY ";
    let known = bytes.len().min(start.len());
    if bytes[..known] != start[..known] {
        return Err(bad("the connection does not begin with a PROXY line"));
    }
    let looked_at = &bytes[..bytes.len().min(MAX_LINE)];
    let Some(end) = memchr::memmem::find(looked_at, b"\r\n") else {
        return match looked_at.len() < MAX_LINE {
            true => Ok(None),
            false => Err(bad("the PROXY line has no end")),
        };
    };
    let text = std::str::from_utf8(&bytes[..end]).unwrap_or_default();
    let client = client(text).ok_or_else(|| bad("the PROXY line is none of version 1"))?;
    let length = end + 2;
    Ok(Some(Line { length, client }))
}

/// `PROXY TCP4 192.0.2.1 192.0.2.2 51234 80`, or `PROXY UNKNOWN …`.
fn client(text: &str) -> Option<Option<SocketAddr>> {
    let mut words = text.split(' ').skip(1);
    let family = words.next()?;
    if family == "UNKNOWN" {
        return Some(None);
    }
    let ip: IpAddr = words.next()?.parse().ok()?;
    let _: IpAddr = words.next()?.parse().ok()?;
    let port: u16 = words.next()?.parse().ok()?;
    let _: u16 = words.next()?.parse().ok()?;
    let is_family = match family {
        "TCP4" => ip.is_ipv4(),
        "TCP6" => ip.is_ipv6(),
        _ => false,
    };
    let is_all = words.next().is_none();
    (is_family && is_all).then(|| Some(SocketAddr::new(ip, port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_name_their_client() {
        let read = |text: &str| line(text.as_bytes()).unwrap().unwrap();
        let v4 = read("PROXY TCP4 192.0.2.1 192.0.2.2 51234 80\r\nGET / HTTP/1.1");
        assert_eq!(v4.length, 41);
        assert_eq!(v4.client, Some("192.0.2.1:51234".parse().unwrap()));
        let v6 = read("PROXY TCP6 2001:db8::1 ::1 1 80\r\n");
        assert_eq!(v6.client, Some("[2001:db8::1]:1".parse().unwrap()));
        assert_eq!(read("PROXY UNKNOWN\r\n").client, None);
        assert_eq!(read("PROXY UNKNOWN ffff:: ::1 1 2\r\n").client, None);
    }

    #[test]
    fn a_line_that_is_not_all_there_is_waited_for_and_another_is_refused() {
        let whole = b"PROXY TCP4 192.0.2.1 192.0.2.2 51234 80\r\n";
        for end in 0..whole.len() {
            assert_eq!(line(&whole[..end]), Ok(None));
        }
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(100));
        for bytes in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"PROXX",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 51234\r\n",
            b"PROXY TCP4 ::1 ::1 1 2\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 51234 80 1\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 99999 80\r\n",
            b"PROXY \xff\r\n",
            BINARY,
            long.as_bytes(),
        ] {
            assert_eq!(
                line(bytes).unwrap_err().status,
                400,
                "{}",
                bytes.escape_ascii()
            );
        }
    }
}
