//! `--show-config` of both servers, line for line: files from the wild, and made-up ones with their
//! command lines.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::support::require;

const ORIGINAL: &str = "uwsgi-core";
/// Ends the original right after it has printed: there is no such clock.
const END: [&str; 2] = ["--clock", "none"];
/// What acts before the original prints, or instead: it would write and remove files, go to the
/// background, print elsewhere, or lack what it needs. In the texts of both servers these are another
/// option.
const ACTING: &[&str] = &[
    "call-asap",
    "daemonize",
    "envdir",
    "exec-asap",
    "flock",
    "flock-wait",
    "flock-wait2",
    "flock2",
    "hook-asap",
    "https",
    "immediate-gid",
    "immediate-uid",
    "legion",
    "legion-mcast",
    "log-date",
    "log-encoder",
    "log-master",
    "log-master-bufsize",
    "log-req-encoder",
    "log-req-route",
    "log-route",
    "logdate",
    "logger",
    "logto",
    "mount-asap",
    "req-logger",
    "threaded-logger",
    "umount-asap",
    "vacuum",
];

#[test]
fn files_from_the_wild_are_shown_as_the_original_shows_them() {
    let Some(wild) = shared("wild-ini").filter(|_| require(ORIGINAL).is_some()) else {
        return;
    };
    let mut tally = Tally::default();
    for path in files(&wild) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read(&path).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        // What some of them include.
        for stub in ["static.ini", "inner/global.ini", "inner/local.ini"] {
            std::fs::write(folder.path().join(stub), "[uwsgi]\nfrom = %n %N\n").unwrap();
        }
        let text = replace(&without_acting(&text), "/etc/uwsgi/local.ini", "local.ini");
        std::fs::write(inner.join(&name), text).unwrap();
        tally.compare(&inner, &["--ini", &name], &[]);
    }
    println!("{tally:?}");
    assert!(tally.shown >= 60, "{tally:?}");
    assert_eq!(tally.wrong, Vec::<String>::new());
}

