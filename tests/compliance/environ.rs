//! What the app finds in its environ.

use super::pair::{Facts, compare};
use super::support::{Reply, Vars};

const INI: &str = "\
[uwsgi]
socket = {dir}/s
wsgi-file = {dir}/facts.py
processes = 2
threads = 2
";

/// Differences that every request shows.
const ALWAYS: &[(&str, &str)] = &[
    (
        "SCRIPT_NAME",
        "`SCRIPT_NAME` that the front end does not send",
    ),
    (
        "uwsgi.*",
        "`uwsgi.version`, `uwsgi.node` and `uwsgi.core` in the environ",
    ),
    ("wsgi.input_terminated", "`wsgi.input_terminated`"),
];

fn note(facts: &mut Facts, reply: &Reply) {
    let seen = reply.json();
    for (key, value) in seen["environ"].as_object().expect("an environ") {
        facts.note(key.clone(), value);
    }
    facts.note("the body", &seen["body"]);
}

#[test]
fn of_a_get_behind_the_stock_uwsgi_params() {
    compare(ALWAYS, INI, |server, facts| {
        let vars = Vars::request("GET", "/environ/caf%C3%A9?a=1&b=%20")
            .with("PATH_INFO", "/environ/caf\u{e9}")
            .with("HTTP_ACCEPT", "*/*")
            .with("HTTP_COOKIE", "a=1; b=2")
            .with("HTTP_X_EMPTY", "")
            .with("HTTP_USER_AGENT", "test");
        note(facts, &server.ask(&vars, b""));
    });
}

#[test]
fn of_a_post_behind_the_stock_uwsgi_params() {
    let http_length = (
        "HTTP_CONTENT_*",
        "`HTTP_CONTENT_LENGTH` and `HTTP_CONTENT_TYPE`",
    );
    let differences = [ALWAYS, &[http_length]].concat();
    compare(&differences, INI, |server, facts| {
        // nginx passes the header on beside the variable of its own.
        let vars = Vars::request("POST", "/environ")
            .with("CONTENT_TYPE", "text/plain")
            .with("HTTP_CONTENT_LENGTH", "4")
            .with("HTTP_CONTENT_TYPE", "text/plain");
        note(facts, &server.ask(&vars, b"body"));
    });
}

#[test]
fn of_a_request_over_tls() {
    compare(ALWAYS, INI, |server, facts| {
        let vars = Vars::request("GET", "/environ")
            .with("REQUEST_SCHEME", "https")
            .with("SERVER_PORT", "443")
            .with("HTTPS", "on");
        note(facts, &server.ask(&vars, b""));
    });
}

#[test]
fn the_client_does_not_choose_the_scheme() {
    let row = "`X-Forwarded-Proto` and `wsgi.url_scheme`";
    compare(&[("scheme", row)], INI, |server, facts| {
        let vars = Vars::request("GET", "/environ").with("HTTP_X_FORWARDED_PROTO", "https");
        let seen = server.ask(&vars, b"").json();
        facts.note("scheme", &seen["environ"]["wsgi.url_scheme"]);
    });
}

#[test]
fn the_body_is_read_in_every_way() {
    compare(&[], INI, |server, facts| {
        let post = |uri| Vars::request("POST", uri);
        let lines = b"one\ntwo\n\nthree";
        facts.note("read", server.ask(&post("/read"), b"0123456789").text());
        facts.note("lines", server.ask(&post("/lines"), lines).text());
        facts.note("empty", server.ask(&post("/echo"), b"").text());
        let long = vec![b'z'; 300_000];
        facts.note("long", server.ask(&post("/echo"), &long).text());
    });
}
