//! What a browser gets of a real site behind a real front end.

use super::sites::{BIG_FILE, Front, Served, Site, Upstream};
use super::support::{Reply, http, repository, test_env};

const UPLOAD: usize = 50 * 1024 * 1024;

impl Served {
    #[track_caller]
    fn ask(&self, method: &str, uri: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        match http(&self.address(), method, uri, headers, body) {
            Ok(reply) if reply.status < 500 || uri == "/boom" => reply,
            outcome => panic!("{method} {uri}: {outcome:?}\n{}", self.report()),
        }
    }

    #[track_caller]
    fn get(&self, uri: &str) -> Reply {
        self.ask("GET", uri, &[], b"")
    }

    fn pages(&self, site: Site) {
        let name = format!("{site:?}").to_lowercase();
        let reply = self.get("/");
        assert_eq!(
            (reply.status, reply.text()),
            (200, format!("hello from {name}"))
        );
        assert_eq!(self.get("/missing-page").status, 404);
        assert_eq!(self.get("/no/such/page").status, 404);
        assert_eq!(self.get("/boom").status, 500);
        let about = self.get("/about/caf%C3%A9?a=1&b=%26").json();
        assert_eq!(about["name"], "caf\u{e9}");
        assert_eq!(about["query"]["b"], "&");
        // Werkzeug shows the path decoded.
        let url = about["url"]
            .as_str()
            .expect("a text")
            .replace('\u{e9}', "%C3%A9");
        assert_eq!(url, "http://test.example/about/caf%C3%A9?a=1&b=%26");
        let head = self.ask("HEAD", "/", &[], b"");
        assert_eq!((head.status, head.body.len()), (200, 0));
    }

    fn bodies(&self) {
        let stream = self.get("/stream");
        assert!(stream.complete, "{}", self.report());
        assert_eq!(stream.body.len(), 20000 * 7);
        assert!(stream.body.ends_with(b"019999\n"));
        let file = self.get("/file");
        assert_eq!(file.header("content-length"), Some(&*BIG_FILE.to_string()));
        let expected = (0..BIG_FILE).map(|at| (at % 251) as u8);
        assert!(file.body.iter().copied().eq(expected), "/file is another");
    }

    /// A visitor who brings the cookie back is known.
    fn session(&self) {
        let first = self.get("/visits");
        assert_eq!(first.text(), "1");
        let cookie = cookies(&first);
        assert_eq!(
            self.ask("GET", "/visits", &[("Cookie", &cookie)], b"")
                .text(),
            "2"
        );
        assert_eq!(self.get("/visits").text(), "1");
    }

    fn uploads(&self) {
        let file: Vec<u8> = (0..UPLOAD).map(|at| (at * 7 % 253) as u8).collect();
        let digest = sha256(&file);
        let (boundary, end) = ("xxBOUNDARYxx", "\r\n");
        let mut body = format!(
            "--{boundary}{end}Content-Disposition: form-data; name=\"note\"{end}{end}a note{end}\
             --{boundary}{end}Content-Disposition: form-data; name=\"file\"; filename=\"big.bin\"{end}\
             Content-Type: application/octet-stream{end}{end}"
        )
        .into_bytes();
        body.extend(&file);
        body.extend(format!("{end}--{boundary}--{end}").bytes());
        let kind = format!("multipart/form-data; boundary={boundary}");
        let reply = self
            .ask("POST", "/upload", &[("Content-Type", &kind)], &body)
            .json();
        assert_eq!(reply["sha256"], digest.as_str());
        assert_eq!(
            (&reply["name"], &reply["note"]),
            (&"big.bin".into(), &"a note".into())
        );

        let raw = [("Content-Type", "application/octet-stream")];
        let reply = self.ask("POST", "/raw", &raw, &file[..3_000_000]).json();
        assert_eq!(reply["length"], 3_000_000);
        assert_eq!(reply["sha256"], sha256(&file[..3_000_000]).as_str());
        let empty = self.ask("POST", "/raw", &raw, b"").json();
        assert_eq!(empty["length"], 0);
    }

