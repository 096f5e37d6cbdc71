//! Rows: HTTP sockets. The original has a router process for `http`; here the workers speak HTTP.

use super::Support::{Differs, Full, Later, Refused};
use super::{Draft, Invalid, Opt, Value, ignored, opt};
use crate::settings::Protocol;
use crate::settings::trust::Peer;

pub(super) static OPTIONS: &[Opt] = &[
    opt(
        "enable-proxy-protocol",
        Value::Flag,
        Differs("the line is required then, as a client could else claim any address"),
        "read the client's address from the PROXY line of a proxy in front",
        |draft, given| {
            draft.settings.http.proxy_protocol |= draft.flag(given);
            Ok(())
        },
    )
    .aka(&["http-enable-proxy-protocol"])
    .default("false"),
    opt(
        "http",
        Value::Address,
        Differs("the workers serve HTTP themselves; there is no router process"),
        "listen for HTTP on this address",
        |draft, given| draft.listen(Some(Protocol::Http), given),
    )
    .aka(&["httprouter"]),
    ignored(
        "http-auto-chunked",
        Value::Flag,
        "send answers of unknown length in chunks",
        "they are sent in chunks to HTTP/1.1 clients anyway",
    ),
    opt(
        "http-auto-gzip",
        Value::Flag,
        Later("let nginx compress answers (gzip on)"),
        "compress answers that ask for it",
        super::nothing,
    ),
    ignored(
        "http-buffer-size",
        Value::Bytes,
        "the router's buffer",
        "there is no router process; buffer-size bounds heads",
    ),
    ignored(
        "http-cheap",
        Value::Flag,
        "do without the router while there are no workers",
        "there is no router process",
    ),
    ignored(
        "http-chunked-input",
        Value::Flag,
        "let the app read chunked bodies",
        "chunked bodies are decoded for every app",
    ),
    ignored(
        "http-connect-timeout",
        Value::Seconds,
        "wait this long for a connection to a worker",
        "there is no router process that would connect",
    ),
    ignored(
        "http-events",
        Value::Number,
        "the router's event queue",
        "there is no router process",
    ),
    refused_router("http-fallback", "other nodes to send requests to"),
    ignored(
        "http-gid",
        Value::Text,
        "the router's group",
        "there is no router process; workers have the app's group",
    ),
    ignored(
        "http-gracetime",
        Value::Seconds,
        "try dead nodes again after this long",
        "there is no router process",
    ),
    opt(
        "http-harakiri",
        Value::Seconds,
        Later("set harakiri: it bounds requests, and http-timeout silent clients"),
        "end connections after this long",
        super::nothing,
    ),
    opt(
        "http-headers-timeout",
        Value::Seconds,
        Differs("counts the whole head, not each byte of it anew; 30 s are the most"),
        "wait this long for the head of a request",
        |draft, given| {
            let seconds = draft.seconds(given)?;
            draft.settings.http.head_timeout = Some(seconds).filter(|it| !it.is_zero());
            Ok(())
        },
    )
    .default("http-timeout, 30 at most"),
    opt(
        "http-keepalive",
        Value::Seconds,
        Full,
        "keep HTTP connections open between requests, 1 for the usual time",
        |draft, given| draft.http_keepalive(given),
    )
    .default("0"),
    ignored(
        "http-manage-expect",
        Value::Bytes,
        "answer clients that wait for \"100 Continue\"",
        "they are answered anyway, and limit-post bounds bodies",
    ),
    ignored(
        "http-manage-rtsp",
        Value::Flag,
        "pass RTSP through",
        "no WSGI app speaks it",
    ),
    ignored(
        "http-manage-source",
        Value::Flag,
        "pass Icecast's SOURCE through",
        "no WSGI app speaks it",
    ),
    modifier("http-modifier1"),
    modifier("http-modifier2"),
    ignored(
        "http-processes",
        Value::Number,
        "router processes",
        "there is no router process; the workers serve HTTP",
    )
    .aka(&["http-workers"]),
    ignored(
        "http-quiet",
        Value::Flag,
        "do not log failed connections to workers",
        "there is no router process that would connect",
    ),
    ignored(
        "http-raw-body",
        Value::Flag,
        "pass bodies on as they come",
        "there is no router process; bodies reach the app as they come",
    ),
    opt(
        "http-server-name-as-http-host",
        Value::Flag,
        Differs("holds for http-socket, too"),
        "SERVER_NAME is the host that the client asked for",
        set!(http.server_name_is_host, flag),
    )
    .default("false"),
    opt(
        "http-socket",
        Value::Address,
        Full,
        "listen for HTTP on this address",
        |draft, given| draft.listen(Some(Protocol::Http), given),
    ),
    modifier("http-socket-modifier1"),
    modifier("http-socket-modifier2"),
    opt(
        "http-stats",
        Value::Address,
        Later("ask the app's own stats socket (stats = ADDRESS)"),
        "serve the router's numbers on this address",
        super::nothing,
    )
    .aka(&["http-ss", "http-stats-server"]),
    ignored(
        "http-stud-prefix",
        Value::Address,
        "expect stud's prefix from this address",
        "stud is gone; write enable-proxy-protocol for its successors",
    ),
    opt(
        "http-timeout",
        Value::Seconds,
        Full,
        "wait this long for a silent HTTP client",
        set!(http_timeout, seconds),
    )
    .default("60"),
    opt(
        "http-to",
        Value::Address,
        Refused {
            why: "it makes a proxy of the router, and there is none here",
            instead: "let nginx or Apache pass requests on, or name the app to run",
            stops: true,
        },
        "pass requests on to this server",
        super::nothing,
    ),
    opt(
        "http-to-https",
        Value::Address,
        Later("let nginx redirect (return 301 https://$host$request_uri)"),
        "redirect HTTP to HTTPS",
        super::nothing,
    ),
    ignored(
        "http-uid",
        Value::Text,
        "the router's user",
        "there is no router process; workers have the app's user",
    ),
    refused_router("http-use-base", "map hosts to sockets"),
    refused_router("http-use-cache", "map hosts to sockets"),
    refused_router("http-use-code-string", "map hosts to sockets"),
    refused_router("http-use-pattern", "map hosts to sockets"),
    ignored(
        "http-use-socket",
        Value::Text,
        "pass requests on to this socket of the app",
        "the workers serve HTTP themselves",
    ),
    opt(
        "http-var",
        Value::Pair,
        Differs("holds for http-socket, too"),
        "give each HTTP request this variable, K=V",
        |draft, given| {
            let Some((key, value)) = given.text.split_once('=') else {
                return Err(Invalid::with_hint(
                    format!("\"{}\" is no variable", given.text),
                    "write NAME=VALUE",
                ));
            };
            let var = (key.to_owned(), value.to_owned());
            draft.settings.http.vars.push(var);
            Ok(())
        },
    ),
    opt(
        "http-websockets",
        Value::Flag,
        Later("run the app's WebSockets with an ASGI server behind nginx"),
        "let the app take over WebSocket connections",
        super::nothing,
    ),
    opt(
        "http11-socket",
        Value::Address,
        Full,
        "listen for HTTP on this address, with keep-alive",
        |draft, given| {
            let keep = super::Given {
                text: "1",
                ..*given
            };
            draft.http_keepalive(&keep)?;
            draft.listen(Some(Protocol::Http), given)
        },
    ),
    tls("https"),
    tls("https-socket"),
    tls("https2"),
    opt(
        "trusted-proxy",
        Value::Text,
        Full,
        "believe the X-Forwarded-Proto of an address, a network, or unix",
        |draft, given| {
            for text in given.text.split([',', ' ']).filter(|it| !it.is_empty()) {
                let peer = Peer::parse(text).map_err(|why| {
                    Invalid::with_hint(why, "write an address, a network like 10.0.0.0/8, or unix")
                })?;
                draft.settings.http.trusted.push(peer);
            }
            Ok(())
        },
    )
    .ours(),
];

const fn tls(name: &'static str) -> Opt {
    opt(
        name,
        Value::Text,
        Differs(
            "the workers speak TLS themselves; ciphers are fixed, clients' certificates an error",
        ),
        "listen for HTTPS, address,certificate,key",
        |draft, given| draft.listen_tls(given),
    )
}

const fn refused_router(name: &'static str, help: &'static str) -> Opt {
    opt(
        name,
        Value::Text,
        Refused {
            why: "it makes a proxy of the router, and there is none here",
            instead: "let nginx or Apache pass requests on",
            stops: false,
        },
        help,
        super::nothing,
    )
}

/// 0 is WSGI, and so is 30.
const fn modifier(name: &'static str) -> Opt {
    opt(
        name,
        Value::Number,
        Differs("only 0 is possible: only WSGI is served"),
        "which plugin HTTP requests go to",
        |draft: &mut Draft, given| match draft.number(given)? {
            0 | 30 => Ok(()),
            other => Err(Invalid::with_hint(
                format!("{other} names a plugin that is not here"),
                "remove the line: HTTP requests go to the WSGI app",
            )),
        },
    )
    .default("0")
}
