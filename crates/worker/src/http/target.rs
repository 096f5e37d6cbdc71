//! The target of an HTTP request (RFC 9112 §3.2). Pure.

use std::borrow::Cow;

use crate::refusal::Refusal;

/// A target, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target<'a> {
    pub(crate) path: &'a [u8],
    pub(crate) query: &'a [u8],
    /// Of an absolute URI.
    pub(crate) host: Option<&'a [u8]>,
}

impl<'a> Target<'a> {
    pub(crate) fn parse(method: &str, uri: &'a str) -> Result<Self, Refusal> {
        if method == "CONNECT" {
            return Err(Refusal::new(
                501,
                "CONNECT is for proxies, and this is none",
            ));
        }
        if uri == "*" && method == "OPTIONS" {
            return Ok(Self {
                path: b"*",
                query: b"",
                host: None,
            });
        }
        let (host, rest) = match uri.split_once("://") {
            Some((scheme, rest)) if is_http(scheme) => {
                let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
                let (authority, rest) = rest.split_at(end);
                // RFC 9112 §3.2.2: user information has no business here.
                let host = authority.rsplit('@').next().unwrap_or(authority);
                (Some(host.as_bytes()), rest)
            }
            _ if uri.starts_with('/') => (None, uri),
            _ => return Err(Refusal::bad("the request's URI is no path")),
        };
        let rest = rest.split('#').next().unwrap_or(rest);
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let path = if path.is_empty() { "/" } else { path };
        Ok(Self {
            path: path.as_bytes(),
            query: query.as_bytes(),
            host,
        })
    }
}

fn is_http(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
}

/// `%41` becomes `A`; what is no escape stays as it is, as in the original. `%00` ends strings in
/// too many places to be let through.
pub(crate) fn decoded(path: &[u8]) -> Result<Cow<'_, [u8]>, Refusal> {
    if !path.contains(&b'%') {
        return Ok(Cow::Borrowed(path));
    }
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&byte, after)) = rest.split_first() {
        let digit = |at: usize| after.get(at).and_then(|&byte| (byte as char).to_digit(16));
        match (byte, digit(0), digit(1)) {
            (b'%', Some(0), Some(0)) => return Err(Refusal::bad("the URI holds %00")),
            (b'%', Some(high), Some(low)) => {
                // Two hexadecimal digits fit a byte.
                out.push((high << 4 | low) as u8);
                rest = &after[2..];
            }
            _ => {
                out.push(byte);
                rest = after;
            }
        }
    }
    Ok(Cow::Owned(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_once_and_broken_ones_stay() {
        for (path, expected) in [
            ("/a%2Fb", "/a/b"),
            ("/%2541", "/%41"),
            ("/%zz%4", "/%zz%4"),
            ("/%", "/%"),
            ("/plain", "/plain"),
        ] {
            assert_eq!(decoded(path.as_bytes()).unwrap(), expected.as_bytes());
        }
        assert_eq!(decoded(b"/%00").unwrap_err().status, 400);
    }

    #[test]
    fn absolute_uris_name_their_host() {
        for (uri, host, path, query) in [
            ("/a?b?c", None, "/a", "b?c"),
            ("http://h", Some("h"), "/", ""),
            ("HTTPS://u:p@h:1?q", Some("h:1"), "/", "q"),
            ("/redirect?to=http://x/", None, "/redirect", "to=http://x/"),
            ("/a#f", None, "/a", ""),
        ] {
            let target = Target::parse("GET", uri).unwrap();
            assert_eq!(target.host, host.map(str::as_bytes), "{uri}");
            assert_eq!(target.path, path.as_bytes(), "{uri}");
            assert_eq!(target.query, query.as_bytes(), "{uri}");
        }
        for uri in ["x", "", "*", "ftp://x/", "x:80"] {
            assert_eq!(Target::parse("GET", uri).unwrap_err().status, 400, "{uri}");
        }
    }
}
