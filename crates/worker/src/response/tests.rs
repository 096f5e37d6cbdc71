//! Answers: framing, lengths, and what is refused.

use super::*;

const UWSGI: Asked<'static> = Asked {
    protocol: Protocol::Uwsgi,
    version: b"HTTP/1.1",
    head_only: false,
    http11: true,
    keep_alive: false,
    headers_limit: 65536,
    cgi: false,
};
const HTTP: Asked<'static> = Asked {
    protocol: Protocol::Http,
    keep_alive: true,
    ..UWSGI
};

fn head(asked: Asked<'_>, headers: &[(&[u8], &[u8])], whole: Option<usize>) -> String {
    let mut response = Response::new();
    response.start(asked, b"200 OK", headers, false).unwrap();
    response.commit(whole);
    String::from_utf8(response.head).unwrap()
}

#[test]
fn a_uwsgi_answer_gets_no_header_of_ours() {
    let headers: &[(&[u8], &[u8])] = &[(b"X-A", b"1"), (b"X-A", b"2")];
    assert_eq!(
        head(UWSGI, headers, Some(3)),
        "HTTP/1.1 200 OK\r\nX-A: 1\r\nX-A: 2\r\n\r\n"
    );
    let old = Asked {
        version: b"",
        ..UWSGI
    };
    assert_eq!(head(old, &[], None), "HTTP/1.0 200 OK\r\n\r\n");
    let odd = Asked {
        version: b"HTTP/1\r\n",
        ..UWSGI
    };
    assert_eq!(head(odd, &[], None), "HTTP/1.0 200 OK\r\n\r\n");
}

#[test]
fn an_http_answer_is_framed() {
    let close = Asked {
        keep_alive: false,
        ..HTTP
    };
    let http10 = Asked {
        http11: false,
        ..HTTP
    };
    let length: &[(&[u8], &[u8])] = &[(b"content-length", b"5")];
    for (asked, headers, whole, rest) in [
        (HTTP, &[][..], None, "Transfer-Encoding: chunked\r\n"),
        (HTTP, &[], Some(3), "Content-Length: 3\r\n"),
        (HTTP, length, None, "content-length: 5\r\n"),
        (http10, &[], None, "Connection: close\r\n"),
        (
            http10,
            length,
            None,
            "content-length: 5\r\nConnection: keep-alive\r\n",
        ),
        (
            close,
            length,
            None,
            "content-length: 5\r\nConnection: close\r\n",
        ),
        (
            HTTP,
            &[(b"Connection", b"close")],
            Some(0),
            "Connection: close\r\nContent-Length: 0\r\n",
        ),
    ] {
        assert_eq!(
            head(asked, headers, whole),
            format!("HTTP/1.1 200 OK\r\n{rest}\r\n")
        );
    }
}

#[test]
fn content_length_binds_the_app_both_ways() {
    let mut response = Response::new();
    let headers: &[(&[u8], &[u8])] = &[(b"Content-Length", b"5")];
    response.start(HTTP, b"200 OK", headers, false).unwrap();
    response.commit(None);
    assert_eq!((response.admit(3), response.admit(9)), (3, 2));
    assert_eq!(
        (response.cut_bytes, response.end(), response.keep_alive),
        (7, &b""[..], true)
    );
    response.clear();
    response.start(HTTP, b"200 OK", headers, false).unwrap();
    response.commit(None);
    response.admit(4);
    response.end();
    assert_eq!((response.missing_bytes(), response.keep_alive), (1, false));
}

#[test]
fn what_may_have_no_body_gets_none() {
    for (status, head_only) in [
        (&b"200 OK"[..], true),
        (b"204 No Content", false),
        (b"304 Not Modified", false),
    ] {
        let mut response = Response::new();
        let asked = Asked { head_only, ..HTTP };
        response.start(asked, status, &[], false).unwrap();
        response.commit(Some(9));
        assert_eq!(response.admit(9), 0);
        assert_eq!((response.end(), response.keep_alive), (&b""[..], true));
        assert!(!response.head.ends_with(b"chunked\r\n\r\n"));
    }
}

#[test]
fn bad_heads_are_refused_and_change_nothing() {
    let mut response = Response::new();
    let mut refused = |status: &[u8], headers: &[(&[u8], &[u8])]| {
        response.start(HTTP, status, headers, false).unwrap_err()
    };
    for status in [
        "",
        "20",
        "2000",
        "OK",
        "200\r\nX: y",
        "200 a\nb",
        "200 \0",
        "099 x",
        "200OK",
    ] {
        assert_eq!(
            refused(status.as_bytes(), &[]),
            StartError::Status,
            "{status:?}"
        );
    }
    for name in [&b""[..], b"a b", b"a:", b"a\r\nb", b"\xe4"] {
        assert!(matches!(
            refused(b"200 OK", &[(name, b"")]),
            StartError::HeaderName(_)
        ));
    }
    for value in [&b"a\r\nb: c"[..], b"a\nb", b"\r", b"\0", b"\x1b"] {
        assert!(matches!(
            refused(b"200 OK", &[(b"a", value)]),
            StartError::HeaderValue(_)
        ));
    }
    for values in [&[&b"x"[..]][..], &[b""], &[b"-1"], &[b"1", b"1"]] {
        let headers: Vec<(&[u8], &[u8])> = values
            .iter()
            .map(|value| (&b"Content-Length"[..], *value))
            .collect();
        assert_eq!(refused(b"200 OK", &headers), StartError::ContentLength);
    }
    let long = vec![b'x'; 65536];
    assert_eq!(refused(b"200 OK", &[(b"a", &long)]), StartError::TooBig);
    assert!(!response.is_started());
}

#[test]
fn a_start_can_be_replaced_until_the_head_is_final() {
    let mut response = Response::new();
    response
        .start(UWSGI, b"200 OK", &[(b"A", b"1")], false)
        .unwrap();
    assert_eq!(
        response.start(UWSGI, b"500 X", &[], false),
        Err(StartError::Twice)
    );
    response.start(UWSGI, b"500 X", &[], true).unwrap();
    response.commit(None);
    assert_eq!(response.head, b"HTTP/1.1 500 X\r\n\r\n");
    assert_eq!(
        response.start(UWSGI, b"500 X", &[], true),
        Err(StartError::HeadSent)
    );
}
