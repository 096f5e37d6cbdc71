//! Rows: files that are served before the app is asked.

use std::path::PathBuf;

use super::Support::{Differs, Full, Refused};
use super::{Draft, Given, Invalid, Opt, Value, ignored, opt};
use crate::pattern::Pattern;
use crate::settings::static_files::{Expires, From, Of, Serve};

pub(super) static OPTIONS: &[Opt] = &[
    opt(
        "check-static",
        Value::Path,
        Full,
        "serve files of this directory that PATH_INFO names",
        |draft, given| {
            let directory = Draft::path(given)?;
            draft.settings.static_files.check.push(directory);
            Ok(())
        },
    )
    .aka(&["static-check"]),
    opt(
        "check-static-docroot",
        Value::Flag,
        Refused {
            why: "whoever sends requests would choose which directory is served",
            instead: "write check-static = DIRECTORY",
            stops: true,
        },
        "serve files of the directory that DOCUMENT_ROOT names",
        super::nothing,
    ),
    opt(
        "file-serve-mode",
        Value::Text,
        Full,
        "let the front end send static files: nginx or x-sendfile",
        |draft, given| {
            draft.settings.static_files.serve = match given.text.to_ascii_lowercase().as_str() {
                "nginx" | "x-accel-redirect" | "xaccelredirect" => Serve::AccelRedirect,
                "x-sendfile" | "xsendfile" => Serve::Sendfile,
                "raw" => Serve::Body,
                _ => {
                    let hint = "write nginx or x-sendfile";
                    draft.warn(format!("knows no mode \"{}\"", given.text), hint);
                    return Ok(());
                }
            };
            Ok(())
        },
    )
    .aka(&["fileserve-mode"])
    .default("raw"),
    opt(
        "honour-range",
        Value::Flag,
        Full,
        "answer requests for a part of a static file",
        set!(static_files.ranges, flag),
    )
    .default("false"),
    opt(
        "mimefile",
        Value::Path,
        Differs("common types are known without it, too"),
        "read types of files from this file",
        |draft, given| {
            let file = Draft::path(given)?;
            draft.settings.static_files.mime_files.push(file);
            Ok(())
        },
    )
    .aka(&["mime-file"])
    .default("/etc/mime.types"),
    ignored(
        "offload-threads",
        Value::Number,
        "threads that send static files",
        "what a client does not take at once is sent by a thread of ours",
    )
    .aka(&["offload-thread"]),
    ignored(
        "static-cache-paths",
        Value::Seconds,
        "remember where static files were found",
        "the kernel remembers it",
    ),
    ignored(
        "static-cache-paths-name",
        Value::Text,
        "cache for static-cache-paths",
        "the kernel remembers where files are",
    ),
    expires(
        "static-expires",
        "Expires by a pattern of the file's name: PATTERN SECONDS",
        |draft, given| by_pattern(draft, given, Of::File, From::Now),
    ),
    expires(
        "static-expires-mtime",
        "the same, counted from the file's last change",
        |draft, given| by_pattern(draft, given, Of::File, From::Change),
    ),
    expires(
        "static-expires-path-info",
        "Expires by a pattern of PATH_INFO: PATTERN SECONDS",
        |draft, given| by_pattern(draft, given, Of::PathInfo, From::Now),
    ),
    expires(
        "static-expires-path-info-mtime",
        "the same, counted from the file's last change",
        |draft, given| by_pattern(draft, given, Of::PathInfo, From::Change),
    ),
    expires(
        "static-expires-type",
        "Expires by the file's type: TYPE=SECONDS",
        |draft, given| by_type(draft, given, From::Now),
    ),
    expires(
        "static-expires-type-mtime",
        "the same, counted from the file's last change",
        |draft, given| by_type(draft, given, From::Change),
    ),
    expires(
        "static-expires-uri",
        "Expires by a pattern of REQUEST_URI: PATTERN SECONDS",
        |draft, given| by_pattern(draft, given, Of::Uri, From::Now),
    ),
    expires(
        "static-expires-uri-mtime",
        "the same, counted from the file's last change",
        |draft, given| by_pattern(draft, given, Of::Uri, From::Change),
    ),
    opt(
        "static-gzip",
        Value::Text,
        Full,
        "send FILE.br or FILE.gz for files that match this pattern",
        |draft, given| {
            let pattern = pattern(given.text)?;
            draft
                .settings
                .static_files
                .compressed
                .patterns
                .push(pattern);
            Ok(())
        },
    ),
    opt(
        "static-gzip-all",
        Value::Flag,
        Full,
        "send FILE.br or FILE.gz where it is there",
        set!(static_files.compressed.all, flag),
    )
    .default("false"),
    opt(
        "static-gzip-dir",
        Value::Path,
        Full,
        "send FILE.br or FILE.gz for files below this directory",
        |draft, given| {
            let start = Draft::some_text(given)?;
            draft.settings.static_files.compressed.below.push(start);
            Ok(())
        },
    )
    .aka(&["static-gzip-prefix"]),
    opt(
        "static-gzip-ext",
        Value::Text,
        Full,
        "send FILE.br or FILE.gz for files with this extension",
        |draft, given| {
            let end = Draft::some_text(given)?;
            draft.settings.static_files.compressed.ends.push(end);
            Ok(())
        },
    )
    .aka(&["static-gzip-suffix"]),
    opt(
        "static-index",
        Value::Text,
        Full,
        "look for this file where a directory is asked for",
        |draft, given| {
            let name = Draft::some_text(given)?;
            draft.settings.static_files.index.push(name);
            Ok(())
        },
    ),
    opt(
        "static-map",
        Value::Pair,
        Full,
        "serve files of a directory below a prefix, /prefix=/directory",
        |draft, given| {
            let map = map(given)?;
            draft.settings.static_files.maps.push(map);
            Ok(())
        },
    ),
    opt(
        "static-map2",
        Value::Pair,
        Full,
        "the same, looking for all of PATH_INFO in the directory",
        |draft, given| {
            let map = map(given)?;
            draft.settings.static_files.whole_maps.push(map);
            Ok(())
        },
    ),
    opt(
        "static-safe",
        Value::Path,
        Differs("counts whole names of directories: /srv/a is no start of /srv/ab"),
        "serve what links in static directories lead to below this path",
        |draft, given| {
            let directory = Draft::path(given)?;
            draft.settings.static_files.safe.push(directory);
            Ok(())
        },
    ),
    opt(
        "static-skip-ext",
        Value::Text,
        Full,
        "never serve files whose names end like this",
        |draft, given| {
            let end = Draft::some_text(given)?;
            draft.settings.static_files.skip.push(end);
            Ok(())
        },
    ),
];

