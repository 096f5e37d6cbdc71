//! The ways to a worker, and what is asked on each of them.

use std::path::Path;

use super::cases::{CASES, Case, Expected};
use super::harness::{Served, interpreters};
use super::support::{
    Address, Apache, Folder, Nginx, Original, Reply, Vars, http, repository, skips_without, uwsgi,
    uwsgi_get,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// The uwsgi protocol, without a front end.
    Uwsgi,
    /// HTTP, without a front end.
    Http,
    Nginx,
    Apache,
    /// nginx's `proxy_pass` over kept connections.
    NginxProxy,
}

/// In front of a server, as long as it lives.
pub(crate) enum Front {
    None,
    Nginx(Nginx),
    Apache(Apache),
}

impl Front {
    pub(crate) fn report(&self) -> String {
        match self {
            Self::None => String::new(),
            Self::Nginx(nginx) => nginx.report(),
            Self::Apache(apache) => apache.report(),
        }
    }
}

/// Front end and address; `None`: something is absent, and was named.
pub(crate) fn in_front(way: Way, folder: &Folder) -> Option<(Front, Address)> {
    let unix = |name: &str| Address::Unix(folder.join(name));
    // Of a front end that was here before.
    for name in ["nginx.sock", "proxy.sock"] {
        let _ = std::fs::remove_file(folder.join(name));
    }
    Some(match way {
        Way::Uwsgi => (Front::None, unix("s")),
        Way::Http => (Front::None, unix("h")),
        Way::Nginx => {
            if skips_without("nginx", Nginx::is_installed()) {
                return None;
            }
            let pass = "location / { include /etc/nginx/uwsgi_params; \
                        uwsgi_param SCRIPT_NAME \"\"; uwsgi_pass unix:{dir}/s; }";
            let nginx = Nginx::start(folder, pass);
            let address = nginx.address();
            (Front::Nginx(nginx), address)
        }
        Way::NginxProxy => {
            if skips_without("nginx", Nginx::is_installed()) {
                return None;
            }
            let nginx = Nginx::start(folder, PROXY_PASS);
            (Front::Nginx(nginx), unix("proxy.sock"))
        }
        Way::Apache => {
            if skips_without("Apache with mod_proxy_uwsgi", Apache::is_installed()) {
                return None;
            }
            let apache = Apache::start(folder, "ProxyPass / unix:{dir}/s|uwsgi://localhost/\n");
            let address = apache.address();
            (Front::Apache(apache), address)
        }
    })
}

/// A second server beside the first one, whose upstream keeps its connections.
const PROXY_PASS: &str = "\
    }
    upstream app { server unix:{dir}/h; keepalive 4; }
    server {
        listen unix:{dir}/proxy.sock;
        server_name test.example;
        location / {
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_set_header Host $http_host;
        }
";

/// `None`: the connection ended without an answer.
fn ask(way: Way, to: &Address, case: &Case) -> Option<Reply> {
    let reply = match way {
        Way::Uwsgi => {
            // The original knows no default, and PEP 3333 asks for one.
            let mut vars = Vars::request(case.method, case.uri).with("SCRIPT_NAME", "");
            let path = case.uri.split('?').next().unwrap_or_default();
            // What a front end does with the path.
            vars = Vars(
                vars.0
                    .into_iter()
                    .filter(|(key, _)| key != b"PATH_INFO")
                    .collect(),
            );
            vars.0.push((b"PATH_INFO".to_vec(), decoded(path)));
            for (name, value) in case.headers {
                let name = name.to_uppercase().replace('-', "_");
                vars = match &*name {
                    "CONTENT_TYPE" => vars.with(&name, value),
                    _ => vars.with(&format!("HTTP_{name}"), value),
                };
            }
            uwsgi(to, &vars, case.body)
        }
        Way::Http | Way::Nginx | Way::Apache | Way::NginxProxy => {
            http(to, case.method, case.uri, case.headers, case.body)
        }
    };
    reply.ok().filter(|reply| reply.status != 0)
}

fn decoded(path: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = path.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match digits.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) if first == b'%' => {
                bytes.push(byte);
                rest = &after[2..];
            }
            Some(_) | None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    bytes
}

