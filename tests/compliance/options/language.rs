//! Options of the config language.

use super::{Case, run};

/// Options that another test shows: name, and the function of the test.
pub(super) const ELSEWHERE: &[(&str, &str)] = &[
    (
        "blacklist",
        "made_up_configs_are_shown_as_the_original_shows_them",
    ),
    (
        "declare-option",
        "made_up_configs_are_shown_as_the_original_shows_them",
    ),
    (
        "declare-option2",
        "options_of_the_language_do_what_they_say",
    ),
    (
        "early-envdir",
        "made_up_configs_are_shown_as_the_original_shows_them",
    ),
    (
        "end",
        "made_up_configs_are_shown_as_the_original_shows_them",
    ),
    (
        "end-blacklist",
        "made_up_configs_are_shown_as_the_original_shows_them",
    ),
    (
        "end-whitelist",
        "made_up_configs_are_shown_as_the_original_shows_them",
    ),
    (
        "endfor",
        "made_up_configs_are_shown_as_the_original_shows_them",
    ),
    (
        "endif",
        "made_up_configs_are_shown_as_the_original_shows_them",
    ),
    ("envdir", "options_of_the_language_do_what_they_say"),
    (
        "exit",
        "made_up_configs_are_shown_as_the_original_shows_them",
    ),
    (
        "fallback-config",
        "options_of_the_language_do_what_they_say",
    ),
    (
        "for",
        "made_up_configs_are_shown_as_the_original_shows_them",
    ),
    (
        "for-glob",
        "made_up_configs_are_shown_as_the_original_shows_them",
    ),
    (
        "for-readline",
        "made_up_configs_are_shown_as_the_original_shows_them",
    ),
    (
        "for-times",
        "made_up_configs_are_shown_as_the_original_shows_them",
    ),
    ("get", "options_of_the_language_do_what_they_say"),
    ("if-dir", "the_original_reads_these_texts_as_we_do"),
    (
        "if-env",
        "made_up_configs_are_shown_as_the_original_shows_them",
    ),
    ("if-exists", "the_original_reads_these_texts_as_we_do"),
    ("if-file", "the_original_reads_these_texts_as_we_do"),
    ("if-hostname", "options_of_the_language_do_what_they_say"),
    (
        "if-hostname-match",
        "made_up_configs_are_shown_as_the_original_shows_them",
    ),
    ("if-not-dir", "the_original_reads_these_texts_as_we_do"),
    ("if-not-env", "the_original_reads_these_texts_as_we_do"),
    ("if-not-exists", "the_original_reads_these_texts_as_we_do"),
    ("if-not-file", "the_original_reads_these_texts_as_we_do"),
    (
        "if-not-hostname",
        "options_of_the_language_do_what_they_say",
    ),
    (
        "if-not-hostname-match",
        "made_up_configs_are_shown_as_the_original_shows_them",
    ),
    (
        "if-not-opt",
        "made_up_configs_are_shown_as_the_original_shows_them",
    ),
    ("if-not-plugin", "options_of_the_language_do_what_they_say"),
    (
        "if-not-reload",
        "made_up_configs_are_shown_as_the_original_shows_them",
    ),
    (
        "if-opt",
        "made_up_configs_are_shown_as_the_original_shows_them",
    ),
    ("if-plugin", "options_of_the_language_do_what_they_say"),
    (
        "if-reload",
        "made_up_configs_are_shown_as_the_original_shows_them",
    ),
    (
        "inherit",
        "made_up_configs_are_shown_as_the_original_shows_them",
    ),
    (
        "ini",
        "made_up_configs_are_shown_as_the_original_shows_them",
    ),
    (
        "ini-file",
        "a_stanza_is_found_by_its_section_or_its_name_and_colons_stay_whole",
    ),
    (
        "ini-section",
        "a_stanza_is_found_by_its_section_or_its_name_and_colons_stay_whole",
    ),
    ("iprint", "options_of_the_language_do_what_they_say"),
    (
        "json",
        "made_up_configs_are_shown_as_the_original_shows_them",
    ),
    (
        "no-server",
        "made_up_configs_are_shown_as_the_original_shows_them",
    ),
    ("print", "options_of_the_language_do_what_they_say"),
    ("resolve", "options_of_the_language_do_what_they_say"),
    (
        "set",
        "made_up_configs_are_shown_as_the_original_shows_them",
    ),
    (
        "show-config",
        "made_up_configs_are_shown_as_the_original_shows_them",
    ),
    (
        "strict",
        "made_up_configs_are_shown_as_the_original_shows_them",
    ),
    ("unenv", "options_of_the_language_do_what_they_say"),
    (
        "whitelist",
        "made_up_configs_are_shown_as_the_original_shows_them",
    ),
    (
        "xmlconfig",
        "made_up_configs_are_shown_as_the_original_shows_them",
    ),
    (
        "yaml",
        "made_up_configs_are_shown_as_the_original_shows_them",
    ),
];

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
