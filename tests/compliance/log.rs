//! The request log: its line is read by scripts.

use super::pair::{Server, compare};
use super::support::Vars;

const INI: &str = "[uwsgi]\nsocket = {dir}/s\nwsgi-file = {dir}/facts.py\n";

/// The request lines with what changes from run to run made plain: pid, time, duration.
fn lines(server: &Server) -> Vec<String> {
    let log = server.log();
    log.lines()
        .filter_map(|line| Some(&line[line.find("[pid: ")?..]))
        .map(|line| {
            let line = between(line, "[pid: ", "|", "N");
            let line = between(&line, "} [", "] ", "DATE");
            let line = between(&line, " bytes in ", " (HTTP", "TIME");
            let line = between(&line, " bytes (", " switches", "N");
            between(&line, "core ", ")", "N")
        })
        .collect()
}

/// Replaces what stands between the first `from` and the next `to` with `new`.
fn between(line: &str, from: &str, to: &str, new: &str) -> String {
    let Some((before, rest)) = line.split_once(from) else {
        return line.to_owned();
    };
    let Some((_, after)) = rest.split_once(to) else {
        return line.to_owned();
    };
    [before, from, new, to, after].concat()
}

fn wait_for_lines(server: &Server, count: usize) -> Vec<String> {
    server.wait_for(&format!("{count} request lines"), |server| {
        let found = lines(server);
        (found.len() >= count).then_some(found)
    })
}

#[test]
fn the_request_line_has_the_originals_shape() {
    compare(&[], INI, |server, facts| {
        server.get("/headers?with=query");
        server.ask(&Vars::request("POST", "/echo"), b"0123456789");
        let odd = Vars::request("GET", "/chunks")
            .with("REMOTE_ADDR", "2001:db8::1")
            .with("REMOTE_USER", "somebody")
            .with("SERVER_PROTOCOL", "HTTP/1.0");
        server.ask(&odd, b"");
        server.get("/nothing");
        for (index, line) in wait_for_lines(server, 4).into_iter().enumerate() {
            facts.note(format!("line {index}"), line);
        }
    });
}

#[test]
fn disable_logging_leaves_no_request_line() {
    let ini = format!("{INI}disable-logging = true\n");
    compare(&[], &ini, |server, facts| {
        server.get("/headers");
        // The traceback comes after the line would have come.
        server.get("/boom");
        server.wait_for("the traceback", |server| {
            server.log().contains("RuntimeError").then_some(())
        });
        facts.note("lines", lines(server).len());
    });
}

#[test]
fn log_format_makes_the_line() {
    let ini = format!(
        "{INI}log-format = LINE %(method) %(uri) %(status) %(proto) %(addr) %(rsize) %(cl) %(host) %(uagent) %(vars) end\n"
    );
    compare(&[], &ini, |server, facts| {
        let vars = Vars::request("POST", "/headers?a=1").with("HTTP_USER_AGENT", "test agent");
        server.ask(&vars, b"12345");
        let line = server.wait_for("the line", |server| {
            let log = server.log();
            let line = log
                .lines()
                .find_map(|line| line.find("LINE POST").map(|at| line[at..].to_owned()));
            line.filter(|line| line.ends_with(" end"))
        });
        facts.note("line", line);
    });
}
