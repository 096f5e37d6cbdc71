//! Rows: what an app listens on.

use super::Support::{Differs, Full, Ignored, Later, Refused};
use super::listens::Named;
use super::{Draft, Given, Invalid, Opt, Value, ignored, opt, values};
use crate::address::Address;
use crate::settings::Protocol;
use crate::settings::tls::Tls;

pub(super) static OPTIONS: &[Opt] = &[
    opt(
        "abstract-socket",
        Value::Flag,
        Full,
        "Unix sockets have names in the kernel, and no files",
        |draft, given| {
            draft.listens.are_abstract = draft.flag(given);
            Ok(())
        },
    )
    .default("false")
    .short('a'),
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
        set!(chown_socket, text),
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
    closed("fastcgi-nph-socket", "listen for FastCGI on this address"),
    closed("fastcgi-socket", "listen for FastCGI on this address"),
    opt(
        "freebind",
        Value::Flag,
        Full,
        "listen on addresses that this machine does not have yet",
        set!(tcp.freebind, flag),
    )
    .default("false"),
    opt(
        "listen",
        Value::Number,
        Differs("the default is 1024, and more than the system allows is a warning"),
        "length of the queue of connections that wait",
        |draft, given| {
            draft.settings.backlog = {
                let default = draft.settings.backlog;
                draft.count(given, default)?
            };
            Ok(())
        },
    )
    .default("1024")
    .was("100")
    .short('l')
    .immediate(),
    opt(
        "map-socket",
        Value::Text,
        Later("run two apps, each with a socket and workers of its own"),
        "let only these workers accept on a socket",
        super::nothing,
    ),
    opt(
        "no-defer-accept",
        Value::Flag,
        Full,
        "accept TCP connections before their first byte is there",
        |draft, given| {
            draft.settings.tcp.defer_accept = !draft.flag(given);
            Ok(())
        },
    )
    .default("false"),
    opt(
        "protocol",
        Value::Text,
        Full,
        "what a plain socket speaks: uwsgi or http",
        |draft, given| draft.protocol(given),
    )
    .default("uwsgi")
    .aka(&["socket-protocol"]),
    closed("puwsgi-socket", "listen for lasting uwsgi connections"),
    closed("raw-socket", "hand connections to the app as they are"),
    opt(
        "reuse-port",
        Value::Flag,
        Full,
        "let other processes listen on the same TCP port",
        set!(tcp.reuse_port, flag),
    )
    .default("false"),
    closed("scgi-nph-socket", "listen for SCGI on this address"),
    closed("scgi-socket", "listen for SCGI on this address"),
    opt(
        "shared-socket",
        Value::Address,
        Differs("is listened on only where socket = =0 or its like uses it"),
        "an address that socket = =0 (the first), =1 … mean",
        |draft, given| draft.share(given),
    )
    .aka(&["undeferred-shared-socket"]),
    ignored(
        "shutdown-sockets",
        Value::Flag,
        "close listening sockets at the start of a stop",
        "they are closed at the start of a stop",
    ),
    opt(
        "so-keepalive",
        Value::Flag,
        Full,
        "let the kernel look after silent TCP connections",
        set!(tcp.keepalive, flag),
    )
    .default("false"),
    ignored(
        "so-send-timeout",
        Value::Seconds,
        "wait this long for a client to take something",
        "socket-timeout and http-timeout bound each wait",
    )
    .aka(&[
        "socket-send-timeout",
        "so-write-timeout",
        "socket-write-timeout",
    ]),
    opt(
        "socket",
        Value::Address,
        Full,
        "listen on this Unix path, @name or ip:port",
        |draft, given| draft.listen(None, given),
    )
    .short('s'),
    opt(
        "socket-rcvbuf",
        Value::Bytes,
        Full,
        "the kernel's receive buffer of a connection",
        |draft, given| {
            draft.settings.tcp.receive_buffer = buffer(draft, given)?;
            Ok(())
        },
    ),
    opt(
        "socket-sndbuf",
        Value::Bytes,
        Full,
        "the kernel's send buffer of a connection",
        |draft, given| {
            draft.settings.tcp.send_buffer = buffer(draft, given)?;
            Ok(())
        },
    ),
    opt(
        "socket-timeout",
        Value::Seconds,
        Full,
        "wait this long for a silent client",
        set!(socket_timeout, seconds),
    )
    .default("4")
    .short('z'),
    closed("suwsgi-socket", "listen for the uwsgi protocol over TLS").aka(&["ssl-socket"]),
    opt(
        "tcp-fast-open",
        Value::Number,
        Full,
        "length of the queue of TCP connections that begin with data",
        |draft, given| {
            let length = draft.number32(given)?;
            draft.settings.tcp.fast_open = Some(length).filter(|&length| length > 0);
            Ok(())
        },
    )
    .aka(&["tcp-fastopen"])
    .default("0"),
    ignored(
        "tcp-fast-open-client",
        Value::Flag,
        "send data with the first packet of a connection of ours",
        "there is no router process that would connect",
    )
    .aka(&["tcp-fastopen-client"]),
    ignored(
        "tcp-nodelay",
        Value::Flag,
        "send small answers at once",
        "it is on for every TCP connection",
    ),
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
        set!(vacuum, flag),
    )
    .default("true")
    .was("false"),
];

