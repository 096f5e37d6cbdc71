//! What is not there, not allowed, or taken.

use std::net::TcpListener;

use super::support::{Folder, set_mode, skips_without};
use super::{APP, app_serves, empire, empire_in, ini, names, other_serves, run_the_way_out};

const USER: &str = "uid = 54321\ngid = 54321\npython = /usr/bin/python3";

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn a_missing_file_or_directory_is_named_and_serves_once_it_is_there() {
    let empire = empire(APP, "chdir = {dir}/nowhere");
    names(
        &empire,
        "missing-file",
        "missing file or directory",
        &["app.ini:4", "{dir}/nowhere", "path: {dir}/nowhere"],
    );
    std::fs::create_dir(empire.path("nowhere")).unwrap();
    // By itself: nobody touches anything else.
    app_serves(&empire);

    let reads = format!("open('{}')\n{APP}", empire.path("settings.toml").display());
    empire.folder.write("app.py", &reads);
    empire.write("app.ini", &ini("app", "env = SECOND=1"));
    empire.wait_state("app", "serving-old");
    let said = names(
        &empire,
        "reload-failed",
        "reload failed",
        &["path: {dir}/settings.toml", "file: {dir}/app.py:1"],
    );
    assert!(said.contains("missing file or directory: "), "{said}");
    other_serves(&empire);
}

#[test]
fn a_directory_that_the_apps_user_may_not_enter_is_named_and_the_command_mends_it() {
    if skips_without("root", is_root()) {
        return;
    }
    let folder = Folder::new();
    std::fs::create_dir_all(folder.join("closed/inner")).unwrap();
    set_mode(&folder.join("closed"), 0o700);
    let lines = format!("chdir = {{dir}}/closed/inner\n{USER}");
    let empire = empire_in(folder, APP, &ini("app", &lines), &[]);
    let said = names(
        &empire,
        "permission",
        "no permission",
        &[
            "app.ini:4: cannot change into directory {dir}/closed/inner",
            "expected: 54321 may enter directory {dir}/closed",
            "found: drwx------ root:root (0700) {dir}/closed",
            "way out: chgrp 54321 {dir}/closed && chmod g+x {dir}/closed",
        ],
    );
    run_the_way_out(&said);
    app_serves(&empire);
    other_serves(&empire);
}

#[test]
fn a_file_that_the_apps_user_may_not_read_is_named_and_the_command_mends_it() {
    if skips_without("root", is_root()) {
        return;
    }
    let folder = Folder::new();
    let code = folder.write("code/closed.py", APP);
    set_mode(&code, 0o600);
    let text = ini("app", USER).replace("{dir}/app.py", "{dir}/code/closed.py");
    let empire = empire_in(folder, APP, &text, &[]);
    let said = names(
        &empire,
        "permission",
        "no permission",
        &[
            "path: {dir}/code/closed.py",
            "expected: 54321 may read file {dir}/code/closed.py",
            "found: -rw------- root:root (0600)",
            "way out: chgrp 54321 {dir}/code/closed.py && chmod g+r {dir}/code/closed.py",
        ],
    );
    run_the_way_out(&said);
    app_serves(&empire);
}

#[test]
fn a_module_that_is_there_and_cannot_be_read_is_no_import_error() {
    if skips_without("root", is_root()) {
        return;
    }
    let folder = Folder::new();
    folder.write("code/hidden.py", APP);
    set_mode(&folder.join("code"), 0o711);
    let lines = format!("pythonpath = {{dir}}/code\nmodule = hidden\n{USER}");
    let text = format!("[uwsgi]\nsocket = {{dir}}/app.s\n{lines}\n");
    let empire = empire_in(folder, APP, &text, &[]);
    let said = names(
        &empire,
        "permission",
        "no permission",
        &[
            "No module named 'hidden'",
            "expected: 54321 may list and enter directory {dir}/code",
        ],
    );
    run_the_way_out(&said);
    app_serves(&empire);
}

#[test]
fn a_directory_where_no_socket_may_be_made_is_named_and_the_command_mends_it() {
    if skips_without("root", is_root()) {
        return;
    }
    // In tyrant mode the master is the owner of the file.
    let folder = Folder::new();
    let text = ini("app", "python = /usr/bin/python3").replace("{dir}/app.s", "{dir}/socks/app.s");
    std::fs::create_dir(folder.join("socks")).unwrap();
    set_mode(&folder.join("socks"), 0o755);
    let vassal = folder.write("vassals/app.ini", &text);
    std::os::unix::fs::chown(&vassal, Some(54321), Some(54321)).unwrap();
    let other = folder.write("vassals/other.ini", &ini("other", ""));
    folder.write("app.py", APP);
    folder.write("other.py", APP);
    std::os::unix::fs::chown(&other, Some(0), Some(0)).unwrap();
    let args = ["{dir}/vassals", "--emperor-tyrant"];
    let empire = super::Empire::start_with(folder, &[], &args);
    let said = names(
        &empire,
        "permission",
        "no permission",
        &[
            "app.ini:2: cannot listen on {dir}/socks/app.s",
            "expected: 54321 may write to and enter directory {dir}/socks",
            "found: drwxr-xr-x root:root (0755) {dir}/socks",
            "way out: chgrp 54321 {dir}/socks && chmod g+wx {dir}/socks",
        ],
    );
    run_the_way_out(&said);
    empire.wait_serving("app");
}

#[test]
fn an_address_in_use_is_named_with_who_has_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let me = std::process::id();
    let empire = empire(APP, &format!("http-socket = 127.0.0.1:{port}"));
    names(
        &empire,
        "address-in-use",
        "address in use",
        &[
            &format!("app.ini:4: address 127.0.0.1:{port} is in use by "),
            &format!("pid: {me}"),
            &format!("way out: stop pid {me}, or use another address"),
            "process: ",
        ],
    );
    other_serves(&empire);
    // An app of ours is called by its name: to stop a pid would stop its emperor.
    let socket = empire.path("other.s");
    empire.write("app.ini", &ini("app", "socket = {dir}/other.s"));
    names(
        &empire,
        "address-in-use",
        "address in use",
        &[
            &format!(
                "app.ini:4: address {} is in use by app other (its master, pid ",
                socket.display()
            ),
            "way out: use another address, or free it: imperator stop other",
        ],
    );
    empire.write(
        "app.ini",
        &ini("app", &format!("http-socket = 127.0.0.1:{port}")),
    );
    drop(taken);
    app_serves(&empire);
}
