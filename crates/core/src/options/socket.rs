//! Rows: what an app listens on.

use super::Support::{Differs, Full, Ignored};
use super::{Opt, Value, ignored, opt, values};
use crate::settings::Protocol;

pub(super) static OPTIONS: &[Opt] = &[
    opt(
        "chmod-socket",
        Value::Mode,
        Full,
        "mode of Unix sockets, three octal digits",
        |draft, given| {
            draft.settings.chmod_socket = Some(values::mode(given.text)?);
            Ok(())
        },
    )
    .aka(&["chmod"])
    .short('C'),
    opt(
        "chown-socket",
        Value::Text,
        Full,
        "user[:group] that Unix sockets belong to",
        |draft, given| {
            draft.settings.chown_socket = Some(super::Draft::some_text(given)?);
            Ok(())
        },
    ),
    ignored(
        "close-on-exec",
        Value::Flag,
        "keep connections from the app's children",
        "no connection is ever inherited by what an app starts",
    ),
    ignored(
        "close-on-exec2",
        Value::Flag,
        "keep listening sockets from the app's children",
        "no listening socket is ever inherited by what an app starts",
    ),
    opt(
        "http",
        Value::Address,
        Differs("the workers serve HTTP themselves; there is no router process"),
        "listen for HTTP on this address",
        |draft, given| draft.listen(Some(Protocol::Http), given),
    ),
    opt(
        "http-keepalive",
        Value::Seconds,
        Full,
        "keep HTTP connections open between requests, 1 for the usual time",
        |draft, given| draft.http_keepalive(given),
    ),
    opt(
        "http-socket",
        Value::Address,
        Full,
        "listen for HTTP on this address",
        |draft, given| draft.listen(Some(Protocol::Http), given),
    ),
    opt(
        "http-timeout",
        Value::Seconds,
        Full,
        "wait this long for a silent HTTP client",
        |draft, given| {
            draft.settings.http_timeout = draft.seconds(given)?;
            Ok(())
        },
    )
    .default("60"),
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
    opt(
        "listen",
        Value::Number,
        Differs("the default is 1024, and more than the system allows is a warning"),
        "length of the queue of connections that wait",
        |draft, given| {
            draft.settings.backlog = draft.count(given)?;
            Ok(())
        },
    )
    .default("1024")
    .was("100")
    .short('l')
    .immediate(),
    opt(
        "protocol",
        Value::Text,
        Full,
        "what a plain socket speaks: uwsgi or http",
        |draft, given| draft.protocol(given),
    )
    .default("uwsgi")
    .aka(&["socket-protocol"]),
    opt(
        "socket",
        Value::Address,
        Full,
        "listen on this Unix path, @name or ip:port",
        |draft, given| draft.listen(None, given),
    )
    .short('s'),
    opt(
        "socket-timeout",
        Value::Seconds,
        Full,
        "wait this long for a silent client",
        |draft, given| {
            draft.settings.socket_timeout = draft.seconds(given)?;
            Ok(())
        },
    )
    .default("4")
    .short('z'),
    opt(
        "thunder-lock",
        Value::Flag,
        Ignored("the kernel wakes one worker for one connection"),
        "take turns at accepting",
        super::nothing,
    ),
    opt(
        "uwsgi-socket",
        Value::Address,
        Full,
        "listen for the uwsgi protocol on this address",
        |draft, given| draft.listen(Some(Protocol::Uwsgi), given),
    ),
    opt(
        "vacuum",
        Value::Flag,
        Differs("is on unless switched off"),
        "remove Unix sockets and pid files at the end",
        |draft, given| {
            draft.settings.vacuum = draft.flag(given);
            Ok(())
        },
    )
    .default("true")
    .was("false"),
];
