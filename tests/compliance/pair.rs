//! The two servers under test behind one face, and the comparison of what was seen of them.
//!
//! `UNDER_TEST=original` or `ours` runs one of them alone; without it, the original goes first and
//! ours must show the same facts, save those that a row of `docs/differences.md` tells.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::support::{
    Address, Alone, Exchange, Folder, Original, Process, Reply, Signal, Vars, dawdle, repository,
    skips_without, uwsgi, wait_for,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    Original,
    Ours,
}

/// What was seen, by name.
#[derive(Debug, Default)]
pub(crate) struct Facts(BTreeMap<String, String>);

impl Facts {
    #[track_caller]
    pub(crate) fn note(&mut self, name: impl Into<String>, fact: impl std::fmt::Display) {
        let name = name.into();
        let before = self.0.insert(name.clone(), fact.to_string());
        assert!(before.is_none(), "the fact \"{name}\" is noted twice");
    }
}

/// Runs `observe` on both servers with the same ini and compares. `differences`: names of facts
/// that must differ (a `*` at the end stands for any rest), with their row in the document.
#[track_caller]
pub(crate) fn compare(
    differences: &[(&str, &str)],
    ini: &str,
    observe: impl Fn(&mut Server, &mut Facts),
) {
    compare_runs(differences, |which| {
        let mut facts = Facts::default();
        let mut server = Server::start(which, ini);
        observe(&mut server, &mut facts);
        facts
    });
}

