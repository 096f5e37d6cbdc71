//! Options of the config language.

use super::{Case, run};

/// Options that another test shows: name, and the function of the test.
pub(super) const ELSEWHERE: &[(&str, &str)] = &[];

const PLACEHOLDERS: &[Case] = &[
    Case {
        options: &["set-placeholder"],
        ini: "set-ph = who=me\nenv = ASKED=%(who)\n",
        see: |server, facts| {
            let child = server.get("/child").text();
            facts.note("the variable", child.contains("ASKED=me"));
        },
        ..Case::PLAIN
    },
    Case {
        options: &["include"],
        ini: "include = {dir}/more.ini\n",
        files: &[("more.ini", "[uwsgi]\nenv = FROM=more\n")],
        see: |server, facts| {
            let child = server.get("/child").text();
            facts.note("the variable", child.contains("FROM=more"));
        },
        ..Case::PLAIN
    },
];

#[test]
fn placeholders_and_includes() {
    run(PLACEHOLDERS);
}
