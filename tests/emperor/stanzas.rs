//! One file, many apps.

use std::collections::BTreeMap;

use super::support::Empire;
use super::{body, empire, generation, master, names, settled, wait_greeting};

/// Stanzas of these greetings, each named as its greeting.
fn file(greetings: &[(&str, &str)]) -> String {
    let stanza = |(name, greeting): &(&str, &str)| format!("[{name}]\n{}", body(name, greeting));
    greetings.iter().map(stanza).collect()
}

fn facts(empire: &Empire, numbers: &[&str]) -> BTreeMap<String, (i32, u64)> {
    let fact = |name: &&str| {
        let app = settled(empire, &format!("site:{name}"));
        ((*name).to_owned(), (master(&app), generation(&app)))
    };
    numbers.iter().map(fact).collect()
}

#[test]
fn ten_stanzas_are_ten_apps_and_each_is_on_its_own() {
    const NAMES: [&str; 10] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    let mut stanzas: Vec<(&str, &str)> = NAMES.iter().map(|name| (*name, *name)).collect();
    let empire = empire(&[("site.ini", &file(&stanzas))]);
    for name in NAMES {
        wait_greeting(&empire, name, name);
    }
    let before = facts(&empire, &NAMES);

    stanzas[3].1 = "edited";
    empire.write("site.ini", &file(&stanzas));
    wait_greeting(&empire, "d", "edited");
    let mut expected = before.clone();
    expected.get_mut("d").unwrap().1 += 1;
    assert_eq!(
        facts(&empire, &NAMES),
        expected,
        "one reload, in its old master"
    );

    stanzas.remove(5);
    empire.write("site.ini", &file(&stanzas));
    empire.wait_for("nine apps", |empire| {
        (names(empire).len() == 9).then_some(())
    });
    assert!(!names(&empire).contains(&"site:f".to_owned()));
    expected.remove("f");
    let left: Vec<&str> = NAMES.into_iter().filter(|name| *name != "f").collect();
    assert_eq!(facts(&empire, &left), expected, "one stop");
}

/// The lines of an app as another kind of config writes them.
fn as_pairs(name: &str, form: impl Fn(&str, &str) -> String) -> Vec<String> {
    let lines = body(name, name);
    let pairs = lines.lines().filter_map(|line| line.split_once('='));
    pairs
        .map(|(key, value)| form(key.trim(), value.trim()))
        .collect()
}

#[test]
fn json_yaml_and_xml_files_are_vassals_too() {
    let json = as_pairs("j", |key, value| format!("\"{key}\": \"{value}\""));
    let json = |extra: &str| format!("{{\"uwsgi\": {{{}{extra}}}}}", json.join(","));
    let yaml = as_pairs("y", |key, value| format!("  {key}: \"{value}\"\n"));
    let xml = as_pairs("x", |key, value| format!("<{key}>{value}</{key}>"));
    let empire = empire(&[
        ("j.json", &json("")),
        ("y.yml", &format!("uwsgi:\n{}", yaml.concat())),
        ("x.xml", &format!("<uwsgi>{}</uwsgi>", xml.concat())),
    ]);
    for name in ["j", "y", "x"] {
        wait_greeting(&empire, name, name);
    }
    let before = generation(&settled(&empire, "j"));
    empire.write("j.json", &json(", \"harakiri\": 20"));
    empire.wait_for("a reload", |empire| {
        (generation(&empire.app("j")) > before).then_some(())
    });
}
