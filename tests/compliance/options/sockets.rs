//! Options of listening sockets.

use std::os::fd::OwnedFd;

use rustix::net::sockopt;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use super::support::{Address, Vars, free_port, uwsgi};
use super::{Case, Server, pair, run};

/// Options that another test shows: name, and the function of the test.
pub(super) const ELSEWHERE: &[(&str, &str)] = &[
    ("no-defer-accept", "tcp_options_reach_the_kernel"),
    ("tcp-fast-open", "tcp_options_reach_the_kernel"),
];

/// The server's listening TCP sockets, as the kernel has them. Needs the right to trace them.
fn listeners(server: &mut Server) -> Vec<OwnedFd> {
    // One socket may be bound when the next one is not.
    server.get("/who");
    let mut found = Vec::new();
    for pid in server.process().family() {
        let pidfd = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        let links = std::fs::read_dir(format!("/proc/{pid}/fd"));
        let (Some(pidfd), Ok(links)) = (pidfd, links) else {
            continue;
        };
        for link in links.flatten() {
            let number = link.file_name().to_string_lossy().parse();
            let Ok(fd) = pidfd_getfd(&pidfd, number.unwrap_or(-1), PidfdGetfdFlags::empty()) else {
                continue;
            };
            let is_inet = sockopt::socket_domain(&fd) == Ok(rustix::net::AddressFamily::INET);
            if is_inet && sockopt::socket_acceptconn(&fd) == Ok(true) {
                found.push(fd);
            }
        }
    }
    assert!(!found.is_empty(), "no TCP listener\n{}", server.report());
    found
}

// The original binds port 0 where it stands: options behind it have no effect there.
const CASES: &[Case] = &[
    Case {
        options: &["so-keepalive", "reuse-port", "freebind"],
        ini: "so-keepalive = true\nreuse-port = true\nfreebind = true\nsocket = 127.0.0.1:0\n",
        see: |server, facts| {
            let sockets = listeners(server);
            let all = |of: fn(&OwnedFd) -> bool| sockets.iter().all(of);
            facts.note(
                "keepalive",
                all(|fd| sockopt::socket_keepalive(fd) == Ok(true)),
            );
            facts.note(
                "reuse-port",
                all(|fd| sockopt::socket_reuseport(fd) == Ok(true)),
            );
            facts.note("freebind", all(|fd| sockopt::ip_freebind(fd) == Ok(true)));
        },
        ..Case::PLAIN
    },
    Case {
        options: &["socket-sndbuf", "socket-rcvbuf"],
        ini: "socket-sndbuf = 20000\nsocket-rcvbuf = 30000\nsocket = 127.0.0.1:0\n",
        see: |server, facts| {
            if let Some(fd) = listeners(server).first() {
                facts.note(
                    "sndbuf",
                    format!("{:?}", sockopt::socket_send_buffer_size(fd)),
                );
                facts.note(
                    "rcvbuf",
                    format!("{:?}", sockopt::socket_recv_buffer_size(fd)),
                );
                facts.note("keepalive", format!("{:?}", sockopt::socket_keepalive(fd)));
            }
        },
        ..Case::PLAIN
    },
    Case {
        options: &["shared-socket"],
        ini: "[uwsgi]\nwsgi-file = {dir}/facts.py\nshared-socket = {dir}/other\n\
              shared-socket = {dir}/s\nsocket = =1\nhttp-socket = =0\n",
        see: |server, facts| {
            facts.note("socket = =1", pair::outcome(&server.get("/who")));
            let other = Address::Unix(server.folder().join("other"));
            let reply = super::support::http(&other, "GET", "/who", &[], b"");
            facts.note("http-socket = =0", reply.unwrap_or_default().status);
        },
        ..Case::PLAIN
    },
    Case {
        options: &["abstract-socket"],
        ini: "[uwsgi]\nwsgi-file = {dir}/facts.py\nsocket = {dir}/hidden\nabstract-socket = true\n",
        see: |server, facts| {
            let name = server.folder().join("hidden");
            let name = name.display().to_string();
            server.wait_for("the abstract socket", |_| {
                let sockets = std::fs::read_to_string("/proc/net/unix").unwrap_or_default();
                sockets.contains(&format!("@{name}")).then_some(())
            });
            facts.note("a file", std::path::Path::new(&name).exists());
            let plain = uwsgi(&Address::Unix(name.into()), &Vars::request("GET", "/"), b"");
            facts.note("an answer at the path", plain.is_ok());
        },
        ..Case::PLAIN
    },
];

#[test]
fn sockets_are_as_the_options_say() {
    run(CASES);
}

#[test]
fn a_socket_may_name_a_host_or_the_beginning_of_an_interface() {
    for host in ["127.0.*", "localhost"] {
        pair::compare_runs(&[], |which| {
            let port = free_port();
            let ini = format!(
                "[uwsgi]\nsocket = {{dir}}/s\nsocket = {host}:{port}\nwsgi-file = {{dir}}/facts.py\n"
            );
            let server = Server::start_in(which, pair::folder(), &ini);
            server.get("/who");
            let address = Address::Tcp(([127, 0, 0, 1], port).into());
            let reply = uwsgi(&address, &Vars::request("GET", "/who"), b"");
            let mut facts = pair::Facts::default();
            facts.note("answer", reply.is_ok_and(|it| it.status == 200));
            facts
        });
    }
}
