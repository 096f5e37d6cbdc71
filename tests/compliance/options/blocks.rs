//! Options of the config language that leave something in the app's environment: blocks, files that are
//! read, options that are made of others; and those that end the start.

use std::process::Stdio;

use super::pair::{Facts, Server, Which, compare_runs, folder, outcome};
use super::support::{command, original_command};
use super::{Case, run};

/// Options that another test shows: name, and the function of the test.
pub(super) const ELSEWHERE: &[(&str, &str)] = &[];

/// Notes the variables of the environment that begin with `T_`.
fn see_variables(server: &mut Server, facts: &mut Facts) {
    let folder = server.folder().path().to_string_lossy().into_owned();
    let env = server.get("/process").json()["env"].clone();
    let env = env.as_object().expect("the environment");
    let mut seen: Vec<String> = env
        .iter()
        .filter(|(name, _)| name.starts_with("T_"))
        .map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or("?")))
        .collect();
    seen.sort();
    facts.note("variables", seen.join("\n").replace(&folder, "{dir}"));
}

const READ: &[Case] = &[
    Case {
        options: &[
            "for",
            "for-times",
            "for-glob",
            "for-readline",
            "endfor",
            "end",
        ],
        ini: "\
for = x y
env = T_FOR_%(_)=1
endfor =
for-times = 2
env = T_TIMES_%(_)=1
end-for =
for-glob = {dir}/globbed/*.txt
env = T_GLOB=%(_)
endfor =
for-readline = {dir}/lines
env = T_LINE_%(_)=1
end =
env = T_AFTER=%(_)
",
        files: &[
            ("globbed/a.txt", ""),
            ("globbed/b.txt", ""),
            ("globbed/c.ini", ""),
            ("lines", "one\ntwo\n"),
        ],
        see: see_variables,
        ..Case::PLAIN
    },
    Case {
        options: &[
            "if-exists",
            "if-not-exists",
            "if-file",
            "if-not-file",
            "if-dir",
            "if-not-dir",
            "endif",
        ],
        ini: "\
if-exists = {dir}/facts.py
env = T_EXISTS=%(_)
endif =
if-not-exists = {dir}/facts.py
env = T_NOT_EXISTS=1
end-if =
if-file = {dir}/inner
env = T_FILE=1
endif =
if-not-file = {dir}/inner
env = T_NOT_FILE=1
endif =
if-dir = {dir}/inner
env = T_DIR=1
endif =
if-not-dir = {dir}/inner
env = T_NOT_DIR=1
endif =
",
        files: &[("inner/file", "")],
        see: see_variables,
        ..Case::PLAIN
    },
    Case {
        options: &[
            "if-env",
            "if-not-env",
            "if-opt",
            "if-not-opt",
            "if-hostname",
            "if-not-hostname",
            "if-hostname-match",
            "if-not-hostname-match",
            "if-plugin",
            "if-not-plugin",
            "if-reload",
            "if-not-reload",
        ],
        ini: "\
if-env = PATH
env = T_ENV=1
endif =
if-not-env = NOBODY_SETS_THIS
env = T_NOT_ENV=1
endif =
colour = red
if-opt = colour=red
env = T_OPT=1
endif =
if-not-opt = colour=red
env = T_NOT_OPT=1
endif =
if-hostname = no-such-host
env = T_HOSTNAME=1
endif =
if-not-hostname = no-such-host
env = T_NOT_HOSTNAME=1
endif =
if-hostname-match = ^.+$
env = T_HOSTNAME_MATCH=1
endif =
if-not-hostname-match = ^.+$
env = T_NOT_HOSTNAME_MATCH=1
endif =
if-plugin = python3
env = T_PLUGIN=1
endif =
if-not-plugin = psgi
env = T_NOT_PLUGIN=1
endif =
if-reload =
env = T_RELOAD=1
endif =
if-not-reload =
env = T_NOT_RELOAD=1
endif =
",
        see: see_variables,
        ..Case::PLAIN
    },
    Case {
        options: &[
            "set",
            "inherit",
            "declare-option",
            "declare-option2",
            "resolve",
        ],
        ini: "\
set = env=T_SET=1
inherit = {dir}/more.ini
declare-option = greet=env=T_GREET=$1
greet = hello
declare-option2 = part=env=T_PART=$1
part = farewell
resolve = here=127.0.0.1
env = T_HERE=%(here)
",
        files: &[("more.ini", "[uwsgi]\nenv = T_INHERITED=1\n")],
        see: see_variables,
        ..Case::PLAIN
    },
    Case {
        options: &["envdir", "early-envdir", "unenv"],
        ini: "\
early-envdir = {dir}/early
env = T_EARLY_SEEN=$(T_EARLY)
envdir = {dir}/late
env = T_GONE=1
unenv = T_GONE
",
        files: &[
            ("early/T_EARLY", "early value\n"),
            ("late/T_LATE", "late value\n"),
        ],
        see: see_variables,
        ..Case::PLAIN
    },
    Case {
        options: &["json"],
        ini: "json = {dir}/more.json\n",
        files: &[(
            "more.json",
            "{\"uwsgi\": {\"env\": [\"T_ONE=1\", \"T_TWO=2\"]}}",
        )],
        see: see_variables,
        ..Case::PLAIN
    },
    Case {
        options: &["yaml"],
        ini: "yaml = {dir}/more.yml\n",
        files: &[("more.yml", "uwsgi:\n  env: T_ONE=1\n  env: T_TWO=2\n")],
        see: see_variables,
        ..Case::PLAIN
    },
    Case {
        options: &["xmlconfig"],
        ini: "xmlconfig = {dir}/more.xml\n",
        files: &[(
            "more.xml",
            "<uwsgi><env>T_ONE=1</env><env>T_TWO=2</env></uwsgi>\n",
        )],
        see: see_variables,
        ..Case::PLAIN
    },
    Case {
        options: &["fallback-config"],
        ini: "[uwsgi]\nfallback-config = {dir}/good.ini\nstrict = true\nno-such-option = 1\n",
        files: &[(
            "good.ini",
            "[uwsgi]\nplugin = python3\nsocket = %d/s\nwsgi-file = %d/facts.py\n",
        )],
        ..Case::PLAIN
    },
    Case {
        options: &["print", "iprint"],
        ini: "print = said %(late)\niprint = said at once\nlate = later\n",
        see: |server, facts| {
            facts.note("/", outcome(&server.get("/")));
            for said in ["said later", "said at once"] {
                facts.note(said, server.log().contains(said));
            }
        },
        ..Case::PLAIN
    },
    Case {
        options: &["blacklist", "end-blacklist", "whitelist", "end-whitelist"],
        ini: "\
blacklist = chdir uid
env = T_ALLOWED=1
end-blacklist =
whitelist = env end-whitelist
env = T_LISTED=1
end-whitelist =
env = T_FREE=1
",
        see: see_variables,
        ..Case::PLAIN
    },
];

#[test]
fn blocks_files_and_made_options_reach_the_environment() {
    run(READ);
}

/// Texts that end the start, and the options that they show.
const ENDING: &[Case] = &[
    Case {
        options: &["exit"],
        ini: "exit = 7\n",
        ..Case::PLAIN
    },
    Case {
        options: &["blacklist"],
        ini: "blacklist = env\nenv = A=1\n",
        ..Case::PLAIN
    },
    Case {
        options: &["whitelist"],
        ini: "whitelist = socket\nenv = A=1\n",
        ..Case::PLAIN
    },
    Case {
        options: &["strict"],
        ini: "strict = true\nno-such-option = 1\n",
        ..Case::PLAIN
    },
    Case {
        options: &["no-server"],
        ini: "no-server = true\n",
        ..Case::PLAIN
    },
    Case {
        options: &["get"],
        ini: "get = socket\n",
        ..Case::PLAIN
    },
    Case {
        options: &["show-config"],
        ini: "show-config = true\nno-server = true\n",
        ..Case::PLAIN
    },
];

#[test]
fn what_ends_the_start_ends_it_with_the_same_code() {
    for case in ENDING {
        compare_runs(case.differs, |which| {
            let folder = folder();
            folder.write("app.ini", &format!("{}{}", super::BASE, case.ini));
            let mut program = match which {
                Which::Original => original_command(&folder),
                Which::Ours => {
                    let mut ours = command(&folder);
                    ours.arg("--ini").arg(folder.join("app.ini"));
                    ours
                }
            };
            let output = program.stdin(Stdio::null()).output().expect("the command");
            let mut facts = Facts::default();
            facts.note(
                case.options.join(" "),
                format!("{:?}", output.status.code()),
            );
            facts
        });
    }
}