    /// Signing in: a form with a token, a session in the database, a page, its static files.
    fn admin(&self) {
        let page = self.get("/admin/");
        assert_eq!(page.status, 302);
        let form = self.get("/admin/login/?next=/admin/");
        assert_eq!(form.status, 200);
        let text = form.text();
        let token = text
            .split("name=\"csrfmiddlewaretoken\" value=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next())
            .expect("a token in the form");
        let body =
            format!("csrfmiddlewaretoken={token}&username=root&password=secret&next=/admin/");
        let headers = [
            ("Cookie", &*cookies(&form)),
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Referer", "http://test.example/admin/login/"),
        ];
        let entered = self.ask("POST", "/admin/login/", &headers, body.as_bytes());
        assert_eq!(entered.status, 302, "{}", entered.text());
        // Two cookies: the new token and the session.
        assert_eq!(
            entered
                .headers
                .iter()
                .filter(|(key, _)| key.eq_ignore_ascii_case("set-cookie"))
                .count(),
            2
        );
        let home = self.ask("GET", "/admin/", &[("Cookie", &cookies(&entered))], b"");
        assert_eq!(home.status, 200);
        assert!(home.text().contains("Site administration"));

        let style = self.get("/static/admin/css/base.css");
        let file = std::fs::read(self.app.folder.join("static/admin/css/base.css")).unwrap();
        assert!(style.body == file, "the style sheet is another");
        assert_eq!(style.header("content-type"), Some("text/css"));
    }
}

/// The cookies of an answer, as a browser sends them back.
fn cookies(reply: &Reply) -> String {
    let mut cookies = Vec::new();
    for (key, value) in &reply.headers {
        if key.eq_ignore_ascii_case("set-cookie") {
            cookies.push(value.split(';').next().unwrap_or(""));
        }
    }
    cookies.join("; ")
}

/// By the test environment's Python: no crate is needed for the tests' sake.
fn sha256(bytes: &[u8]) -> String {
    use std::io::Write;
    let script = "import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())";
    let mut child = std::process::Command::new(test_env().join("bin/python"))
        .args(["-c", script])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .current_dir(repository())
        .spawn()
        .expect("python");
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn check(site: Site, front: Front, upstream: Upstream) {
    let Some(served) = Served::start(site, front, upstream) else {
        return;
    };
    served.pages(site);
    served.bodies();
    served.session();
    served.uploads();
    if site == Site::Django {
        served.admin();
    }
    // Django mails its tracebacks unless told otherwise.
    if site == Site::Flask {
        assert!(
            served.app.log().contains("boom of flask"),
            "no traceback in the log"
        );
    }
}

#[test]
fn flask_behind_nginx_on_a_unix_socket() {
    check(Site::Flask, Front::Nginx, Upstream::Unix);
}

#[test]
fn flask_behind_nginx_on_tcp() {
    check(Site::Flask, Front::Nginx, Upstream::Tcp);
}

#[test]
fn django_behind_nginx_on_a_unix_socket() {
    check(Site::Django, Front::Nginx, Upstream::Unix);
}

#[test]
fn django_behind_nginx_on_tcp() {
    check(Site::Django, Front::Nginx, Upstream::Tcp);
}

#[test]
fn flask_behind_apache_on_a_unix_socket() {
    check(Site::Flask, Front::Apache, Upstream::Unix);
}

#[test]
fn flask_behind_apache_on_tcp() {
    check(Site::Flask, Front::Apache, Upstream::Tcp);
}

#[test]
fn django_behind_apache_on_a_unix_socket() {
    check(Site::Django, Front::Apache, Upstream::Unix);
}

#[test]
fn django_behind_apache_on_tcp() {
    check(Site::Django, Front::Apache, Upstream::Tcp);
}
