//! `tests/wsgi/app.py` served by each interpreter of this machine, asked over both protocols.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::support::{
    Address, Alone, Folder, Reply, Vars, http, repository, skips_without, target_directory, uwsgi,
    uwsgi_get,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Uwsgi,
    Http,
}

pub(crate) const BOTH: [Protocol; 2] = [Protocol::Uwsgi, Protocol::Http];

/// One interpreter that serves the app.
pub(crate) struct Served {
    pub(crate) app: Alone,
    pub(crate) python: PathBuf,
}

/// Every interpreter from 3.9 on: Debian's, and pyenv's.
pub(crate) fn interpreters() -> &'static [PathBuf] {
    static FOUND: OnceLock<Vec<PathBuf>> = OnceLock::new();
    FOUND.get_or_init(|| {
        let found = all_pythons()
            .into_iter()
            .filter(|python| version(python).is_some_and(|version| version >= (3, 9)))
            .collect::<Vec<_>>();
        assert!(!found.is_empty(), "no CPython 3.9 or later on this machine");
        found
    })
}

/// Those that are too old to serve.
pub(crate) fn old_interpreters() -> Vec<PathBuf> {
    let is_old = |python: &PathBuf| version(python).is_some_and(|version| version < (3, 9));
    all_pythons().into_iter().filter(is_old).collect()
}

fn all_pythons() -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from("/usr/bin/python3")];
    let home = std::env::var_os("HOME").unwrap_or_default();
    let versions = std::fs::read_dir(Path::new(&home).join(".pyenv/versions"));
    let versions = versions.into_iter().flatten().flatten();
    found.extend(versions.map(|version| version.path().join("bin/python")));
    found.retain(|python| python.exists());
    found.sort();
    found
}

pub(crate) fn version(python: &Path) -> Option<(u32, u32)> {
    let output = Command::new(python)
        .args(["-c", "import sys; print('%d %d' % sys.version_info[:2])"])
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (major, minor) = text.trim().split_once(' ')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Those of pyenv that have a gevent of their own, which `tests/run` puts beside the virtualenv, and
/// where that is.
pub(crate) fn with_gevent() -> Vec<(&'static Path, PathBuf)> {
    beside(&of_pyenv(), "test-gevent")
}

/// `~/.pyenv/versions/3.12.1/bin/python`; Debian's is the virtualenv's.
pub(crate) fn of_pyenv() -> Vec<&'static Path> {
    let all = interpreters().iter().map(PathBuf::as_path);
    all.filter(|python| python.to_string_lossy().contains("/versions/3."))
        .collect()
}

