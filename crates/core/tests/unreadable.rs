//! Configs that cannot be read, or only as far as the limits go.

mod common;

use common::{Memory, resolve};
use imperator_core::config;

#[test]
fn what_cannot_be_read_is_told() {
    let text = |world: &Memory, args: &[&str]| {
        let found = resolve(world, args);
        assert!(found.settings.is_none());
        found.findings[0].to_string()
    };
    let world = Memory::with(&[
        ("a.ini", "[app]\nx = 1\n"),
        ("b.ini", "[uwsgi]\nini = nope.ini\n"),
        ("c.ini", "[uwsgi]\nx = <%(x)>\n"),
        ("d.ini", "[uwsgi]\nchdir = @(nope)\n"),
    ]);
    assert_eq!(
        text(&world, &["nope.ini"]),
        "error: cannot read nope.ini: no such file or directory"
    );
    assert_eq!(
        text(&world, &["a.ini"]),
        "error: no section [uwsgi] in a.ini\n  hint: it has [app]"
    );
    assert_eq!(
        text(&world, &["b.ini"]),
        "b.ini:2: error: cannot read nope.ini: no such file or directory"
    );
    assert_eq!(
        text(&world, &["c.ini"]),
        "c.ini:2: error: the value of \"x\" holds itself or grows without end\n  \
         hint: break the circle"
    );
    assert_eq!(
        text(&world, &["d.ini"]),
        "d.ini:2: error: cannot read \"@(nope)\": no such file or directory"
    );
    assert!(text(&world, &[]).contains("socket"));
    assert!(text(&world, &["--proceses=4", "a.ini"]).contains("did you mean \"--processes\"?"));
}

#[test]
fn latin_1_is_kept_and_told() {
    let mut world = Memory::with(&[]);
    let text = b"[uwsgi]\nsocket = :1\nmodule = a\nenv = NAME=caf\xe9\n".to_vec();
    world.files.insert("/etc/apps/app.ini".into(), text);
    let found = resolve(&world, &["app.ini"]);
    assert_eq!(
        found.settings.unwrap().env,
        [("NAME".to_owned(), "caf\u{e9}".to_owned())]
    );
    assert!(found.findings[0].text.contains("latin-1"));
}

#[test]
fn loops_and_sizes_have_limits() {
    let many = "x = 1\n".repeat(config::MAX_ENTRIES + 10);
    let found = resolve(
        &Memory::with(&[("app.ini", &format!("[uwsgi]\n{many}"))]),
        &["app.ini"],
    );
    assert!(found.settings.is_none());
    let looped = format!(
        "[uwsgi]\nfor-times = 99999999\n{}endfor\n",
        "x = %(_)\n".repeat(20)
    );
    let found = resolve(&Memory::with(&[("app.ini", &looped)]), &["app.ini"]);
    assert!(
        found
            .findings
            .iter()
            .any(|finding| finding.text.contains("more than"))
    );
    let grown = "[uwsgi]\na = xxxxxxxxxxxxxxxx\nb = <%(a)%(a)%(a)%(a)%(b)>\n";
    let found = resolve(&Memory::with(&[("app.ini", grown)]), &["app.ini"]);
    assert!(found.settings.is_none());
    // One after another, values may double: each is bounded.
    let doubled: String = (0..40)
        .map(|n| format!("k{} = x%(k{n})%(k{n})\n", n + 1))
        .collect();
    let found = resolve(
        &Memory::with(&[("app.ini", &format!("[uwsgi]\nk0 = xx\n{doubled}"))]),
        &["app.ini"],
    );
    assert!(found.settings.is_none());
}
