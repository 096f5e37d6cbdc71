//! Cases of what steers a master from outside: FIFOs, touched files, and its pidfiles.

use super::super::Case;
use super::super::pair::Server;
use super::super::support::Signal;
use super::{end, later, mode, there, told, worker, workers, write};

pub(super) const STEERING: &[Case] = &[
    Case {
        options: &["master-fifo"],
        ini: "processes = 2\nlazy-apps = true\npidfile = {dir}/pid\nmaster-fifo = {dir}/fifo\nmaster-fifo = {dir}/other\n",
        see: |server, facts| {
            let first = worker(server);
            there(server, "fifo");
            facts.note("mode", mode(&server.folder().join("fifo")));
            let all = |it: &Server, old: &[i64]| {
                let now = workers(it);
                (now.len() == 2 && now.iter().all(|pid| !old.contains(pid))).then_some(now)
            };
            let mut known = vec![first];
            known.extend(server.wait_for("both workers", |it| all(it, &[])));
            for letter in ["w", "c", "r"] {
                write(server, "fifo", letter);
                let next = server.wait_for("other workers", |it| all(it, &known));
                facts.note(letter, next.len());
                known.extend(next);
            }
            std::fs::remove_file(server.folder().join("pid")).unwrap();
            write(server, "fifo", "P");
            let pid = server.process().pid();
            facts.note("P", told(server, "pid") == format!("{pid}\n"));
            // Letters that are none, and a status, change nothing.
            write(server, "fifo", "s?z");
            write(server, "fifo", "1");
            there(server, "other");
            write(server, "other", "q");
            facts.note("q", end(server));
        },
        ..Case::PLAIN
    },
    Case {
        options: &["touch-workers-reload", "touch-chain-reload", "fs-reload"],
        ini: "lazy-apps = true\ntouch-workers-reload = {dir}/workers\ntouch-chain-reload = {dir}/chain\nfs-reload = {dir}/watched\n",
        files: &[("workers", ""), ("chain", ""), ("watched/empty", "")],
        see: |server, facts| {
            let mut known = vec![worker(server)];
            for name in ["workers", "chain"] {
                later(server, name);
                let next = server.wait_for("another worker", |it| {
                    Some(worker(it)).filter(|pid| *pid != 0 && !known.contains(pid))
                });
                facts.note(name, next != 0);
                known.push(next);
            }
            server.folder().write("watched/new", "");
            let next = server.wait_for("another worker", |it| {
                Some(worker(it)).filter(|pid| *pid != 0 && !known.contains(pid))
            });
            facts.note("watched", next != 0);
        },
        ..Case::PLAIN
    },
    Case {
        options: &["touch-logreopen", "touch-logrotate"],
        ini: "logto = {dir}/log\nlog-master = true\ntouch-logreopen = {dir}/reopen\ntouch-logrotate = {dir}/rotate\n",
        files: &[("reopen", ""), ("rotate", "")],
        see: |server, facts| {
            server.get("/who");
            there(server, "log");
            let folder = server.folder().path().to_owned();
            std::fs::rename(folder.join("log"), folder.join("moved")).unwrap();
            later(server, "reopen");
            there(server, "log");
            facts.note("moved", folder.join("moved").exists());
            later(server, "rotate");
            let rotated = server.wait_for("a rotated log", |_| {
                let mut names = std::fs::read_dir(&folder).ok()?.flatten();
                names.find(|it| it.file_name().to_string_lossy().starts_with("log."))
            });
            facts.note("rotated", rotated.path().exists());
        },
        ..Case::PLAIN
    },
    Case {
        options: &["exit-on-reload"],
        ini: "exit-on-reload = true\n",
        see: |server, facts| {
            server.get("/who");
            server.send(Signal::HUP);
            facts.note("end", end(server));
        },
        ..Case::PLAIN
    },
];

pub(super) const PIDFILES: &[Case] = &[Case {
    options: &["pidfile2", "safe-pidfile"],
    ini: "vacuum = true\nchdir = {dir}/sub\npidfile2 = two\nsafe-pidfile = {dir}/safe\nsafe-pidfile2 = {dir}/safe2\n",
    files: &[("sub/empty", "")],
    see: |server, facts| {
        server.get("/who");
        let pid = format!("{}\n", server.process().pid());
        let names = ["sub/two", "safe", "safe2"];
        for name in names {
            facts.note(name, told(server, name) == pid);
        }
        server.send(Signal::INT);
        facts.note("end", end(server));
        for name in names {
            let left = server.folder().join(name).exists();
            facts.note(format!("{name} is left"), left);
        }
    },
    differs: &[("sub/two is left", "a relative `pidfile2` and `vacuum`")],
}];
