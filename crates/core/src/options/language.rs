//! Rows: the config language itself. `config` acts on these while it reads; nothing is left for the
//! settings.

use super::Support::{Differs, Full};
use super::{Opt, Value, nothing, opt};

pub(super) static OPTIONS: &[Opt] = &[
    opt("end", Value::Nothing, Full, "end a block", nothing).immediate(),
    opt("endfor", Value::Nothing, Full, "end a loop", nothing)
        .aka(&["end-for"])
        .immediate(),
    opt("endif", Value::Nothing, Full, "end a condition", nothing)
        .aka(&["end-if"])
        .immediate(),
    opt(
        "for",
        Value::Text,
        Full,
        "repeat for each word, as %(_)",
        nothing,
    )
    .immediate(),
    opt(
        "for-times",
        Value::Number,
        Full,
        "repeat with 1, 2, … as %(_)",
        nothing,
    )
    .immediate(),
    opt(
        "if-dir",
        Value::Path,
        Full,
        "only if this is a directory",
        nothing,
    )
    .aka(&["if-directory", "ifdir"])
    .immediate(),
    opt(
        "if-env",
        Value::Text,
        Full,
        "only if this variable is set",
        nothing,
    )
    .aka(&["ifenv"])
    .immediate(),
    opt(
        "if-exists",
        Value::Path,
        Full,
        "only if this path exists",
        nothing,
    )
    .aka(&["ifexists"])
    .immediate(),
    opt(
        "if-file",
        Value::Path,
        Full,
        "only if this is a file",
        nothing,
    )
    .immediate(),
    opt(
        "if-hostname",
        Value::Text,
        Full,
        "only on this host",
        nothing,
    )
    .immediate(),
    opt(
        "if-not-dir",
        Value::Path,
        Full,
        "unless this is a directory",
        nothing,
    )
    .immediate(),
    opt(
        "if-not-env",
        Value::Text,
        Full,
        "unless this variable is set",
        nothing,
    )
    .immediate(),
    opt(
        "if-not-exists",
        Value::Path,
        Full,
        "unless this path exists",
        nothing,
    )
    .immediate(),
    opt(
        "if-not-file",
        Value::Path,
        Full,
        "unless this is a file",
        nothing,
    )
    .immediate(),
    opt(
        "if-not-hostname",
        Value::Text,
        Full,
        "unless on this host",
        nothing,
    )
    .immediate(),
    opt(
        "if-not-opt",
        Value::Text,
        Full,
        "unless this option is set",
        nothing,
    )
    .immediate(),
    opt(
        "if-not-plugin",
        Value::Text,
        Full,
        "unless this plugin is there",
        nothing,
    )
    .immediate(),
    opt(
        "if-not-reload",
        Value::Nothing,
        Full,
        "only at the first start",
        nothing,
    )
    .immediate(),
    opt(
        "if-opt",
        Value::Text,
        Full,
        "only if this option is set",
        nothing,
    )
    .immediate(),
    opt(
        "if-plugin",
        Value::Text,
        Full,
        "only if this plugin is there",
        nothing,
    )
    .aka(&["ifplugin"])
    .immediate(),
    opt(
        "if-reload",
        Value::Nothing,
        Differs("a reload starts anew, so this is never true"),
        "only at a reload",
        nothing,
    )
    .immediate(),
    opt(
        "include",
        Value::Path,
        Full,
        "read another config file here",
        nothing,
    )
    .aka(&["config"])
    .immediate(),
    opt(
        "inherit",
        Value::Path,
        Full,
        "read another config file at the end",
        nothing,
    ),
    opt(
        "ini",
        Value::Path,
        Full,
        "read this ini file[:section]",
        nothing,
    )
    .immediate(),
    opt(
        crate::config::INI_FILE,
        Value::Path,
        Full,
        "read this ini file, colons and all",
        nothing,
    )
    .ours()
    .immediate(),
    opt(
        crate::config::INI_SECTION,
        Value::Text,
        Full,
        "section of the next ini file, colons and all",
        nothing,
    )
    .ours()
    .immediate(),
    opt(
        "set",
        Value::Pair,
        Full,
        "set an option or a placeholder, K=V",
        nothing,
    )
    .short('S')
    .immediate(),
    opt(
        "set-placeholder",
        Value::Pair,
        Full,
        "set a placeholder, K=V",
        nothing,
    )
    .aka(&["set-ph"])
    .immediate(),
    opt(
        "strict",
        Value::Flag,
        Full,
        "refuse options that nobody knows",
        nothing,
    )
    .immediate(),
];