const fn expires(
    name: &'static str,
    help: &'static str,
    apply: fn(&mut Draft, &Given<'_>) -> Result<(), Invalid>,
) -> Opt {
    opt(
        name,
        Value::Text,
        Differs("at most one Expires is sent, where several kinds of lines match"),
        help,
        apply,
    )
}

/// `PATTERN SECONDS`
fn by_pattern(
    draft: &mut Draft,
    given: &Given<'_>,
    of: fn(Pattern) -> Of,
    from: From,
) -> Result<(), Invalid> {
    let Some((text, seconds)) = given.text.split_once(' ') else {
        return Err(Invalid::with_hint(
            format!("\"{}\" lacks a number behind a space", given.text),
            "write PATTERN SECONDS",
        ));
    };
    let of = of(pattern(text)?);
    let seconds = number(draft, given, seconds)?;
    let expires = Expires { of, from, seconds };
    draft.settings.static_files.expires.push(expires);
    Ok(())
}

/// `TYPE=SECONDS`
fn by_type(draft: &mut Draft, given: &Given<'_>, from: From) -> Result<(), Invalid> {
    let Some((mime, seconds)) = given.text.split_once('=') else {
        return Err(Invalid::with_hint(
            format!("\"{}\" lacks a \"=\"", given.text),
            "write TYPE=SECONDS, as text/css=3600",
        ));
    };
    let of = Of::Type(mime.to_owned());
    let seconds = number(draft, given, seconds)?;
    let expires = Expires { of, from, seconds };
    draft.settings.static_files.expires.push(expires);
    Ok(())
}

fn number(draft: &mut Draft, given: &Given<'_>, text: &str) -> Result<u64, Invalid> {
    draft.number(&Given { text, ..*given })
}

pub(super) fn pattern(text: &str) -> Result<Pattern, Invalid> {
    Pattern::new(text)
        .map_err(|error| Invalid::new(format!("\"{text}\" is no regular expression: {error}")))
}

/// `/prefix=/directory`
fn map(given: &Given<'_>) -> Result<(String, PathBuf), Invalid> {
    let (prefix, directory) = given.text.split_once('=').unwrap_or_default();
    if prefix.trim().is_empty() || directory.trim().is_empty() {
        return Err(Invalid::with_hint(
            format!("\"{}\" is no static map", given.text),
            "write /prefix=/directory",
        ));
    }
    Ok((prefix.trim().to_owned(), PathBuf::from(directory.trim())))
}
