//! Rows: requests, limits, static files.

use std::path::PathBuf;

use super::Support::{Differs, Full};
use super::{Invalid, Opt, Value, ignored, opt};

pub(super) static OPTIONS: &[Opt] = &[
    opt(
        "buffer-size",
        Value::Bytes,
        Differs("the default is 32768, and larger requests get 431"),
        "largest block of request variables",
        |draft, given| {
            let size = draft.number32(given)?;
            if size > MAX_BUFFER {
                draft.warn(format!("is more than {MAX_BUFFER}, which is used"), None);
            }
            if size < MIN_BUFFER {
                draft.warn(format!("is less than {MIN_BUFFER}, which is used"), None);
            }
            draft.settings.buffer_size = size.clamp(MIN_BUFFER, MAX_BUFFER);
            Ok(())
        },
    )
    .default("32768")
    .was("4096")
    .short('b'),
    opt(
        "disable-write-exception",
        Value::Flag,
        Differs("is on unless switched off"),
        "keep write errors from the app",
        |draft, given| {
            draft.settings.write_exception = !draft.flag(given);
            Ok(())
        },
    )
    .default("true")
    .was("false"),
    ignored(
        "ignore-sigpipe",
        Value::Flag,
        "do not log clients that went away",
        "a client that went away is counted, not logged",
    ),
    ignored(
        "ignore-write-errors",
        Value::Flag,
        "do not log write errors",
        "write errors are counted, not logged",
    ),
    opt(
        "limit-post",
        Value::Bytes,
        Differs("larger requests get 413"),
        "largest request body",
        |draft, given| {
            draft.settings.limit_post = draft.some(given)?;
            Ok(())
        },
    ),
    ignored(
        "offload-threads",
        Value::Number,
        "threads that send static files",
        "slow clients never hold an app thread",
    )
    .aka(&["offload-thread"]),
    opt(
        "post-buffering",
        Value::Bytes,
        Full,
        "read bodies up to this size before the app is called",
        |draft, given| {
            draft.settings.post_buffering = draft.number(given)?;
            Ok(())
        },
    ),
    opt(
        "static-map",
        Value::Pair,
        Full,
        "serve files of a directory below a prefix, /prefix=/directory",
        |draft, given| {
            let (prefix, directory) = given.text.split_once('=').unwrap_or_default();
            if prefix.trim().is_empty() || directory.trim().is_empty() {
                return Err(Invalid::with_hint(
                    format!("\"{}\" is no static map", given.text),
                    "write /prefix=/directory",
                ));
            }
            let map = (prefix.trim().to_owned(), PathBuf::from(directory.trim()));
            draft.settings.static_maps.push(map);
            Ok(())
        },
    ),
    opt(
        "strict-vars",
        Value::Flag,
        Full,
        "answer 403 to requests that try to load code",
        |draft, given| {
            draft.settings.strict_vars = draft.flag(given);
            Ok(())
        },
    )
    .ours(),
];

/// The size field of a uwsgi packet has 16 bits.
const MAX_BUFFER: u32 = 65535;
/// Less cannot hold the variables of the plainest request.
const MIN_BUFFER: u32 = 1024;
