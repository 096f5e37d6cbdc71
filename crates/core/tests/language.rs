//! Options of the config language, from files in memory to settings and findings.

mod common;

use common::Memory;
use imperator_core::config::{self, Reading};
use imperator_core::settings::Settings;

const APP: &str = "socket = /run/a.sock\nmodule = a\n";

fn read(files: &[(&str, &str)], args: &[&str]) -> Reading {
    read_in(&Memory::with(files), args)
}

fn read_in(world: &Memory, args: &[&str]) -> Reading {
    let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
    config::read(&args, world)
}

/// The settings of `app.ini`, which holds a working app and these lines.
#[track_caller]
fn settings(lines: &str, more: &[(&str, &str)]) -> Settings {
    let reading = app(lines, more);
    let findings = reading.resolved.findings;
    reading
        .resolved
        .settings
        .unwrap_or_else(|| panic!("{findings:?}"))
}

fn app(lines: &str, more: &[(&str, &str)]) -> Reading {
    let text = format!("[uwsgi]\n{APP}{lines}");
    let mut files = vec![("app.ini", text.as_str())];
    files.extend_from_slice(more);
    read(&files, &["--ini", "app.ini"])
}

fn findings(reading: &Reading) -> Vec<String> {
    let findings = reading.resolved.findings.iter();
    findings.map(ToString::to_string).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn options_of_the_language_do_what_they_say() {
    // What is declared late sees what was read before it, and substitutions.
    let found = settings(
        "n = 3\ndeclare-option2 = start=processes=$1;threads=$2\nstart = %(n) 2\n",
        &[],
    );
    assert_eq!((found.processes, found.threads), (3, 2));
    // What is declared at once takes effect before all plain options.
    let found = settings(
        "processes = 7\ndeclare-option = start=processes=$1;harakiri=$1\nstart = 3\n",
        &[],
    );
    assert_eq!(found.processes, 7);
    assert_eq!(found.harakiri.map(|limit| limit.as_secs()), Some(3));

    let found = settings(
        "env = A=1\nenv = B=2\nunenv = A\nunenv = C\nenvdir = late\nearly-envdir = early\n",
        &[
            ("early/D", "4\n"),
            ("early/B", "first"),
            ("late/B", "last \n"),
            ("late/E", ""),
        ],
    );
    let expected = pairs(&[("B", "first"), ("D", "4"), ("B", "2"), ("B", "last")]);
    assert_eq!(found.env, expected);
    assert_eq!(found.unset_env, ["A", "C", "E"]);

    let found = settings("resolve = db=db.local\nenv = DB=%(db)\n", &[]);
    assert_eq!(found.env, pairs(&[("DB", "10.0.0.1")]));

    let reading = app("iprint = %(x)\nprint = %(x)\nx = 1\n", &[]);
    assert_eq!(reading.printed, ["%(x)", "1"]);
    let reading = app("get = module\n", &[]);
    assert_eq!(reading.printed, ["a"]);
    assert_eq!(reading.resolved.exit, Some(0));

    let found = settings(
        "if-plugin = python\nprocesses = 2\nendif\nif-not-plugin = php\nthreads = 2\nendif\n\
         if-hostname = web1\nharakiri = 5\nendif\nif-not-hostname = web1\nharakiri = 6\nendif\n",
        &[],
    );
    assert_eq!((found.processes, found.threads), (2, 2));
    assert_eq!(found.harakiri.map(|limit| limit.as_secs()), Some(5));
}

#[test]
fn a_config_that_cannot_be_run_gives_way_to_its_fallback() {
    let spare = format!("[uwsgi]\n{APP}processes = 5\n");
    let broken = "fallback-config = spare.ini\nini = nope.ini\n";
    let reading = app(broken, &[("spare.ini", &spare)]);
    assert_eq!(
        findings(&reading),
        [
            "app.ini:5: warning: cannot read nope.ini: no such file or directory",
            "warning: the config cannot be run, and \"fallback-config\" takes its place: spare.ini\n  \
             hint: mend what is told above",
        ]
    );
    assert_eq!(reading.resolved.settings.unwrap().processes, 5);
    assert_eq!(reading.resolved.files.len(), 3);
    // Another exit code than 1 asks for none.
    let reading = app(
        "fallback-config = spare.ini\nexit = 3\n",
        &[("spare.ini", &spare)],
    );
    assert_eq!(reading.resolved.exit, Some(3));
    assert!(reading.resolved.settings.is_none());
}

#[test]
fn commands_and_the_network_are_asked_only_by_the_emperors_own_files() {
    let reading = app("env = A=@(exec://cat x)\n", &[]);
    assert_eq!(
        findings(&reading),
        [
            "app.ini:4: warning: \"exec://cat x\" is a part of this config\n  \
             hint: it is asked again at every start and reload of the app"
        ]
    );
    let mut world = Memory::with(&[(
        "app.ini",
        "[uwsgi]\nsocket = :1\nmodule = a\nenv = A=@(http://x/y)\n",
    )]);
    world.is_foreign = true;
    let reading = read_in(&world, &["--ini", "app.ini"]);
    assert_eq!(
        findings(&reading),
        [
            "app.ini:4: error: cannot read \"@(http://x/y)\": app.ini belongs to another user\n  \
             hint: make the file the emperor's own with chown, or put the value in it"
        ]
    );
    for name in [
        "-",
        "fd://3",
        "data://0",
        "sym://x",
        "call://x",
        "emperor://x",
    ] {
        let reading = app(&format!("env = A=@({name})\n"), &[]);
        let said = findings(&reading);
        assert!(said[0].contains("error: cannot read"), "{said:?}");
        assert!(
            said[0].contains("hint: write the value into a file"),
            "{said:?}"
        );
    }
}

#[test]
fn what_is_forbidden_or_ends_the_config_is_told_with_its_line() {
    let reading = app("blacklist = uid gid\nUID = root\n", &[]);
    assert_eq!(
        findings(&reading),
        [
            "app.ini:5: error: option \"UID\" is forbidden here by \"blacklist\"\n  \
             hint: end the list with end-blacklist, or change it"
        ]
    );
    let reading = app("if-not-env = KEY\nexit\nendif\nmodule = b\n", &[]);
    assert_eq!(reading.resolved.exit, Some(0));
    assert!(findings(&reading)[0].starts_with("app.ini:5: error: the config says \"exit\" here"));
    let reading = app("no-server = true\n", &[]);
    assert_eq!(findings(&reading).len(), 1);
    assert_eq!(reading.resolved.exit, Some(0));
}

#[test]
fn a_template_that_nobody_has_filled_in_is_told_once() {
    let reading = app("uid = {{ user }}\ngid = {{ group }}\n", &[]);
    let said = findings(&reading);
    assert_eq!(
        said[0],
        "app.ini:4: warning: this is a template: \"{{\" stands where a value belongs\n  \
         hint: fill it in first; the app gets the text as it is"
    );
    assert_eq!(
        said.iter().filter(|text| text.contains("template")).count(),
        1
    );
    let reading = app("chdir = ${HOME}/x\n", &[]);
    assert_eq!(
        findings(&reading),
        ["app.ini:4: warning: \"${HOME}\" stays as it is\n  \
             hint: write $(HOME) for a variable of the environment"]
    );
}

#[test]
fn quotes_comments_and_missing_signs_are_told() {
    let said = |lines: &str| findings(&app(lines, &[]));
    assert_eq!(
        said("chdir = \"/srv/a\"\n"),
        [
            "app.ini:4: warning: the quotes are a part of the value of \"chdir\"\n  \
             hint: write chdir = /srv/a"
        ]
    );
    assert_eq!(
        said("chdir = /srv/a ; home\n"),
        [
            "app.ini:4: warning: the comment is a part of the value of \"chdir\"\n  \
             hint: write the comment on a line of its own"
        ]
    );
    assert_eq!(
        said("chdir /srv/a\n"),
        [
            "app.ini:4: warning: unknown option \"chdir /srv/a\", and no %(chdir /srv/a) uses it\n  \
             hint: write chdir = /srv/a"
        ]
    );
    assert_eq!(said("cron = 0 0 -1 -1 -1 echo # x\n"), Vec::<String>::new());
}

#[test]
fn json_yaml_and_xml_say_where_and_leave_out_what_is_no_value() {
    let json =
        "{\"uwsgi\": {\n\"socket\": \":1\",\n\"module\": \"a\",\n\"procesess\": 2,\n\"x\": {}}}";
    let reading = read(&[("a.json", json)], &["--json", "a.json"]);
    assert_eq!(
        findings(&reading),
        [
            "a.json:5: warning: the value of \"x\" is no plain value and is left out\n  \
             hint: write a text, a number, true or false, or a list of them",
            "a.json:4: warning: unknown option \"procesess\", and no %(procesess) uses it\n  \
             hint: did you mean \"processes\"?",
        ]
    );
    assert!(reading.resolved.settings.is_some());
    let yaml = "uwsgi:\n  socket: :1\n  module: a\n  procesess: 2\n  x: !!str 1\n  y: 2\n";
    let reading = read(&[("a.yaml", yaml)], &["--ini-file=a.yaml"]);
    assert_eq!(
        findings(&reading),
        [
            "a.yaml:5: warning: the tag or anchor of \"1\" ends the reading of the file\n  \
             hint: write the value without ! and &",
            "a.yaml:4: warning: unknown option \"procesess\", and no %(procesess) uses it\n  \
             hint: did you mean \"processes\"?",
        ]
    );
    let xml = "<uwsgi>\n<socket>:1</socket>\n<module>a</module>\n<x><y/></x>\n</uwsgi>";
    let reading = read(&[("a.xml", xml)], &["a.xml"]);
    assert_eq!(
        findings(&reading),
        [
            "a.xml:4: warning: <x> holds another element instead of a value, and is left out\n  \
             hint: write <x>value</x>"
        ]
    );
    for (name, broken) in [
        ("a.json", "{\"uwsgi\":\n{,}}"),
        ("a.yaml", "uwsgi:\n  a: [b\n"),
        ("a.xml", "<uwsgi>\n<a></uwsgi>"),
    ] {
        let reading = read(&[(name, broken)], &[name]);
        let said = findings(&reading);
        assert!(said[0].starts_with(&format!("{name}:")), "{said:?}");
        assert!(said[0].contains("is broken"), "{said:?}");
        assert!(reading.options.is_none());
    }
}