/// Files and the command lines that read them.
const MADE_UP: &[(&[(&str, &str)], &str)] = &[
    (
        &[("a.ini", "[uwsgi]\nmaster\nmodule = a\n%(x) = 1\n")],
        "-M --ini a.ini -p4 -p 2 -Ti --chmod-socket -C660 -L",
    ),
    (
        &[("a.ini", "[uwsgi]\nn = %n %o %x\n[b]\nm = %n %x %o\n")],
        "a.ini --processes 2",
    ),
    (
        &[(
            "a.ini",
            "[uwsgi]\nn = %n %N %o %O %x\nini = :b\n[b]\nm = %n %x %X %o|\n",
        )],
        "--ini ./a.ini:b --ini a.ini --inherit a.ini --set k=%(n)",
    ),
    (
        &[(
            "a.ini",
            "[uwsgi]\ndeclare-option = one=two=$1;three=$2\none = x y\n",
        )],
        "--declare-option own=a=$1 --own --x --ini a.ini --one y",
    ),
    (
        &[
            ("a.ini", "[uwsgi]\nx = 1\ninclude = b.ini\n"),
            ("b.ini", "[uwsgi]\ny = %N %n\n"),
        ],
        "--module --master --need-app --ini a.ini --env A=%(x)",
    ),
    (
        &[(
            "a.ini",
            "[uwsgi]\nif-not-opt = processes\nprocesses = 4\nthreads = 2\nendif\n\
             if-opt = processes\nfor-times = 2\nx = %(_)\nendif\ny = %(_)\n",
        )],
        "--ini a.ini",
    ),
    (
        &[(
            "a.ini",
            "[uwsgi]\nset-ph = p=$(HOME)%(q)\nq = %(p)\nr = %(q)\nif-env = HOME\nset = k=%(_)\n\
             ini = :more\nendif\n[more]\nz = %(k)\nend = \ny = %(_)\n",
        )],
        "--ini a.ini",
    ),
    (
        &[
            (
                "a.ini",
                "[uwsgi]\nfor-glob = *.txt\ng = %(_)\nendfor\nfor-glob = none*\nh = %(_)\nendfor\n\
             for-readline = l.txt\nl = %(_)\nendfor\nx = @(l.txt)\n",
            ),
            ("l.txt", "one\r\n two \n\n\nlast"),
            ("k.txt", ""),
        ],
        "--ini a.ini",
    ),
    (
        &[(
            "a.ini",
            "[uwsgi]\nblacklist = uid gid\nmodule = x\nend-blacklist\nuid = 1\n\
             whitelist = env END-whitelist\nenv = A=1\nend-whitelist\n",
        )],
        "--ini a.ini",
    ),
    (
        &[("a.ini", "[uwsgi]\nblacklist = uid gid\nGID = 1\n")],
        "--ini a.ini",
    ),
    (&[("a.ini", "[uwsgi]\nset-ph = uid=1\n")], "--ini a.ini"),
    (&[("a.ini", "[uwsgi]\nexit = 0\n")], "--ini a.ini"),
    (
        &[("a.ini", "[uwsgi]\nstrict\nproceses = 2\n")],
        "--ini a.ini",
    ),
    (
        &[("a.ini", "[uwsgi]\nset-ph = a=1\nstrict\nenv = X=%(a)\n")],
        "--ini a.ini",
    ),
    (
        &[(
            "a.ini",
            "[uwsgi]\nif-env = NONE\nif-env = HOME\na = 1\nendif\nb = 1\nendif\n",
        )],
        "--ini a.ini",
    ),
    (
        &[(
            "a.ini",
            "[uwsgi]\nif-hostname-match = .\na = 1\nendif\nif-not-hostname-match = ^no\\d$\n\
             b = %(_)\nendif\nif-reload\nc = 1\nendif\nif-not-reload\nd = %(_)\nendif\n",
        )],
        "--ini a.ini",
    ),
    (
        &[
            (
                "a.ini",
                "[uwsgi]\nearly-envdir = e\nx = $(ONE)$(TWO)|$(GONE)\n",
            ),
            ("e/ONE", "1 \t\n"),
            ("e/TWO", "a\nb\n"),
            ("e/GONE", ""),
            ("e/.hidden", "x"),
        ],
        "--ini a.ini",
    ),
    (
        &[(
            "a.ini",
            "[uwsgi]\nx = %(y)%(y)\ny = %(z)\nz = $(HOME)\nw = %(a(b))$(A(B))@(\n\
             v = %(y y)\nu = -%(3 + 4 ++)%(5 -- --)\n",
        )],
        "--ini a.ini",
    ),
    (
        &[(
            "a.json",
            "{\"x\": {}, /* c */ \"uwsgi\": {\"socket\": [\":1\", 2, true, null, {}],\n\
             \"a\": 1.50, \"b\": false, \"c\": {\"d\": 1}, \"a\": \"%n %%\", \"e\": \"\\u00e9\\n\"}}",
        )],
        "--json a.json -j a.json",
    ),
    (
        &[("a.json", "{\"app\": {\"a\": -1e5}}")],
        "--json a.json:app",
    ),
    (&[("a.json", "{\"app\": {\"a\": 1}}")], "--json a.json"),
    (&[("a.json", "{\"uwsgi\": {\"a\": 1,}}")], "--js a.json"),
    (
        &[(
            "a.yaml",
            "other:\n  a: 1\nuwsgi:\n  socket: [\":1\", \":2\"]\n  env:\n    - A=1\n    - \"B=%n\"\n  \
             pp:\n  - x\n  - y # c\n  deep:\n    z: 'q ''r'\n  flow: {m: n}\n  empty:\n  t: true\n  \
             long: >\n    a\n    b\n  e: \"\"\nlast:\n  b: 1\n",
        )],
        "--yaml a.yaml -y a.yaml:other",
    ),
    (
        &[("a.yml", "---\nuwsgi:\n  a: 1\n  b: !!str 2\n  c: 3\n")],
        "--yml a.yml --yaml a.yml:none",
    ),
    (
        &[("a.yml", "x:\n  &y a: 1\nuwsgi:\n  <<: *y\n  c: 3\n")],
        "--yml a.yml",
    ),
    (&[("a.yml", "uwsgi: {a: 1}\nx: [1]\n")], "--yml a.yml"),
    (
        &[(
            "a.xml",
            "<?xml version=\"1.0\"?>\n<!-- c -->\n<uwsgi id=\"x\"><socket>:1</socket>\n <master/><pp> a &amp; b \
             </pp><env><![CDATA[A=<1>]]></env><app mountpoint=\"/m\">mod</app><app>\n <script>s</script></app>\
             <a id=\"y\">%n %%</a><empty></empty></uwsgi>\n",
        )],
        "--xml a.xml -x a.xml:y --xmlconfig a.xml:z",
    ),
    (
        &[(
            "a.xml",
            "<all><uwsgi id=\"x\"><a>1</a></uwsgi><uwsgi id=\"y\"><b>2</b></uwsgi></all>",
        )],
        "--xml a.xml:y --include a.xml",
    ),
    (&[("a.xml", "<all><a>1</a></all>")], "--xml a.xml"),
];

