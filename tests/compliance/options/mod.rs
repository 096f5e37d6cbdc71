//! One case per option that does something: set it, observe it, on the original and on ours. What
//! cannot be compared that way (systemd, root, time) stands in `ELSEWHERE` of its topic, with the
//! test that shows it; and a test here keeps both whole.
//!
//! A topic is a module with constants of cases and a `#[test]` that runs each.

mod alarms;
mod basics;
mod blocks;
mod coverage;
mod emperor;
mod http;
mod https;
mod language;
mod logs;
mod on_demand;
mod outside;
mod python;
mod request;
mod routes;
mod sockets;
mod static_files;
mod workers;

use super::pair::{self, Facts, Server, compare_runs};
use super::support;

/// Options, set and observed on both servers.
pub(super) struct Case {
    /// The options that this case shows, by their main names or by aliases.
    pub(super) options: &'static [&'static str],
    /// Lines behind those of [`BASE`]; the whole config, when it begins with `[`. `{dir}` is the
    /// server's folder.
    pub(super) ini: &'static str,
    /// Path and text of files that the folder holds beside `facts.py`.
    pub(super) files: &'static [(&'static str, &'static str)],
    /// Facts that must differ (a `*` at the end stands for any rest), each with its row in
    /// `docs/differences.md`.
    pub(super) differs: &'static [(&'static str, &'static str)],
    pub(super) see: fn(&mut Server, &mut Facts),
}

impl Case {
    /// A case to begin with: `Case { options: …, ini: …, see: …, ..Case::PLAIN }`.
    pub(super) const PLAIN: Self = Self {
        options: &[],
        ini: "",
        files: &[],
        differs: &[],
        see: |server, facts| {
            facts.note("/", pair::outcome(&server.get("/")));
        },
    };
}

/// Serves `tests/apps/facts.py` on the socket `s`.
const BASE: &str = "[uwsgi]\nsocket = {dir}/s\nwsgi-file = {dir}/facts.py\n";

/// Runs the cases one after another on both servers; all that fail are told together.
#[track_caller]
pub(super) fn run(cases: &[Case]) {
    let mut failed = Vec::new();
    for case in cases {
        let ini = match case.ini.starts_with('[') {
            true => case.ini.to_owned(),
            false => format!("{BASE}{}", case.ini),
        };
        let observed = std::panic::catch_unwind(|| {
            compare_runs(case.differs, |which| {
                let folder = pair::folder();
                for (path, text) in case.files {
                    folder.write(path, text);
                }
                let mut facts = Facts::default();
                let mut server = Server::start_in(which, folder, &ini);
                (case.see)(&mut server, &mut facts);
                facts
            });
        });
        // The panic itself is on stderr already.
        if observed.is_err() {
            failed.push(case.options.join(", "));
        }
    }
    assert!(
        failed.is_empty(),
        "cases that failed: {}",
        failed.join("; ")
    );
}