/// Those that have packages in this directory of the target directory, and where.
pub(crate) fn beside(pythons: &[&'static Path], directory: &str) -> Vec<(&'static Path, PathBuf)> {
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for python in pythons {
        let (major, minor) = version(python).expect("an interpreter that told it before");
        let version = format!("{major}.{minor}");
        let packages = target_directory().join(directory).join(&version);
        if packages.is_dir() {
            found.push((*python, packages));
        } else {
            missing.push(version);
        }
    }
    let what = format!("packages of Python {missing:?} in target/{directory}");
    skips_without(&what, missing.is_empty());
    found
}

/// Runs `check` on every interpreter. `lines` are added to the ini.
#[track_caller]
pub(crate) fn on_each(lines: &str, check: impl Fn(&Served)) {
    for python in interpreters() {
        check(&Served::start(python, lines));
    }
}

/// Runs `check` on every interpreter over each protocol, with a fresh process.
#[track_caller]
pub(crate) fn on_each_over_both(lines: &str, check: impl Fn(&Served, Protocol)) {
    on_each(lines, |served| {
        for protocol in BOTH {
            check(served, protocol);
        }
    });
}

/// This code as the module `web`, at `{dir}/s`. `lines` say which Python runs it, and what else.
#[track_caller]
pub(crate) fn web(code: &str, lines: &str) -> Alone {
    let folder = Folder::new();
    folder.write("web.py", code);
    let head = "[uwsgi]\nsocket = {dir}/s\nchdir = {dir}\nmodule = web\n";
    let app = Alone::start_in(folder, &format!("{head}{lines}"));
    app.wait_for("the first answer", |app| {
        uwsgi_get(app.path("s").as_path(), "/pid").ok()
    });
    app
}

/// What a [`web`] app answers to a `GET`, with 200.
#[track_caller]
pub(crate) fn text(app: &Alone, uri: &str) -> String {
    let reply = uwsgi_get(app.path("s").as_path(), uri).expect("an answer");
    assert_eq!(reply.status, 200, "{uri}\n{}", app.report());
    reply.text()
}

impl Served {
    #[track_caller]
    pub(crate) fn start(python: &Path, lines: &str) -> Self {
        let folder = Folder::new();
        let app = std::fs::read_to_string(repository().join("tests/wsgi/app.py")).unwrap();
        folder.write("app.py", &app);
        let text = format!(
            "[uwsgi]\nsocket = {{dir}}/s\nhttp-socket = {{dir}}/h\nchdir = {{dir}}\n\
             module = app\npython = {}\n{lines}",
            python.display()
        );
        let served = Self {
            app: Alone::start_in(folder, &text),
            python: python.to_owned(),
        };
        served.app.wait_for("an answer", |_| {
            let reply = uwsgi(
                &served.address(Protocol::Uwsgi),
                &Vars::request("GET", "/seen"),
                b"",
            );
            reply.ok().filter(|reply| reply.status == 200)
        });
        served
    }

    pub(crate) fn address(&self, protocol: Protocol) -> Address {
        Address::Unix(self.app.path(match protocol {
            Protocol::Uwsgi => "s",
            Protocol::Http => "h",
        }))
    }

    /// One request, whatever it is answered. Header names as in HTTP.
    #[track_caller]
    pub(crate) fn ask(
        &self,
        protocol: Protocol,
        method: &str,
        uri: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Reply {
        let to = self.address(protocol);
        let reply = match protocol {
            Protocol::Http => http(&to, method, uri, headers, body),
            Protocol::Uwsgi => {
                let mut vars = Vars::request(method, uri);
                for (name, value) in headers {
                    let name = name.to_uppercase().replace('-', "_");
                    vars = vars.with(&format!("HTTP_{name}"), value);
                }
                uwsgi(&to, &vars, body)
            }
        };
        reply.unwrap_or_else(|error| {
            panic!(
                "{method} {uri} over {protocol:?}: {error}\n{}",
                self.report()
            )
        })
    }

    #[track_caller]
    pub(crate) fn get(&self, protocol: Protocol, uri: &str) -> Reply {
        self.ask(protocol, "GET", uri, &[], b"")
    }

    /// A `GET` that is answered 200, complete.
    #[track_caller]
    pub(crate) fn text(&self, protocol: Protocol, uri: &str) -> String {
        let reply = self.get(protocol, uri);
        assert_eq!(
            reply.status,
            200,
            "{uri} over {protocol:?}\n{}",
            self.report()
        );
        assert!(reply.complete, "{uri} over {protocol:?}: {reply:?}");
        reply.text()
    }

    /// `GET uri` is answered 500, the log then holds `cause`, and the next request is served.
    #[track_caller]
    pub(crate) fn assert_500(&self, protocol: Protocol, uri: &str, cause: &str) {
        let before = self.app.log().matches(cause).count();
        let reply = self.get(protocol, uri);
        assert_eq!(
            reply.status,
            500,
            "{uri} over {protocol:?}: {reply:?}\n{}",
            self.report()
        );
        self.app
            .wait_for(&format!("\"{cause}\" in the log after {uri}"), |app| {
                (app.log().matches(cause).count() > before).then_some(())
            });
        assert_eq!(self.text(protocol, "/valid/plain"), "plain:");
    }

    /// What the app noted, line by line.
    pub(crate) fn seen(&self) -> Vec<String> {
        let text = self.text(Protocol::Uwsgi, "/seen");
        text.lines().map(str::to_owned).collect()
    }

    #[track_caller]
    pub(crate) fn wait_seen(&self, line: &str, times: usize) {
        self.app
            .wait_for(&format!("the app to note \"{line}\""), |_| {
                let count = self.seen().iter().filter(|seen| *seen == line).count();
                (count == times).then_some(())
            });
    }

    /// One line of `/facts`.
    #[track_caller]
    pub(crate) fn fact(&self, name: &str) -> String {
        let text = self.text(Protocol::Uwsgi, "/facts");
        let found = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        found
            .unwrap_or_else(|| panic!("no fact {name}: {text}"))
            .to_owned()
    }

    pub(crate) fn report(&self) -> String {
        format!("{}\n{}", self.python.display(), self.app.report())
    }
}