/// As [`compare`], for scenarios that start their servers themselves.
#[track_caller]
pub(crate) fn compare_runs(differences: &[(&str, &str)], run: impl Fn(Which) -> Facts) {
    let under_test = std::env::var("UNDER_TEST").ok();
    let wants = |name| under_test.as_deref().is_none_or(|only| only == name);
    let no_original = skips_without("the original uwsgi-core", Original::is_installed());
    let original = (wants("original") && !no_original).then(|| run(Which::Original));
    let ours = wants("ours").then(|| run(Which::Ours));
    let (Some(original), Some(ours)) = (original, ours) else {
        return;
    };
    let mut problems = Vec::new();
    for name in original.0.keys().chain(ours.0.keys()) {
        let (before, here) = (original.0.get(name), ours.0.get(name));
        let row = differences
            .iter()
            .find(|(fact, _)| match fact.strip_suffix('*') {
                Some(start) => name.starts_with(start),
                None => fact == name,
            });
        match row {
            None if before != here => problems.push(format!(
                "{name}:\n    original: {before:?}\n    ours:     {here:?}"
            )),
            Some((fact, _)) if before == here && !fact.ends_with('*') => problems.push(format!(
                "{name} is listed as a difference, but both show {here:?}"
            )),
            None | Some(_) => (),
        }
    }
    problems.sort();
    problems.dedup();
    for (_, row) in differences {
        if !is_documented(row) {
            problems.push(format!("docs/differences.md has no row \"{row}\""));
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

fn is_documented(row: &str) -> bool {
    let document = std::fs::read_to_string(repository().join("docs/differences.md"));
    document
        .expect("docs/differences.md")
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" | ").next())
        .any(|what| what == row)
}

/// One app, run by one of the two.
pub(crate) struct Server {
    kind: Kind,
}

enum Kind {
    Original(Original),
    Ours(Alone),
}

impl Server {
    /// Runs `app.ini` with this text in a folder that holds the app of facts as `facts.py`.
    #[track_caller]
    pub(crate) fn start(which: Which, ini: &str) -> Self {
        Self::start_in(which, folder(), ini)
    }

    #[track_caller]
    pub(crate) fn start_in(which: Which, folder: Folder, ini: &str) -> Self {
        let kind = match which {
            Which::Original => Kind::Original(Original::start_in(folder, ini)),
            Which::Ours => Kind::Ours(Alone::start_in(folder, ini)),
        };
        Self { kind }
    }

    /// With other arguments than the ini; `plugin` and `master` are added for the original.
    #[track_caller]
    pub(crate) fn start_with(
        which: Which,
        folder: Folder,
        args: &[&str],
        env: &[(&str, &str)],
    ) -> Self {
        let kind = match which {
            Which::Original => {
                let args = [&["--plugin", "python3", "--master"], args].concat();
                Kind::Original(Original::start_with(folder, &args, env))
            }
            Which::Ours => Kind::Ours(Alone::start_with(folder, args, env)),
        };
        Self { kind }
    }

    pub(crate) fn is_original(&self) -> bool {
        matches!(self.kind, Kind::Original(_))
    }

    pub(crate) fn folder(&self) -> &Folder {
        match &self.kind {
            Kind::Original(original) => &original.folder,
            Kind::Ours(ours) => &ours.folder,
        }
    }

    pub(crate) fn process(&mut self) -> &mut Process {
        match &mut self.kind {
            Kind::Original(original) => original.process(),
            Kind::Ours(ours) => ours.process(),
        }
    }

    /// Waits until the original's master looks around: it starts its workers first. Ours has done so
    /// when it serves.
    pub(crate) fn settle(&self) {
        if let Kind::Original(original) = &self.kind {
            original.wait_ready(Signal::HUP);
            dawdle(std::time::Duration::from_secs(1));
        }
    }

    pub(crate) fn send(&self, signal: Signal) {
        match &self.kind {
            Kind::Original(original) => original.send(signal),
            Kind::Ours(ours) => ours.send(signal),
        }
    }

    pub(crate) fn log(&self) -> String {
        match &self.kind {
            Kind::Original(original) => original.log(),
            Kind::Ours(ours) => ours.log(),
        }
    }

    pub(crate) fn report(&self) -> String {
        match &self.kind {
            Kind::Original(original) => original.report(),
            Kind::Ours(ours) => ours.report(),
        }
    }

    #[track_caller]
    pub(crate) fn wait_for<T>(&self, what: &str, probe: impl Fn(&Self) -> Option<T>) -> T {
        wait_for(what, || self.report(), || probe(self))
    }

    /// The socket `s` of the folder, once it is bound: requests wait in its backlog.
    #[track_caller]
    pub(crate) fn socket(&self) -> PathBuf {
        let path = self.folder().join("s");
        self.wait_for("the socket \"s\"", |_| {
            let bound = Exchange::connect(&Address::Unix(path.clone()));
            // A connection for nothing is dropped silently by both.
            bound.is_ok().then_some(())
        });
        path
    }

    #[track_caller]
    pub(crate) fn get(&self, uri: &str) -> Reply {
        self.ask(&Vars::request("GET", uri), b"")
    }

    #[track_caller]
    pub(crate) fn ask(&self, vars: &Vars, body: &[u8]) -> Reply {
        // An error is a connection that was reset: for a front end as bad as a silent close.
        uwsgi(&Address::Unix(self.socket()), vars, body).unwrap_or_default()
    }

    /// Sends these bytes in pieces, and nothing more; tells what came until the server closed.
    #[track_caller]
    pub(crate) fn raw(&self, pieces: &[&[u8]]) -> Vec<u8> {
        use std::io::Write;
        let mut exchange = Exchange::connect(&Address::Unix(self.socket())).expect("connect");
        for piece in pieces {
            if exchange.write_all(piece).is_err() {
                break;
            }
            // Long enough that the server reads each piece by itself.
            dawdle(std::time::Duration::from_millis(5));
        }
        exchange.read_all().unwrap_or_default()
    }
}

/// A folder with the app of facts.
pub(crate) fn folder() -> Folder {
    let folder = Folder::new();
    let app = repository().join("tests/apps/facts.py");
    std::fs::copy(app, folder.join("facts.py")).expect("tests/apps/facts.py");
    folder
}

/// An answer as one line: what a front end would pass on.
pub(crate) fn outcome(reply: &Reply) -> String {
    match reply.status {
        0 if reply.body.is_empty() => "closed without an answer".to_owned(),
        0 => "bytes without a head".to_owned(),
        _ => reply.line.clone(),
    }
}

pub(crate) fn outcome_of(raw: &[u8]) -> String {
    outcome(&Reply::parse(raw))
}
