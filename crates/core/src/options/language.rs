//! Rows: the config language itself. `config` acts on these while it reads; little is left for the
//! settings.

use std::collections::BTreeMap;

use super::Support::{Differs, Full};
use super::{Draft, Given, Invalid, Opt, Value, nothing, opt};

pub(super) static OPTIONS: &[Opt] = &[
    opt(
        "blacklist",
        Value::Text,
        Full,
        "forbid these options from here on",
        nothing,
    )
    .immediate(),
    opt(
        "declare-option",
        Value::Pair,
        Full,
        "make an option, NAME=option=$1;option=$2",
        nothing,
    )
    .immediate(),
    opt(
        "declare-option2",
        Value::Pair,
        Full,
        "the same, read after all substitutions",
        nothing,
    ),
    opt(
        "early-envdir",
        Value::Path,
        Full,
        "environment from the files of a directory, seen by $( )",
        nothing,
    )
    .immediate(),
    opt("end", Value::Nothing, Full, "end a block", nothing).immediate(),
    opt(
        "end-blacklist",
        Value::Nothing,
        Full,
        "end a blacklist",
        nothing,
    )
    .immediate(),
    opt(
        "end-whitelist",
        Value::Nothing,
        Full,
        "end a whitelist",
        nothing,
    )
    .immediate(),
    opt("endfor", Value::Nothing, Full, "end a loop", nothing)
        .aka(&["end-for"])
        .immediate(),
    opt("endif", Value::Nothing, Full, "end a condition", nothing)
        .aka(&["end-if"])
        .immediate(),
    opt(
        "envdir",
        Value::Path,
        Full,
        "the app's environment from the files of a directory",
        nothing,
    ),
    opt(
        "exit",
        Value::Number,
        Differs("an app that has it is shown failing, with the line"),
        "end here with this code",
        nothing,
    )
    .immediate(),
    opt(
        "fallback-config",
        Value::Path,
        Differs("also when the first generation of the app fails, whatever its exit code"),
        "config to run when this one cannot be run",
        nothing,
    )
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
        "for-glob",
        Value::Path,
        Full,
        "repeat for each path that matches, as %(_)",
        nothing,
    )
    .immediate(),
    opt(
        "for-readline",
        Value::Path,
        Full,
        "repeat for each line of a file, as %(_)",
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
        "get",
        Value::Text,
        Full,
        "print the value of this option and end",
        nothing,
    ),
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
        "if-hostname-match",
        Value::Text,
        Full,
        "only on hosts that match this pattern",
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
    .aka(&["if-not-directory"])
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
        "if-not-hostname-match",
        Value::Text,
        Full,
        "unless the host matches this pattern",
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
        Differs("a reload starts anew, so this is always true"),
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
        super::INI_FILE,
        Value::Path,
        Full,
        "read this config file, colons and all",
        nothing,
    )
    .ours()
    .immediate(),
    opt(
        super::INI_SECTION,
        Value::Text,
        Full,
        "section of the next ini-file, colons and all",
        nothing,
    )
    .ours()
    .immediate(),
    opt(
        "iprint",
        Value::Text,
        Differs("printed to the log"),
        "print this line while the config is read",
        nothing,
    )
    .immediate(),
    opt(
        "json",
        Value::Path,
        Full,
        "read this json file[:object]",
        nothing,
    )
    .aka(&["js"])
    .short('j')
    .immediate(),
    opt(
        "no-server",
        Value::Flag,
        Differs("an app that has it is shown failing"),
        "read the config, start nothing",
        nothing,
    ),
    opt(
        "original-defaults",
        Value::Flag,
        Full,
        "begin with uWSGI's values where ours differ (ours)",
        nothing,
    )
    .default("false"),
    opt(
        "print",
        Value::Text,
        Differs("printed to the log"),
        "print this line when the config is read",
        nothing,
    ),
    opt(
        "resolve",
        Value::Pair,
        Full,
        "set a placeholder to the address of a host, NAME=HOST",
        nothing,
    )
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
        "show-config",
        Value::Flag,
        Full,
        "print all options as they are after all substitutions",
        nothing,
    ),
    opt(
        "strict",
        Value::Flag,
        Full,
        "refuse options that nobody knows",
        nothing,
    )
    .immediate(),
    opt(
        "unenv",
        Value::Text,
        Full,
        "remove this variable from the app's environment",
        unenv,
    ),
    opt(
        "whitelist",
        Value::Text,
        Full,
        "allow only these options from here on",
        nothing,
    )
    .immediate(),
    opt(
        "xmlconfig",
        Value::Path,
        Full,
        "read this xml file[:id]",
        nothing,
    )
    .aka(&["xml"])
    .short('x')
    .immediate(),
    opt(
        "yaml",
        Value::Path,
        Full,
        "read this yaml file[:section]",
        nothing,
    )
    .aka(&["yml"])
    .short('y')
    .immediate(),
];

fn unenv(draft: &mut Draft, given: &Given<'_>) -> Result<(), Invalid> {
    let name = Draft::some_text(given)?;
    draft.settings.env.retain(|(other, _)| *other != name);
    draft.settings.unset_env.push(name);
    Ok(())
}

impl Draft {
    /// What `envdir`s say, a variable or (`None`) its removal each: before the `env` options, or `after` them.
    pub fn environment(&mut self, changes: BTreeMap<Vec<u8>, Option<Vec<u8>>>, after: bool) {
        let text = |bytes: Vec<u8>| crate::ini::text(&bytes);
        let mut variables = Vec::new();
        for (name, value) in changes {
            let name = text(name);
            match value {
                Some(value) => variables.push((name, text(value))),
                None if after => {
                    self.settings.env.retain(|(other, _)| *other != name);
                    self.settings.unset_env.push(name);
                }
                None => self.settings.unset_env.push(name),
            }
        }
        if after {
            self.settings.env.append(&mut variables);
        } else {
            // An `unenv` stands after them.
            variables.retain(|(name, _)| !self.settings.unset_env.contains(name));
            variables.append(&mut self.settings.env);
            self.settings.env = variables;
        }
    }
}
