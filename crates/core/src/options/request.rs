//! Rows: requests and their limits, answers, which of several apps is meant.

use super::Support::{Differs, Full, Later};
use super::{Draft, Given, Invalid, Opt, Value, ignored, opt};

pub(super) static OPTIONS: &[Opt] = &[
    opt(
        "add-header",
        Value::Text,
        Differs("Content-Length and Transfer-Encoding are left to the answer"),
        "send this header with every answer, Name: value",
        |draft, given| {
            if let Some(line) = header(draft, given)? {
                draft.settings.answers.add_headers.push(line);
            }
            Ok(())
        },
    ),
    ignored(
        "allowed-modifiers",
        Value::Text,
        "serve only requests with these modifiers",
        "only 0 and 30, which are WSGI, are served",
    ),
    ignored(
        "body-read-warning",
        Value::Mebibytes,
        "warn of apps that read large bodies at once",
        "it only warned",
    )
    .was("8"),
    opt(
        "buffer-size",
        Value::Bytes,
        Differs("the default is 32768, and larger requests get 431"),
        "largest block of request variables",
        |draft, given| {
            let size = draft.number32(given)?;
            if size > MAX_BUFFER {
                let text = format!("is more than {MAX_BUFFER}, which is used");
                draft.warn(text, format!("write {MAX_BUFFER} or less"));
            }
            if size < MIN_BUFFER {
                let text = format!("is less than {MIN_BUFFER}, which is used");
                draft.warn(text, format!("write {MIN_BUFFER} or more"));
            }
            draft.settings.buffer_size = size.clamp(MIN_BUFFER, MAX_BUFFER);
            Ok(())
        },
    )
    .default("32768")
    .was("4096")
    .short('b'),
    opt(
        "cgi-mode",
        Value::Flag,
        Full,
        "begin answers with Status: instead of HTTP/1.1",
        set!(answers.cgi_mode, flag),
    )
    .default("false")
    .short('c'),
    chunks("chunked-input-limit"),
    chunks("chunked-input-timeout"),
    opt(
        "collect-header",
        Value::Text,
        Later("log the header with %(…) variables that the app sets by uwsgi.set_logvar"),
        "keep an answer's header in a variable, HEADER VARIABLE",
        super::nothing,
    )
    .aka(&["response-header-collect"]),
    opt(
        "del-header",
        Value::Text,
        Full,
        "leave this header out of every answer",
        |draft, given| {
            let name = Draft::some_text(given)?;
            draft.settings.answers.remove_headers.push(name);
            Ok(())
        },
    )
    .aka(&["rem-header"]),
    ignored(
        "disable-sendfile",
        Value::Flag,
        "read and write files instead of sendfile(2)",
        "where a file system has no sendfile(2), files are read and written",
    ),
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
    page(
        "error-page-403",
        "file to send with our own 403",
        |draft, given| error_page(draft, given, 403),
    ),
    page(
        "error-page-404",
        "file to send with our own 404",
        |draft, given| error_page(draft, given, 404),
    ),
    page(
        "error-page-500",
        "file to send with our own 500",
        |draft, given| error_page(draft, given, 500),
    ),
    opt(
        "ignore-script-name",
        Value::Flag,
        Full,
        "SCRIPT_NAME does not choose the app",
        set!(mounting.ignore_script_name, flag),
    )
    .default("false"),
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
        set!(limit_post, some),
    ),
    ignored(
        "max-apps",
        Value::Number,
        "most apps of a worker",
        "there is no limit",
    )
    .was("64"),
    ignored(
        "max-vars",
        Value::Number,
        "most variables of a request",
        "1024 are served",
    )
    .was("64")
    .short('v'),
    opt(
        "no-default-app",
        Value::Flag,
        Differs("a request that no app is for gets 404"),
        "requests for no app's SCRIPT_NAME are not the default app's",
        set!(mounting.no_default, flag),
    )
    .default("false"),
    opt(
        "post-buffering",
        Value::Bytes,
        Full,
        "read bodies up to this size before the app is called",
        set!(post_buffering, number),
    ),
    ignored(
        "post-buffering-bufsize",
        Value::Bytes,
        "how much of a body is read at once",
        "as much as is there",
    )
    .was("8192"),
    opt(
        "pull-header",
        Value::Text,
        Later("write del-header, and log what the app sets by uwsgi.set_logvar"),
        "move an answer's header to a variable, HEADER VARIABLE",
        super::nothing,
    ),
    opt(
        "remap-modifier",
        Value::Text,
        Later("set the modifier in the front end: 0 and 30 are served"),
        "serve requests with one modifier as if they had another",
        super::nothing,
    ),
    opt(
        "response-headers-limit",
        Value::Bytes,
        Full,
        "most bytes of an answer's headers",
        |draft, given| {
            let limit = draft.number32(given)?;
            draft.settings.answers.headers_limit = limit.clamp(MIN_HEADERS, MAX_HEADERS);
            if !(MIN_HEADERS..=MAX_HEADERS).contains(&limit) {
                let used = draft.settings.answers.headers_limit;
                let hint = format!("write {MIN_HEADERS} to {MAX_HEADERS}");
                draft.warn(format!("is {limit}, and {used} is used"), hint);
            }
            Ok(())
        },
    )
    .default("65535"),
    opt(
        "strict-vars",
        Value::Flag,
        Full,
        "answer 403 to requests that try to load code",
        set!(strict_vars, flag),
    )
    .ours(),
    opt(
        "upload-progress",
        Value::Path,
        Later("let the front end show the progress (nginx: upload-progress module)"),
        "write the progress of uploads to files of this directory",
        super::nothing,
    ),
    ignored(
        "vhost",
        Value::Flag,
        "choose apps by host and SCRIPT_NAME",
        "apps are chosen by SCRIPT_NAME, and a request never loads one for its host",
    ),
    ignored(
        "vhost-host",
        Value::Flag,
        "choose apps by HTTP_HOST instead of SERVER_NAME",
        "apps are chosen by SCRIPT_NAME",
    ),
    websockets("websockets-max-size").aka(&["websocket-max-size"]),
    websockets("websockets-ping-freq").aka(&["websocket-ping-freq"]),
    websockets("websockets-pong-tolerance").aka(&["websocket-pong-tolerance"]),
    opt(
        "write-errors-exception-only",
        Value::Flag,
        Differs("the exception is off unless asked for, by this or disable-write-exception"),
        "raise write errors into the app",
        |draft, given| {
            draft.settings.write_exception |= draft.flag(given);
            Ok(())
        },
    )
    .default("false"),
    ignored(
        "write-errors-tolerance",
        Value::Number,
        "write errors before the app gets an exception",
        "write errors are no exceptions unless asked for",
    ),
];