const fn closed(name: &'static str, help: &'static str) -> Opt {
    opt(
        name,
        Value::Address,
        Refused {
            why: "only the uwsgi protocol and HTTP are spoken here",
            instead: "write socket (nginx: uwsgi_pass) or http-socket (nginx: proxy_pass)",
            stops: true,
        },
        help,
        super::nothing,
    )
}

/// The kernel counts in an int.
fn buffer(draft: &mut Draft, given: &Given<'_>) -> Result<Option<u32>, Invalid> {
    let bytes = draft.number32(given)?.min(i32::MAX.unsigned_abs());
    Ok(Some(bytes).filter(|&bytes| bytes > 0))
}

/// The mode of a socket on demand whose app names none, as the original has it.
const OPEN: u32 = 0o666;

impl Draft {
    pub(super) fn listen(
        &mut self,
        protocol: Option<Protocol>,
        given: &Given<'_>,
    ) -> Result<(), Invalid> {
        self.add_socket(protocol, None, given)
    }

    /// `address,certificate,key[,ciphers[,ca]]`, or the same with names in front (`https2`).
    pub(super) fn listen_tls(&mut self, given: &Given<'_>) -> Result<(), Invalid> {
        const FORM: &str = "write address,certificate.pem,key.pem";
        let part = |index: usize, name: &str| {
            let named = given.text.contains("addr=");
            let mut parts = given.text.split(',');
            let part = match named {
                true => parts.find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('=')),
                false => parts.nth(index),
            };
            part.filter(|part| !part.is_empty())
        };
        let (Some(text), Some(certificate), Some(key)) =
            (part(0, "addr"), part(1, "cert"), part(2, "key"))
        else {
            let text = format!("\"{}\" names no address, certificate and key", given.text);
            return Err(Invalid::with_hint(text, FORM));
        };
        if part(4, "ca").is_some() {
            return Err(Invalid::with_hint(
                "certificates of clients cannot be asked for yet",
                "let nginx or Apache check them in front, and listen with http-socket here",
            ));
        }
        if part(3, "ciphers").is_some() {
            self.warn(
                "ignores its ciphers: TLS 1.2 and 1.3 are spoken, with safe ones only",
                "remove them",
            );
        }
        let tls = Tls {
            certificate: certificate.into(),
            key: key.into(),
        };
        self.add_socket(Some(Protocol::Http), Some(tls), &Given { text, ..*given })
    }

    fn add_socket(
        &mut self,
        protocol: Option<Protocol>,
        tls: Option<Tls>,
        given: &Given<'_>,
    ) -> Result<(), Invalid> {
        let named = match given.text.strip_prefix('=') {
            Some(number) => {
                let text = number;
                let number = self.number(&Given { text, ..*given })?;
                Named::Shared(usize::try_from(number).unwrap_or(usize::MAX))
            }
            None => Named::Address(self.address(given)?),
        };
        let place = given.place.clone();
        self.listens.add(protocol, named, tls, place);
        Ok(())
    }

    /// Listens there, too, if it does not already, and starts nothing before somebody connects.
    pub fn listen_on_demand(&mut self, given: &Given<'_>) -> Result<(), Invalid> {
        let address = self.address(given)?;
        if !self.listens.has(&address) {
            if self.listens.is_empty() && matches!(address, Address::Unix(_)) {
                // The front end runs as another user, and the app's config names no socket.
                self.settings.chmod_socket.get_or_insert(OPEN);
            }
            let place = given.place.clone();
            self.listens.add(None, Named::Address(address), None, place);
        }
        self.settings.scaling.cheap = true;
        Ok(())
    }

    pub(super) fn share(&mut self, given: &Given<'_>) -> Result<(), Invalid> {
        let address = self.address(given)?;
        self.listens.share(address, given.place.clone());
        Ok(())
    }

    fn address(&mut self, given: &Given<'_>) -> Result<Address, Invalid> {
        match values::address_before_text(given.text) {
            Some(before) => {
                let text = format!("reads only \"{before}\" of \"{}\"", given.text);
                self.warn(text, format!("write {before}"));
                values::address(before)
            }
            None => values::address(given.text).or_else(|invalid| {
                let host = values::host_without_port(given.text).ok_or(invalid)?;
                let text = format!(
                    "names no port in \"{}\", so the kernel picks one",
                    given.text
                );
                self.warn(text, format!("write {host}:8000, or set the variable"));
                values::address(&format!("{host}:0"))
            }),
        }
    }

    pub(super) fn protocol(&mut self, given: &Given<'_>) -> Result<(), Invalid> {
        self.listens.protocol = match given.text {
            "uwsgi" => Protocol::Uwsgi,
            "http" => Protocol::Http,
            "http11" => {
                let text = "1";
                self.http_keepalive(&Given { text, ..*given })?;
                Protocol::Http
            }
            other => {
                return Err(Invalid::with_hint(
                    format!("\"{other}\" is not spoken here"),
                    "write uwsgi or http",
                ));
            }
        };
        Ok(())
    }
}
