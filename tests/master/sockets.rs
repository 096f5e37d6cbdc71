//! Addresses of all kinds; stale files replaced, live sockets never stolen.

use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;

use crate::apps::{APP, ask, folder, ini, serving, start, start_in, wait_log};
use crate::support::{Address, Alone, Signal, free_port, http_get, uwsgi_get};

#[test]
fn one_app_listens_on_addresses_of_every_kind() {
    let (four, six, any, web) = (free_port(), free_port(), free_port(), free_port());
    let app = start(&format!(
        "socket = @{{dir}}/abstract\nuwsgi-socket = 127.0.0.1:{four}\nsocket = [::1]:{six}\n\
         socket = :{any}\nhttp-socket = 127.0.0.1:{web}\nprocesses = 2"
    ));
    serving(&app);
    assert_eq!(uwsgi_get(four, "/").unwrap().status, 200);
    assert_eq!(uwsgi_get(any, "/").unwrap().status, 200);
    let six = std::net::SocketAddr::from((Ipv6Addr::LOCALHOST, six));
    assert_eq!(uwsgi_get(six, "/").unwrap().status, 200);
    assert_eq!(http_get(web, "/").unwrap().status, 200);
    assert!(abstract_is_open(&format!(
        "{}/abstract",
        app.folder.path().display()
    )));
}

/// proc(5): /proc/net/unix names abstract sockets with an `@`.
fn abstract_is_open(name: &str) -> bool {
    let table = std::fs::read_to_string("/proc/net/unix").unwrap();
    table
        .lines()
        .any(|line| line.ends_with(&format!("@{name}")))
}

#[test]
fn a_port_of_0_is_told_as_the_port_that_it_became() {
    let app = Alone::start_in(
        folder(APP),
        "[uwsgi]\nhttp-socket = 127.0.0.1:0\nmodule = app\nchdir = {dir}\n",
    );
    let port = app.wait_for("the port", |app| {
        let log = app.log();
        let (_, rest) = log.split_once("serves on http://127.0.0.1:")?;
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u16>().ok().filter(|&port| port != 0)
    });
    assert_eq!(http_get(port, "/").unwrap().status, 200);
}

#[test]
fn mode_and_owner_are_as_the_ini_says() {
    let app = start("chmod-socket = 620\nchown-socket = nobody:12");
    serving(&app);
    let socket = std::fs::metadata(app.path("app.sock")).unwrap();
    assert_eq!(socket.permissions().mode() & 0o777, 0o620);
    assert_eq!((socket.uid(), socket.gid()), (65534, 12));
}

#[test]
fn without_chown_the_socket_belongs_to_the_app() {
    let app = start("uid = 65534\ngid = 12\npython = /usr/bin/python3");
    let facts = serving(&app);
    assert_eq!((&facts["uid"], &facts["gid"]), (&65534.into(), &12.into()));
    let socket = std::fs::metadata(app.path("app.sock")).unwrap();
    assert_eq!((socket.uid(), socket.gid()), (65534, 12));
}

#[test]
fn a_stale_socket_file_is_replaced() {
    let folder = folder(APP);
    drop(UnixListener::bind(folder.join("app.sock")).unwrap());
    let app = start_in(folder, "");
    serving(&app);
}

#[test]
fn a_live_socket_is_never_stolen_and_its_owner_is_named() {
    let folder = folder(APP);
    let theirs = UnixListener::bind(folder.join("app.sock")).unwrap();
    let app = start_in(folder, "");
    let path = app.path("app.sock");
    let me = std::process::id();
    wait_log(
        &app,
        &format!("app.ini:2: address {} is in use by", path.display()),
    );
    wait_log(&app, &format!("(pid {me})"));
    assert!(std::os::unix::net::UnixStream::connect(&path).is_ok());
    drop(theirs);
    // It is tried again, and the file is stale now.
    serving(&app);
}

#[test]
fn what_is_no_socket_is_never_removed() {
    let folder = folder(APP);
    folder.write("app.sock", "precious");
    let app = start_in(folder, "");
    wait_log(&app, "app.sock exists and is no socket");
    assert_eq!(app.folder.read("app.sock"), "precious");
}

#[test]
fn a_port_in_use_is_said_with_its_owner() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let text = format!("[uwsgi]\nsocket = 127.0.0.1:{port}\nmodule = app\nchdir = {{dir}}\n");
    let app = Alone::start_in(folder(APP), &text);
    wait_log(&app, &format!("address 127.0.0.1:{port} is in use by"));
    wait_log(&app, &format!("(pid {})", std::process::id()));
    drop(listener);
    app.wait_for("the app", |_| uwsgi_get(port, "/").ok());
}

#[test]
fn a_directory_that_is_missing_is_named() {
    let app = Alone::start_in(
        folder(APP),
        "[uwsgi]\nsocket = {dir}/no/app.sock\nmodule = app\nchdir = {dir}\n",
    );
    wait_log(&app, "app.ini:2: cannot make socket");
    wait_log(
        &app,
        &format!("hint: mkdir -p {}", app.path("no").display()),
    );
}

#[test]
fn a_long_backlog_is_cut_with_a_note() {
    let app = start("listen = 1000000");
    serving(&app);
    wait_log(&app, "listen = 1000000 is cut to");
}

#[test]
fn vacuum_takes_only_what_is_ours() {
    let mut app = start("");
    serving(&app);
    std::fs::remove_file(app.path("app.sock")).unwrap();
    let theirs = UnixListener::bind(app.path("app.sock")).unwrap();
    app.send(Signal::TERM);
    assert_eq!(app.wait_for_end(), 0);
    assert!(app.path("app.sock").exists());
    drop(theirs);
}

#[test]
fn a_socket_file_that_somebody_removed_comes_back_with_a_reload() {
    let app = start("");
    serving(&app);
    std::fs::remove_file(app.path("app.sock")).unwrap();
    assert!(ask(&app, "/").is_none());
    app.send(Signal::HUP);
    serving(&app);
}

#[test]
fn an_address_kept_over_a_reload_is_the_same_socket() {
    let app = start("");
    serving(&app);
    let inode = std::fs::metadata(app.path("app.sock")).unwrap().ino();
    app.folder.write("app.ini", &ini("processes = 2"));
    app.send(Signal::HUP);
    wait_log(&app, "generation 2 serves");
    assert_eq!(
        std::fs::metadata(app.path("app.sock")).unwrap().ino(),
        inode
    );
    let _ = Address::from(app.path("app.sock"));
}
