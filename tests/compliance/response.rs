//! What reaches the front end of an app's answer, byte for byte where the original adds nothing.

use super::pair::{compare, outcome};
use super::support::{Reply, Vars};

const INI: &str = "[uwsgi]\nsocket = {dir}/s\nwsgi-file = {dir}/facts.py\n";

fn whole(reply: &Reply) -> String {
    format!("{} {:?} {:?}", outcome(reply), reply.headers, reply.text())
}

#[test]
fn of_an_app_by_the_book() {
    let row = "the body after `start_response` with `exc_info`";
    compare(&[("/replaced", row)], INI, |server, facts| {
        for uri in ["/headers", "/chunks", "/write", "/nothing", "/replaced"] {
            facts.note(uri, whole(&server.get(uri)));
        }
        let old = Vars::request("GET", "/headers").with("SERVER_PROTOCOL", "HTTP/1.0");
        facts.note("HTTP/1.0", whole(&server.ask(&old, b"")));
        facts.note("closing", whole(&server.get("/closing")));
        facts.note("closed", server.get("/closed").text());
        let file = server.get("/file");
        facts.note(
            "file",
            file.body == std::fs::read(server.folder().join("facts.py")).unwrap(),
        );
        facts.note("after the headers", whole(&server.get("/late-boom")));
    });
}

#[test]
fn of_an_app_that_breaks_the_rules() {
    let differences = [
        (
            "an exception before the headers",
            "an exception before the headers",
        ),
        (
            "no start_response",
            "an app that never calls `start_response`",
        ),
        ("CR LF in a header", "CR, LF or NUL in a header"),
        (
            "a body over its Content-Length",
            "a body longer than its `Content-Length`",
        ),
        ("HEAD", "the body of an answer to HEAD"),
    ];
    compare(&differences, INI, |server, facts| {
        let mut note = |name: &str, reply: Reply| facts.note(name, whole(&reply));
        note("an exception before the headers", server.get("/boom"));
        note("no start_response", server.get("/mute"));
        note("CR LF in a header", server.get("/split"));
        note("a body over its Content-Length", server.get("/long-body"));
        note("HEAD", server.ask(&Vars::request("HEAD", "/chunks"), b""));
    });
}

#[test]
fn a_traceback_is_in_the_log() {
    compare(&[], INI, |server, facts| {
        server.get("/boom");
        server.wait_for("the traceback", |server| {
            let log = server.log();
            let has = |text| log.contains(text);
            (has("Traceback (most recent call last)") && has("RuntimeError: before the headers"))
                .then_some(())
        });
        facts.note("the next request", outcome(&server.get("/who")));
    });
}
