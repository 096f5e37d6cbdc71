//! Apps that start at their first request, by the emperor's options; and their sleep over the emperor's
//! end and upgrade.

use super::support::{Empire, is_alive, set_mode};
use super::{ask, folder, master, settled, wait_greeting};

/// A vassal that names no socket.
fn plain(greeting: &str) -> String {
    format!("[uwsgi]\nwsgi-file = {{dir}}/app.py\nenv = GREETING={greeting}\n")
}

fn why(empire: &Empire, app: &str) -> String {
    let output = empire.command(&["why", app]);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn sockets_on_demand_follow_their_files_and_commands_cost_their_apps_alone() {
    let folder = folder();
    folder.write("vassals/a.ini.at", "{dir}/one.s\n");
    folder.write("vassals/b.ini.at", "no:address\n");
    let own = plain("c") + "socket = {dir}/c.s\n";
    let vassals = [
        ("a.ini", &*plain("a")),
        ("b.ini", &plain("b")),
        ("c.ini", &own),
    ];
    let args = ["--emperor", "{dir}/vassals", "--emperor-on-demand-ext=.at"];
    let empire = Empire::start_with(folder, &vassals, &args);
    empire.wait_state("a", "asleep");
    // Without such a file it is an app like any other; one that makes no sense is told.
    wait_greeting(&empire, "c", "c");
    empire.wait_state("b", "failing");
    let told = why(&empire, "b");
    assert!(told.contains("the socket on demand"), "{told}");
    empire.folder.write("vassals/b.ini.at", "{dir}/b.s\n");
    empire.wait_state("b", "asleep");
    wait_greeting(&empire, "b", "b");
    // Another name while it sleeps, and while it serves.
    empire.folder.write("vassals/a.ini.at", "{dir}/two.s\n");
    empire.wait_for("the other socket", |empire| {
        (empire.path("two.s").exists() && !empire.path("one.s").exists()).then_some(())
    });
    empire.wait_state("a", "asleep");
    let worker = wait_greeting(&empire, "two", "a");
    empire.folder.write("vassals/a.ini.at", "{dir}/three.s\n");
    let next = wait_greeting(&empire, "three", "a");
    assert_ne!(next, worker);
    empire.wait_for("the old socket to go", |empire| {
        (!empire.path("two.s").exists()).then_some(())
    });
    empire.folder.write("vassals/c.ini.at", "{dir}/d.s\n");
    wait_greeting(&empire, "d", "c");
    assert!(ask(&empire, "c").is_some(), "{}", empire.report());
}

#[test]
fn a_command_for_sockets_that_fails_costs_its_app_alone_and_is_told() {
    let folder = folder();
    let where_ = "#!/bin/sh\ncase $1 in\n  a.ini) echo {dir}/a.s;;\n  b.ini) test -e {dir}/mended || exit 7; \
                  echo {dir}/b.s;;\nesac\n";
    set_mode(&folder.write("where", where_), 0o755);
    let own = plain("c") + "socket = {dir}/c.s\n";
    let vassals = [
        ("a.ini", &*plain("a")),
        ("b.ini", &plain("b")),
        ("c.ini", &own),
    ];
    let args = [
        "--emperor",
        "{dir}/vassals",
        "--emperor-on-demand-exec={dir}/where",
    ];
    let empire = Empire::start_with(folder, &vassals, &args);
    let failing = empire.wait_state("b", "failing");
    empire.wait_state("a", "asleep");
    wait_greeting(&empire, "a", "a");
    wait_greeting(&empire, "c", "c");
    let told = why(&empire, "b");
    for part in ["/where 'b.ini'", "exit status: 7", "imperator retry"] {
        assert!(told.contains(part), "{part} in\n{told}");
    }
    empire.folder.write("mended", "");
    empire.command(&["retry", "b"]);
    empire.wait_state("b", "asleep");
    wait_greeting(&empire, "b", "b");
    assert_eq!(master(&settled(&empire, "b")), master(&failing));
    assert!(is_alive(master(&failing)));
}
