//! Packets, whole and broken, as a front end or a liar sends them.

use super::pair::{compare, outcome, outcome_of};
use super::support::Vars;

const INI: &str = "\
[uwsgi]
socket = {dir}/s
wsgi-file = {dir}/facts.py
buffer-size = 4096
limit-post = 1000
";

#[test]
fn a_request_is_answered_however_it_is_cut_into_pieces() {
    compare(&[], INI, |server, facts| {
        let packet = Vars::request("GET", "/who").packet(0, 0);
        let bytes: Vec<&[u8]> = packet.chunks(1).collect();
        facts.note("byte by byte", outcome_of(&server.raw(&bytes)));
        let (head, rest) = packet.split_at(4);
        facts.note("head, then vars", outcome_of(&server.raw(&[head, rest])));
        let (head, rest) = packet.split_at(2);
        facts.note("half a head", outcome_of(&server.raw(&[head, rest])));

        let vars = Vars::request("POST", "/echo").with("CONTENT_LENGTH", "10");
        let packet = vars.packet(0, 0);
        let whole = [&packet[..], b"0123456789"].concat();
        facts.note("body with the vars", text_of(&server.raw(&[&whole])));
        let pieces: [&[u8]; 3] = [&packet, b"01234", b"56789"];
        facts.note("body in pieces", text_of(&server.raw(&pieces)));
        let whole = [&packet[..], b"0123456789", b"and more"].concat();
        facts.note("more than the body", text_of(&server.raw(&[&whole])));
    });
}

fn text_of(raw: &[u8]) -> String {
    super::support::Reply::parse(raw).text()
}

#[test]
fn malformed_packets_are_refused() {
    let row = "a malformed packet";
    let differences = [
        ("no vars", "an empty packet"),
        ("key of length 0", row),
        ("value past the end", row),
        ("key past the end", row),
        ("half a length", row),
    ];
    compare(&differences, INI, |server, facts| {
        facts.note("no vars", outcome_of(&server.raw(&[&[0, 0, 0, 0]])));
        let mut block = |name: &str, block: &[u8]| {
            let size = u16::try_from(block.len()).unwrap().to_le_bytes();
            let packet = [&[0, size[0], size[1], 0], block].concat();
            facts.note(name, outcome_of(&server.raw(&[&packet])));
        };
        block("key of length 0", b"\0\0\x01\0x");
        block("value past the end", b"\x01\0a\xff\0x");
        block("key past the end", b"\xff\0abcdefgh");
        block("half a length", b"\x01");
        // Nobody is hurt by it.
        facts.note("the next request", outcome(&server.get("/who")));
    });
}

#[test]
fn modifiers_of_other_plugins_are_refused() {
    let row = "a modifier other than 0 and 30";
    compare(&[("*", row)], INI, |server, facts| {
        for modifier in [1, 5, 31, 99, 200, 255] {
            let packet = Vars::request("GET", "/who").packet(modifier, 0);
            let raw = server.raw(&[&packet]);
            facts.note(format!("modifier {modifier}"), outcome_of(&raw));
        }
    });
}

#[test]
fn modifier_30_and_any_modifier2_are_plain_wsgi() {
    compare(&[("modifier 30", "modifier 30")], INI, |server, facts| {
        let vars = Vars::request("GET", "/mine/who").with("SCRIPT_NAME", "/mine");
        facts.note("modifier 30", text_of(&server.raw(&[&vars.packet(30, 0)])));
        facts.note("modifier 0", text_of(&server.raw(&[&vars.packet(0, 0)])));
        let vars = Vars::request("GET", "/who").with("SCRIPT_NAME", "");
        facts.note("modifier2", text_of(&server.raw(&[&vars.packet(0, 7)])));
    });
}

#[test]
fn what_is_too_big_is_refused() {
    let differences = [
        ("block over buffer-size", "a request that is too big"),
        ("body over limit-post", "a request that is too big"),
        ("200 vars", "more than 128 variables"),
    ];
    compare(&differences, INI, |server, facts| {
        let big = Vars::request("GET", "/who").with("HTTP_COOKIE", &"c".repeat(6000));
        facts.note("block over buffer-size", outcome(&server.ask(&big, b"")));
        let fits = Vars::request("GET", "/who").with("HTTP_COOKIE", &"c".repeat(3000));
        facts.note("block in buffer-size", outcome(&server.ask(&fits, b"")));

        let post = Vars::request("POST", "/echo");
        facts.note(
            "body in limit-post",
            outcome(&server.ask(&post, &[b'x'; 1000])),
        );
        facts.note(
            "body over limit-post",
            outcome(&server.ask(&post, &[b'x'; 1001])),
        );

        let mut many = Vars::request("GET", "/who");
        for number in 0..100 {
            many = many.with(&format!("HTTP_X_{number}"), "1");
        }
        facts.note("114 vars", outcome(&server.ask(&many, b"")));
        for number in 100..200 {
            many = many.with(&format!("HTTP_X_{number}"), "1");
        }
        facts.note("200 vars", outcome(&server.ask(&many, b"")));
    });
}

#[test]
fn of_a_variable_that_comes_twice_the_last_counts() {
    compare(&[], INI, |server, facts| {
        let vars = Vars::request("GET", "/environ")
            .again("HTTP_X_TWICE", "first")
            .again("HTTP_X_TWICE", "last");
        let reply = server.ask(&vars, b"").json();
        facts.note("value", &reply["environ"]["HTTP_X_TWICE"]);
    });
}

#[test]
fn loader_variables_load_nothing_here() {
    let row = "`UWSGI_FILE` and the other loader variables";
    compare(&[("loaded", row), ("set", row)], INI, |server, facts| {
        let folder = server.folder();
        folder.write(
            "evil.py",
            "def application(e, s):\n    s('200 OK', [])\n    return [b'evil']\n",
        );
        let evil = folder.fill("{dir}/evil.py");
        let vars = Vars::request("GET", "/who")
            .with("UWSGI_FILE", &evil)
            .with("UWSGI_APPID", "evil");
        let reply = server.ask(&vars, b"");
        facts.note("loaded", reply.text() == "evil");
        let vars = Vars::request("GET", "/who").with("UWSGI_SETENV", "SET_BY_PEER=yes");
        server.ask(&vars, b"");
        let env = server.get("/child").text();
        facts.note("set", env.contains("SET_BY_PEER"));
    });
}

#[test]
fn a_peer_that_says_nothing_or_goes_is_no_request() {
    compare(
        &[("half a packet", "a malformed packet")],
        INI,
        |server, facts| {
            drop(server.raw(&[]));
            let packet = Vars::request("GET", "/who").packet(0, 0);
            // The socket is closed with half a packet sent.
            let half = &packet[..packet.len() / 2];
            use std::io::Write;
            let to = super::support::Address::Unix(server.socket());
            let mut exchange = super::support::Exchange::connect(&to).unwrap();
            exchange.write_all(half).unwrap();
            exchange.finish().unwrap();
            facts.note(
                "half a packet",
                outcome_of(&exchange.read_all().unwrap_or_default()),
            );
            facts.note("the next request", outcome(&server.get("/who")));
            let requests = server.wait_for("a request line", |server| {
                let count = server.log().matches("[pid: ").count();
                (count > 0).then_some(count)
            });
            facts.note("requests logged", requests);
        },
    );
}