/// The size field of a uwsgi packet has 16 bits.
const MAX_BUFFER: u32 = 65535;
/// Less cannot hold the variables of the plainest request.
const MIN_BUFFER: u32 = 1024;
/// Less refuses the plainest answer; more, nginx and Apache refuse.
const MIN_HEADERS: u32 = 256;
const MAX_HEADERS: u32 = 1 << 20;

/// `Name: value`; `None`, with a warning, when we decide on this header ourselves.
fn header(draft: &mut Draft, given: &Given<'_>) -> Result<Option<String>, Invalid> {
    let invalid = |what: &str| {
        let hint = "write Name: value, as X-Frame-Options: DENY";
        Invalid::with_hint(format!("\"{}\" {what}", given.text), hint)
    };
    let (name, _) = given
        .text
        .split_once(':')
        .ok_or_else(|| invalid("is no header"))?;
    if !is_token(name) {
        return Err(invalid("has no name of a header before the colon"));
    }
    if given.text.contains(|c: char| c.is_control() && c != '\t') {
        return Err(invalid("holds a control character"));
    }
    if ["content-length", "transfer-encoding"].contains(&name.to_ascii_lowercase().as_str()) {
        let hint = "remove the line: each answer has its own";
        draft.warn("is left out", hint);
        return Ok(None);
    }
    Ok(Some(given.text.to_owned()))
}

/// RFC 9110 §5.6.2.
fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

fn error_page(draft: &mut Draft, given: &Given<'_>, status: u16) -> Result<(), Invalid> {
    let file = Draft::path(given)?;
    draft.settings.answers.pages.push((status, file));
    Ok(())
}

const fn page(
    name: &'static str,
    help: &'static str,
    apply: fn(&mut Draft, &Given<'_>) -> Result<(), Invalid>,
) -> Opt {
    opt(
        name,
        Value::Path,
        Differs("also sent where the original closes without an answer"),
        help,
        apply,
    )
}

const fn chunks(name: &'static str) -> Opt {
    ignored(
        name,
        Value::Number,
        "bounds of uwsgi.chunked_read",
        "chunked bodies are decoded for every app, within limit-post and http-timeout",
    )
}

const fn websockets(name: &'static str) -> Opt {
    opt(
        name,
        Value::Number,
        Later("run the app's WebSockets with an ASGI server behind nginx"),
        "bounds of the app's WebSockets",
        super::nothing,
    )
}
