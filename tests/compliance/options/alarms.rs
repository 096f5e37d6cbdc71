//! Alarms: what raises one, what its command is told, and as whom it runs.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::pair::{self, Facts, Server, compare_runs};
use super::support::{Vars, free_port};
use super::{Case, run};

/// Options that another test shows: name, and the function of the test.
pub(super) const ELSEWHERE: &[(&str, &str)] = &[("alarm-backlog", "full_queues_raise_alarms")];

const APP: &str = "\
import ctypes, time

def application(environ, start_response):
    path = environ['PATH_INFO']
    if path == '/crash':
        ctypes.string_at(0)
    if path == '/sleep':
        time.sleep(3)
    print(path.strip('/'), flush=True)
    start_response('200 OK', [])
    return [b'ok']
";

/// What the command was told, once it has written its user for the `count`th time and `last`.
fn told(server: &Server, last: &str, count: usize) -> String {
    server.wait_for("an alarm", |server| {
        let text = std::fs::read_to_string(server.folder().join("told")).ok()?;
        (text.contains(last) && text.matches("0\n").count() == count).then_some(text)
    })
}

#[test]
fn lines_raise_alarms() {
    run(&[
        Case {
            options: &["alarm", "log-alarm", "alarm-log", "not-log-alarm"],
            ini: "\
[uwsgi]
socket = {dir}/s
wsgi-file = {dir}/alarmed.py
disable-logging = true
alarm = file cmd:cat >> {dir}/told; id -u >> {dir}/told; echo >> {dir}/told
alarm = other cmd:cat >> {dir}/other
log-alarm = file,other ^BAD
not-log-alarm = file harmless
alarm-log = file thing$
",
            files: &[("alarmed.py", APP)],
            see: |server, facts| {
                // Each alarm has a command of its own, and two at once may write in any order.
                server.get("/BAD-day");
                told(server, "BAD-day", 1);
                server.get("/BAD-harmless-thing");
                told(server, "BAD-harmless-thing", 2);
                server.get("/good");
                server.get("/some-thing");
                let text = told(server, "some-thing", 3);
                let mut lines: Vec<_> = text.lines().filter(|line| !line.is_empty()).collect();
                lines.sort_unstable();
                facts.note("told", lines.join(" "));
                let other = server.wait_for("the other alarm", |server| {
                    let text = std::fs::read_to_string(server.folder().join("other")).ok()?;
                    (text.matches("BAD").count() == 2).then_some(text)
                });
                facts.note("other", other.contains("BAD-day"));
            },
            ..Case::PLAIN
        },
        Case {
            options: &["alarm", "alarm-freq"],
            ini: "\
[uwsgi]
socket = {dir}/s
wsgi-file = {dir}/alarmed.py
disable-logging = true
alarm = file cmd:cat >> {dir}/told
alarm = line log:
log-alarm = file,line ^BAD
alarm-freq = 60
",
            files: &[("alarmed.py", APP)],
            see: |server, facts| {
                for uri in ["/BAD-a", "/BAD-a", "/BAD-b", "/BAD-b", "/BAD-c"] {
                    server.get(uri);
                }
                let text = server.wait_for("each alarm", |server| {
                    let text = std::fs::read_to_string(server.folder().join("told")).ok()?;
                    let all = ["BAD-a", "BAD-b", "BAD-c"];
                    all.iter().all(|it| text.contains(it)).then_some(text)
                });
                facts.note("told", text.matches("BAD").count());
                let line = server.wait_for("a line of an alarm", |server| {
                    let log = server.log();
                    log.contains("ALARM: BAD-c").then_some(log)
                });
                facts.note("lines", line.matches("ALARM: BAD").count());
            },
            ..Case::PLAIN
        },
    ]);
}

#[test]
fn crashes_raise_alarms() {
    run(&[Case {
        options: &["alarm-segfault", "segfault-alarm"],
        ini: "\
[uwsgi]
socket = {dir}/s
wsgi-file = {dir}/alarmed.py
alarm = file cmd:cat >> {dir}/told
alarm-segfault = file
",
        files: &[("alarmed.py", APP)],
        see: |server, facts| {
            server.get("/good");
            server.get("/crash");
            let text = server.wait_for("the alarm", |server| {
                let text = std::fs::read_to_string(server.folder().join("told")).ok()?;
                (!text.is_empty()).then_some(text)
            });
            facts.note("is told", !text.is_empty());
            facts.note("serves again", server.get("/good").status);
        },
        ..Case::PLAIN
    }]);
}

#[test]
fn full_queues_raise_alarms() {
    compare_runs(&[], |which| {
        let folder = pair::folder();
        folder.write("alarmed.py", APP);
        let port = free_port();
        let ini = format!(
            "[uwsgi]\nsocket = {{dir}}/s\nsocket = 127.0.0.1:{port}\nlisten = 2\n\
             wsgi-file = {{dir}}/alarmed.py\nalarm = file cmd:cat >> {{dir}}/told\n\
             alarm-backlog = file\n"
        );
        let server = Server::start_in(which, folder, &ini);
        server.get("/good");
        let packet = Vars::request("GET", "/sleep").packet(0, 0);
        let told = server.wait_for("the alarm", |server| {
            // One is served for three seconds, and the others wait.
            let connect = || {
                let address = SocketAddr::from(([127, 0, 0, 1], port));
                let wait = Duration::from_millis(200);
                let mut stream = TcpStream::connect_timeout(&address, wait).ok()?;
                stream.write_all(&packet).ok()?;
                Some(stream)
            };
            let busy: Vec<_> = (0..8).map_while(|_| connect()).collect();
            server.wait_for("an alarm, or the end of the first request", |server| {
                let told = std::fs::read_to_string(server.folder().join("told"));
                let told = told.unwrap_or_default();
                let has_ended = busy.first().is_none_or(|first| {
                    first.set_nonblocking(true).is_ok() && first.peek(&mut [0]).is_ok()
                });
                (!told.is_empty() || has_ended).then_some(Some(told).filter(|it| !it.is_empty()))
            })
        });
        let mut facts = Facts::default();
        facts.note("names the queue", told.contains("listen queue of socket"));
        facts
    });
}