#[test]
fn made_up_configs_are_shown_as_the_original_shows_them() {
    if require(ORIGINAL).is_none() {
        return;
    }
    let mut tally = Tally::default();
    for (files, line) in MADE_UP {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in *files {
            let file = folder.path().join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        let args: Vec<&str> = line.split(' ').collect();
        tally.compare(folder.path(), &args, files);
    }
    assert_eq!(tally.wrong, Vec::<String>::new());
    assert!(tally.shown > tally.refused, "{tally:?}");
}

#[derive(Debug, Default)]
struct Tally {
    shown: usize,
    refused: usize,
    wrong: Vec<String>,
}

impl Tally {
    /// What the original shows we show, and what it refuses we may refuse.
    fn compare(&mut self, folder: &Path, args: &[&str], files: &[(&str, &str)]) {
        let theirs = run(require(ORIGINAL).unwrap(), folder, args, &END);
        let ours = run(env!("CARGO_BIN_EXE_imperator").into(), folder, args, &END);
        let Some(shown) = block(&theirs) else {
            self.refused += 1;
            println!(
                "{args:?}: the original says {:?}",
                text(&theirs).lines().last()
            );
            if block(&ours).is_some() && !files.is_empty() {
                let what = format!("{args:?} {files:?}: shown, and the original refuses it");
                self.wrong.push(format!("{what}\n{}", text(&theirs)));
            }
            return;
        };
        self.shown += 1;
        let found = block(&ours);
        if found.as_ref() != Some(&shown) {
            let found = found.unwrap_or_else(|| text(&ours));
            let what = format!("{args:?} {files:?}:\n{}", difference(&shown, &found));
            self.wrong.push(what);
        }
    }
}

fn run(program: PathBuf, folder: &Path, args: &[&str], end: &[&str]) -> Output {
    Command::new("timeout")
        .args(["-s", "KILL", "20"])
        .arg(program)
        .args(["--plugin", "python3,http"])
        .args(args)
        .args(["--show-config", "--no-server"])
        .args(end)
        .current_dir(folder)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", "/nowhere")
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn block(output: &Output) -> Option<String> {
    let text = text(output);
    let start = text.find("\n;uWSGI instance configuration\n")?;
    let end = text[start..].find("\n;end of configuration\n\n")?;
    Some(text[start..start + end].to_owned())
}

/// The lines that are not the same.
fn difference(theirs: &str, ours: &str) -> String {
    let mut out = String::new();
    let mut theirs = theirs.lines();
    let mut ours = ours.lines();
    for _ in 0..10_000 {
        match (theirs.next(), ours.next()) {
            (None, None) => break,
            (theirs, ours) if theirs == ours => {}
            (theirs, ours) => out.push_str(&format!("  - {theirs:?}\n  + {ours:?}\n")),
        }
    }
    out
}

/// Keys that act get another name; nothing else of the text changes.
fn without_acting(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        let key: Vec<u8> = line
            .iter()
            .copied()
            .take_while(|&byte| byte != b'=')
            .collect();
        let key = String::from_utf8_lossy(&key).trim().to_owned();
        if ACTING.contains(&key.as_str()) {
            // An option that does nothing so early.
            let value = line.iter().position(|&byte| byte == b'=');
            out.extend_from_slice(b"procname-append ");
            out.extend_from_slice(&line[value.unwrap_or(0)..]);
        } else {
            out.extend_from_slice(line);
        }
    }
    out
}

fn replace(text: &[u8], what: &str, by: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((&first, behind)) = rest.split_first() {
        if let Some(behind) = rest.strip_prefix(what.as_bytes()) {
            out.extend_from_slice(by.as_bytes());
            rest = behind;
        } else {
            out.push(first);
            rest = behind;
        }
    }
    out
}

/// A directory of shared test data beside the checkout or one of its parents.
fn shared(name: &str) -> Option<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = here
        .ancestors()
        .map(|dir| dir.join("shared").join(name))
        .find(|dir| dir.is_dir());
    if found.is_none() {
        eprintln!("SKIPPED: no shared/{name} beside the checkout, so this test shows nothing");
    }
    found
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == "ini"))
        .collect();
    files.sort();
    files
}
