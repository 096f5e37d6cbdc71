//! What a route does: which actions work, which are told to have no effect, and which are refused.

use super::unknown;
use crate::options::{Draft, Given, Invalid};
use crate::settings::routes::Action;
use crate::template::{self, Part};

/// Actions that keep somebody out. To ignore one would let everybody in.
const PROTECTING: &[&str] = &[
    "access",
    "basicauth",
    "basicauth-next",
    "ldapauth",
    "ldapauth-next",
    "pam",
    "radius",
    "radius-next",
    "spnego",
    "spnego-next",
];

/// Actions whose answer does not come from the app.
const ANSWERING: &[&str] = &[
    "cache",
    "cache-continue",
    "call",
    "cgi",
    "cgihelper",
    "disableheaders",
    "fastfile",
    "fastfile-next",
    "file",
    "file-next",
    "gridfs",
    "hash",
    "http",
    "httpconnect",
    "httpdumb",
    "memcached",
    "memcached-continue",
    "proxyhttp",
    "proxyhttpconnect",
    "proxyuwsgi",
    "redis",
    "redis-continue",
    "rpc",
    "rpcblob",
    "rpcnext",
    "rpcraw",
    "rpcret",
    "sendfile",
    "sendfile-next",
    "setapp",
    "setfile",
    "sethome",
    "setmodifier1",
    "setmodifier2",
    "ssi",
    "symcall",
    "symcall-next",
    "uwsgi",
    "xmldir",
    "xslt",
];

/// Actions that change something beside the answer.
const BESIDE: &[&str] = &[
    "*",
    "+",
    "-",
    "/",
    "alarm",
    "cachedec",
    "cachediv",
    "cacheinc",
    "cachemul",
    "cacheset",
    "cachestore",
    "cache-store",
    "cachevar",
    "chdir",
    "chunked",
    "expires",
    "fixcl",
    "flush",
    "forcecl",
    "gzip",
    "harakiri",
    "memcachedstore",
    "memcached-store",
    "metricdec",
    "metricdiv",
    "metricinc",
    "metricmul",
    "metricset",
    "offload",
    "redisstore",
    "redis-store",
    "rpcvar",
    "setdocroot",
    "setprocname",
    "signal",
    "template",
    "tofile",
    "to-file",
    "toupper",
    "toxslt",
];

pub(super) fn action(draft: &mut Draft, given: &Given<'_>, text: &str) -> Result<Action, Invalid> {
    let Some((name, argument)) = text.split_once(':') else {
        return Err(Invalid::with_hint(
            format!("\"{text}\" is no action"),
            format!("write {text}:"),
        ));
    };
    let owned = || argument.to_owned();
    let set = |variable: &str| Action::Set(variable.to_owned(), argument.to_owned());
    let action = match name {
        "continue" | "last" => Action::Continue,
        "break" => Action::Break(status(argument)?),
        "return" | "break-with-status" => Action::Return(status(argument)?),
        "goto" => Action::Goto(owned()),
        "log" => Action::Log(owned()),
        "donotlog" => Action::DoNotLog,
        "donotoffload" => Action::Nothing,
        "addheader" => Action::AddHeader(owned()),
        "delheader" | "remheader" => Action::RemoveHeader(owned()),
        "clearheaders" | "resetheaders" => Action::Status(owned()),
        "send" => Action::Send(owned()),
        "send-crnl" => Action::Send(format!("{argument}\r\n")),
        "addvar" | "logvar" => {
            let Some((variable, value)) = argument.split_once('=') else {
                return Err(Invalid::with_hint(
                    format!("\"{argument}\" is no variable"),
                    format!("write {name}:NAME=VALUE"),
                ));
            };
            let action = match name {
                "logvar" => Action::LogVar,
                _ => Action::Set,
            };
            action(variable.to_owned(), value.to_owned())
        }
        "setmethod" => set("REQUEST_METHOD"),
        "setpathinfo" => set("PATH_INFO"),
        "setremoteaddr" => set("REMOTE_ADDR"),
        "setscheme" => set("UWSGI_SCHEME"),
        "setscriptname" => set("SCRIPT_NAME"),
        "seturi" => set("REQUEST_URI"),
        "setuser" => Action::SetUser(owned()),
        "fixpathinfo" => Action::FixPathInfo,
        "redirect" | "redirect-302" => Action::Redirect {
            permanent: false,
            to: owned(),
        },
        "redirect-permanent" | "redirect-301" => Action::Redirect {
            permanent: true,
            to: owned(),
        },
        "rewrite" | "rewrite-last" => Action::Rewrite {
            to: owned(),
            last: name == "rewrite-last",
        },
        "static" | "static-next" => Action::Static {
            file: owned(),
            next: name == "static-next",
        },
        _ if PROTECTING.contains(&name) => {
            return Err(Invalid::with_hint(
                format!("\"{name}\" asks for a password, which is not supported yet"),
                "let nginx or Apache ask for it, and remove this line",
            ));
        }
        _ if ANSWERING.contains(&name) => {
            let text = format!("has no effect: the app gets what \"{name}\" would answer");
            let hint = "let nginx or Apache answer these requests, and remove this line";
            draft.warn(text, hint);
            Action::Nothing
        }
        _ if BESIDE.contains(&name) => {
            let text = format!("has no effect: there is no action \"{name}\" here");
            draft.warn(text, "remove the line");
            Action::Nothing
        }
        _ => return Err(unknown("action", name, ACTIONS)),
    };
    tell_functions(draft, given);
    Ok(action)
}

const ACTIONS: &[&str] = &[
    "addheader",
    "addvar",
    "break",
    "continue",
    "delheader",
    "donotlog",
    "fixpathinfo",
    "goto",
    "last",
    "log",
    "logvar",
    "redirect",
    "redirect-permanent",
    "rewrite",
    "send",
    "setscriptname",
    "static",
];

/// Nothing, or what begins with a status.
fn status(text: &str) -> Result<String, Invalid> {
    let bytes = text.as_bytes();
    let is_status = bytes.len() >= 3
        && (b'1'..=b'9').contains(&bytes[0])
        && bytes[..3].iter().all(u8::is_ascii_digit)
        && (bytes.len() == 3 || bytes[3] == b' ')
        && !text.contains(char::is_control);
    if text.is_empty() || is_status {
        return Ok(text.to_owned());
    }
    Err(Invalid::with_hint(
        format!("\"{text}\" is no status"),
        "write three digits and perhaps a name, as 403 Forbidden",
    ))
}

/// `${function[…]}` of a function that does not exist here is empty.
fn tell_functions(draft: &mut Draft, given: &Given<'_>) {
    for part in template::parse(given.text) {
        let Part::Call { function, .. } = part else {
            continue;
        };
        if !template::FUNCTIONS.contains(&function.as_str()) {
            let text = format!("uses ${{{function}[…]}}, which is always empty here");
            let known = template::FUNCTIONS.join(", ");
            draft.warn(text, format!("remove it; known are {known}"));
        }
    }
}
