//! `on-demand-socket`: where its address comes from, and what it means for the app.

mod common;

use common::{Memory, resolve};
use imperator_core::settings::Settings;

/// `app.ini` with a module and these lines, beside `name`, under an emperor that says `socket`.
fn read(lines: &str, name: &[u8], socket: &str) -> Result<Settings, Vec<String>> {
    let text = format!("[uwsgi]\nmodule = a\n{lines}");
    let mut world = Memory::with(&[("app.ini", &text)]);
    let name = (world.facts.cwd.join("name"), name.to_vec());
    world.files.extend([name]);
    world.is_foreign = lines.contains("exec://");
    let argument = format!("--on-demand-socket={socket}");
    let found = resolve(&world, &[&argument, "--ini-file=app.ini"]);
    let findings = found.findings.iter().map(ToString::to_string).collect();
    found.settings.ok_or(findings)
}

/// Addresses and mode of its sockets, and whether it waits for a request.
fn shown(settings: &Settings) -> String {
    let listens = settings.listens.iter();
    let listens: Vec<_> = listens.map(|it| it.address.to_string()).collect();
    let mode = settings.chmod_socket.map(|mode| format!(" {mode:o}"));
    let cheap = if settings.scaling.cheap {
        " asleep"
    } else {
        ""
    };
    listens.join(" ") + &mode.unwrap_or_default() + cheap
}

#[test]
fn the_first_line_of_a_file_or_of_a_commands_output_names_the_socket() {
    for (lines, name, socket, expected) in [
        ("", "", "/run/a.socket", "/run/a.socket 666 asleep"),
        ("", "/s\nmore", "file://name", "/s 666 asleep"),
        ("", "/s\r\n", "file://name", "/s 666 asleep"),
        ("", "127.0.0.1:80\n", "file://name", "127.0.0.1:80 asleep"),
        (
            "",
            "",
            "exec://where 'a.ini'",
            "output of where 'a.ini' 666 asleep",
        ),
        // The app's own words count.
        ("chmod-socket = 660\n", "/s", "file://name", "/s 660 asleep"),
        ("socket = /s\n", "/s", "file://name", "/s asleep"),
        ("socket = /own\n", "/s", "file://name", "/own /s asleep"),
        ("cheap = false\n", "/s", "file://name", "/s 666 asleep"),
        ("if-opt = x\n", "/s", "file://name", "/s 666 asleep"),
        // Nobody names one: an app like any other.
        ("socket = /own\n", "", "file://other", "/own"),
        ("socket = /own\n", "", "file://name", "/own"),
        ("socket = /own\n", "\n/s", "file://name", "/own"),
    ] {
        let settings = read(lines, name.as_bytes(), socket);
        let settings = settings.unwrap_or_else(|findings| panic!("{lines:?}: {findings:?}"));
        assert_eq!(shown(&settings), expected, "{lines:?} {name:?} {socket}");
    }
}

#[test]
fn a_name_that_is_no_address_and_a_foreign_command_are_told() {
    let told = read("", b"127.0.0.1:x\n", "file://name").unwrap_err();
    assert!(told[0].contains("the socket on demand: "), "{told:?}");
    let told = read("on-demand-socket = exec://where\n", b"", "").unwrap_err();
    assert!(told[0].starts_with("app.ini:3: error: "), "{told:?}");
    assert!(told[0].contains("belongs to another user"), "{told:?}");
}