/// What is wrong with the answer; empty: nothing.
fn judge(case: &Case, way: Way, reply: Option<&Reply>) -> String {
    let behind = match way {
        Way::Uwsgi | Way::Http => false,
        Way::Nginx | Way::Apache | Way::NginxProxy => true,
    };
    let Some(reply) = reply else {
        return match case.expected {
            Expected::Broken => String::new(),
            Expected::Text(..) | Expected::Parts(..) | Expected::Status(_) | Expected::Empty(_) => {
                "no answer".to_owned()
            }
        };
    };
    let wrong = |what: &str| format!("{what}: {} {:.300}", reply.line, reply.text());
    let status = match case.expected {
        Expected::Text(status, _)
        | Expected::Parts(status, _)
        | Expected::Status(status)
        | Expected::Empty(status) => status,
        // What nginx makes of an answer that breaks off is a 502 or a broken one.
        Expected::Broken if behind && reply.status >= 500 => return String::new(),
        Expected::Broken => 200,
    };
    if reply.status != status {
        return wrong(&format!("status {} instead of {status}", reply.status));
    }
    let no_body = case.method == "HEAD" || matches!(case.expected, Expected::Empty(_));
    if no_body && !reply.body.is_empty() {
        return wrong("a body where none may be");
    }
    if !no_body && case.expected != Expected::Broken && !reply.complete {
        return wrong("not complete");
    }
    match case.expected {
        Expected::Text(_, text) if !no_body && reply.text() != text => wrong("another text"),
        Expected::Parts(_, parts) if !no_body => {
            let text = reply.text();
            let missing = parts.iter().find(|part| !text.contains(**part));
            missing.map_or_else(String::new, |part| wrong(&format!("{part:?} is missing")))
        }
        // Who sends a length and less of a body has told the client; over the uwsgi protocol the front
        // end sees it.
        Expected::Broken if reply.complete => wrong("complete, and it broke off"),
        Expected::Text(..)
        | Expected::Parts(..)
        | Expected::Status(_)
        | Expected::Empty(_)
        | Expected::Broken => {
            let lacks = case.answered.iter().find(|(name, value)| {
                let of_name = reply
                    .headers
                    .iter()
                    .filter(|(key, _)| key.eq_ignore_ascii_case(name));
                let values: Vec<&str> = of_name.map(|(_, value)| value.as_str()).collect();
                values.join("|") != *value
            });
            lacks.map_or_else(String::new, |header| {
                wrong(&format!("no header {header:?}"))
            })
        }
    }
}

fn prepare(folder: &Folder) {
    folder.write("data", "0123456789 a small file");
    folder.write("go-on", "");
}

fn problems(way: Way, to: &Address, who: &str, wants: impl Fn(&Case) -> bool) -> Vec<String> {
    let mut problems = Vec::new();
    for case in CASES.iter().filter(|case| wants(case)) {
        if case.not_over.contains(&way) {
            continue;
        }
        let reply = ask(way, to, case);
        let problem = judge(case, way, reply.as_ref());
        if !problem.is_empty() {
            let Case { method, uri, .. } = case;
            problems.push(format!("{who}, {way:?}: {method} {uri}: {problem}"));
        }
    }
    problems
}

fn on_every_python(way: Way) {
    for python in interpreters() {
        let served = Served::start(python, "chmod-socket = 666\nhttp-keepalive = 30\n");
        prepare(&served.app.folder);
        let Some((front, to)) = in_front(way, &served.app.folder) else {
            return;
        };
        let who = python.display().to_string();
        let problems = problems(way, &to, &who, |_| true);
        assert!(
            problems.is_empty(),
            "{}\n{}\n{}",
            problems.join("\n"),
            front.report(),
            served.report()
        );
    }
}

/// The cases that the original keeps, asked of the original: it must answer them alike.
fn of_the_original(way: Way) {
    if skips_without("the original uwsgi-core", Original::is_installed()) {
        return;
    }
    let folder = Folder::new();
    let app = std::fs::read_to_string(repository().join("tests/wsgi/app.py")).unwrap();
    folder.write("app.py", &app);
    prepare(&folder);
    let original = Original::start_in(
        folder,
        "[uwsgi]\nsocket = {dir}/s\nchmod-socket = 666\nchdir = {dir}\nmodule = app\nneed-app = true\n",
    );
    let socket = original.path("s");
    original.wait_for("an answer", |_| ready(&socket));
    let Some((front, to)) = in_front(way, &original.folder) else {
        return;
    };
    let keeps = |case: &Case| {
        let is_judged = case.uri.starts_with("/valid/");
        // It closes while a body that the app does not read is still on its way, and the front end tells 502.
        let has_body = !["GET", "HEAD", "OPTIONS", "DELETE"].contains(&case.method);
        if has_body && !case.uri.starts_with("/digest/") {
            return false;
        }
        // HTTP_CONTENT_LENGTH, which nginx adds to what has a length, is no name for the judge, and a
        // body follows the answer to HEAD: see docs/differences.md.
        match way {
            Way::Nginx => !is_judged || ["GET", "HEAD", "OPTIONS"].contains(&case.method),
            Way::Uwsgi => case.method != "HEAD",
            Way::Apache | Way::Http | Way::NginxProxy => true,
        }
    };
    let problems = problems(way, &to, "the original", |case| {
        case.original && keeps(case)
    });
    assert!(
        problems.is_empty(),
        "{}\n{}\n{}",
        problems.join("\n"),
        front.report(),
        original.report()
    );
}

fn ready(socket: &Path) -> Option<()> {
    let reply = uwsgi_get(socket, "/bytes").ok()?;
    (reply.status == 200).then_some(())
}

#[test]
fn every_python_conforms_over_the_uwsgi_protocol() {
    on_every_python(Way::Uwsgi);
}

#[test]
fn every_python_conforms_over_http() {
    on_every_python(Way::Http);
}

#[test]
fn every_python_conforms_behind_nginx() {
    on_every_python(Way::Nginx);
}

#[test]
fn every_python_conforms_behind_apache() {
    on_every_python(Way::Apache);
}

#[test]
fn every_python_conforms_behind_nginx_with_kept_http_connections() {
    on_every_python(Way::NginxProxy);
}

#[test]
fn the_original_answers_alike_over_the_uwsgi_protocol() {
    of_the_original(Way::Uwsgi);
}

#[test]
fn the_original_answers_alike_behind_nginx() {
    of_the_original(Way::Nginx);
}

#[test]
fn the_original_answers_alike_behind_apache() {
    of_the_original(Way::Apache);
}
