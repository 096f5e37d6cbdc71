//! Six frameworks with `wsgiref.validate` around them, over every way: whatever they or we do against
//! the PEP is a 500 or a broken answer.

use std::path::{Path, PathBuf};

use super::harness::{beside, of_pyenv, version};
use super::support::{Address, Alone, Folder, Reply, http, repository, skips_without, test_env};
use super::ways::{Way, in_front};

struct Site<'a> {
    to: &'a Address,
    report: &'a dyn Fn() -> String,
}

impl Site<'_> {
    #[track_caller]
    fn ask(&self, method: &str, uri: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let reply = http(self.to, method, uri, headers, body);
        let reply =
            reply.unwrap_or_else(|error| panic!("{method} {uri}: {error}\n{}", (self.report)()));
        assert!(
            reply.complete,
            "{method} {uri}: {reply:?}\n{}",
            (self.report)()
        );
        reply
    }

    #[track_caller]
    fn is(&self, reply: &Reply, status: u16, text: &str) {
        assert_eq!(
            (reply.status, &*reply.text()),
            (status, text),
            "{}",
            (self.report)()
        );
    }

    fn check(&self) {
        self.is(&self.ask("GET", "/", &[], b""), 200, "hello");
        self.is(&self.ask("HEAD", "/", &[], b""), 200, "");
        self.is(
            &self.ask("GET", "/stream", &[], b""),
            200,
            "part 0\npart 1\npart 2\n",
        );
        let file = self.ask("GET", "/file", &[], b"");
        let expected = (0..=255).cycle().take(256 * 1024);
        assert!(
            file.status == 200 && file.body.iter().copied().eq(expected),
            "/file is another"
        );
        assert_eq!(self.ask("GET", "/missing", &[], b"").status, 404);
        let away = self.ask("GET", "/redirect", &[], b"");
        assert!([302, 303].contains(&away.status), "{away:?}");
        assert!(
            away.header("location")
                .is_some_and(|to| to.ends_with("/elsewhere"))
        );
        let cookie = self.ask("GET", "/cookie", &[("Cookie", "a=mine")], b"");
        self.is(&cookie, 200, "mine");
        let is_cookie = |(key, _): &&(String, String)| key.eq_ignore_ascii_case("set-cookie");
        assert_eq!(cookie.headers.iter().filter(is_cookie).count(), 2);
        let kind = [("Content-Type", "application/x-www-form-urlencoded")];
        self.is(
            &self.ask("POST", "/form", &kind, b"name=Ada&x=1"),
            200,
            "Ada 0",
        );
        let mut body =
            b"--xx\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nAda\r\n--xx\r\n\
            Content-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\
            Content-Type: application/octet-stream\r\n\r\n"
                .to_vec();
        body.extend(vec![7; 300_000]);
        body.extend(b"\r\n--xx--\r\n");
        let kind = [("Content-Type", "multipart/form-data; boundary=xx")];
        self.is(&self.ask("POST", "/form", &kind, &body), 200, "Ada 300000");
    }
}

/// The oldest and the newest of pyenv, with the frameworks that `tests/run` puts beside the virtualenv.
fn with_frameworks() -> Vec<(&'static Path, PathBuf)> {
    let mut ends = of_pyenv();
    ends.sort_by_key(|python| version(python));
    if ends.len() > 2 {
        ends.drain(1..ends.len() - 1);
    }
    beside(&ends, "test-frameworks")
}

/// On Debian's Python, and on the oldest and the newest beside it.
fn check(framework: &str) {
    if skips_without("the virtualenv of the test sites", test_env().exists()) {
        return;
    }
    check_on(framework, &format!("virtualenv = {}", test_env().display()));
    for (python, packages) in with_frameworks() {
        let (python, packages) = (python.display(), packages.display());
        check_on(
            framework,
            &format!("python = {python}\npythonpath = {packages}"),
        );
    }
}

fn check_on(framework: &str, python: &str) {
    let file = repository().join("tests/apps/frameworks.py");
    let ini = format!(
        "[uwsgi]\nsocket = {{dir}}/s\nchmod-socket = 666\nhttp-socket = {{dir}}/h\n\
         http-keepalive = 30\nwsgi-file = {}\n{python}\nenv = FRAMEWORK={framework}\n\
         env = TMPDIR={{dir}}\n",
        file.display()
    );
    let app = Alone::start_in(Folder::new(), &ini);
    let http_socket = Address::Unix(app.path("h"));
    app.wait_for("an answer", |_| {
        let reply = http(&http_socket, "GET", "/", &[], b"").ok()?;
        (reply.status == 200).then_some(())
    });
    for way in [Way::Http, Way::Nginx, Way::Apache, Way::NginxProxy] {
        let Some((front, to)) = in_front(way, &app.folder) else {
            continue;
        };
        let report = || format!("{way:?}\n{}\n{}", front.report(), app.report());
        Site {
            to: &to,
            report: &report,
        }
        .check();
        let log = app.log();
        assert!(!log.contains("AssertionError"), "{}", report());
    }
    // What the app raises is the framework's page or ours, never silence.
    let reply = http(&http_socket, "GET", "/boom", &[], b"").expect("an answer");
    assert_eq!(reply.status, 500, "{}", app.report());
}

#[test]
fn flask_keeps_to_the_pep_and_so_do_we() {
    check("flask");
}

#[test]
fn django_keeps_to_the_pep_and_so_do_we() {
    check("django");
}

#[test]
fn werkzeug_keeps_to_the_pep_and_so_do_we() {
    check("werkzeug");
}

#[test]
fn pyramid_keeps_to_the_pep_and_so_do_we() {
    check("pyramid");
}

#[test]
fn bottle_keeps_to_the_pep_and_so_do_we() {
    check("bottle");
}

#[test]
fn falcon_keeps_to_the_pep_and_so_do_we() {
    check("falcon");
}
