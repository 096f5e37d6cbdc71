//! Options of static files.

use std::time::{Duration, SystemTime};

use super::request::{get_named, whole, with};
use super::support::Vars;
use super::{Case, Facts, Server, pair, run};

/// Options that another test shows: name, and the function of the test.
pub(super) const ELSEWHERE: &[(&str, &str)] = &[];

const FILES: &[(&str, &str)] = &[
    ("public/style.css", "body { color: red }\n"),
    ("public/style.css.gz", "not really gzip\n"),
    ("public/style.css.br", "not really brotli\n"),
    ("public/app.js", "0123456789"),
    ("public/app.js.gz", "zip"),
    ("public/page.tst", "a page\n"),
    ("public/dir/index.html", "<p>index</p>\n"),
    ("public/dir/home.html", "<p>home</p>\n"),
    ("public/assets/deep.css", "deep\n"),
    ("public/script.py", "secret()\n"),
    ("elsewhere/shared.txt", "shared\n"),
    ("types", "text/x-test tst\n"),
];

/// Gives the files one age, so that answers are the same on both.
fn set_times(server: &Server) {
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000);
    for (path, _) in FILES {
        let file = std::fs::File::options()
            .append(true)
            .open(server.folder().join(path));
        file.and_then(|file| file.set_modified(then))
            .expect("a file");
    }
}

fn get(server: &Server, facts: &mut Facts, uris: &[&str]) {
    set_times(server);
    for uri in uris {
        facts.note(*uri, whole(server, &get_named(server, uri)));
    }
}

const WHERE: &[Case] = &[
    Case {
        options: &["check-static"],
        ini: "check-static = {dir}/public\n",
        files: FILES,
        see: |server, facts| {
            get(
                server,
                facts,
                &["/style.css", "/dir", "/nothing", "/page.tst", "/../types"],
            );
        },
        ..Case::PLAIN
    },
    Case {
        options: &["static-map"],
        ini: "static-map = /static={dir}/public\nstatic-map = /one={dir}/public/app.js\n",
        files: FILES,
        see: |server, facts| {
            get(
                server,
                facts,
                &[
                    "/static/style.css",
                    "/static/dir/",
                    "/one",
                    "/one/more",
                    "/style.css",
                ],
            );
        },
        ..Case::PLAIN
    },
    Case {
        options: &["static-map2"],
        ini: "static-map2 = /assets={dir}/public\n",
        files: FILES,
        see: |server, facts| {
            get(
                server,
                facts,
                &["/assets/deep.css", "/style.css", "/assets/none"],
            );
        },
        ..Case::PLAIN
    },
    Case {
        options: &["static-index"],
        ini: "check-static = {dir}/public\nstatic-index = home.html\nstatic-index = index.html\n",
        files: FILES,
        see: |server, facts| get(server, facts, &["/dir", "/dir/", "/", "/assets"]),
        ..Case::PLAIN
    },
    Case {
        options: &["static-safe"],
        ini: "check-static = {dir}/public\nstatic-safe = {dir}/elsewhere\n",
        files: FILES,
        see: |server, facts| {
            let public = server.folder().join("public");
            std::os::unix::fs::symlink("../elsewhere/shared.txt", public.join("safe")).unwrap();
            std::os::unix::fs::symlink("../types", public.join("unsafe")).unwrap();
            get(server, facts, &["/safe", "/unsafe"]);
        },
        ..Case::PLAIN
    },
    Case {
        options: &["static-skip-ext"],
        ini: "check-static = {dir}/public\nstatic-skip-ext = .py\n",
        files: FILES,
        see: |server, facts| get(server, facts, &["/script.py", "/style.css"]),
        ..Case::PLAIN
    },
    Case {
        options: &["mimefile"],
        ini: "check-static = {dir}/public\nmimefile = {dir}/types\n",
        files: FILES,
        see: |server, facts| get(server, facts, &["/page.tst"]),
        ..Case::PLAIN
    },
];

#[test]
fn files_are_found_where_the_original_finds_them() {
    run(WHERE);
}

const HOW: &[Case] = &[
    Case {
        options: &["static-gzip-all"],
        ini: "check-static = {dir}/public\nstatic-gzip-all = true\n",
        files: FILES,
        see: |server, facts| {
            set_times(server);
            for accepted in ["", "gzip, deflate", "br, gzip", "deflate"] {
                let asked =
                    Vars::request("GET", "/style.css").with("HTTP_ACCEPT_ENCODING", accepted);
                facts.note(accepted, whole(server, &server.ask(&asked, b"")));
            }
        },
        ..Case::PLAIN
    },
    Case {
        options: &["static-gzip-ext", "static-gzip-dir", "static-gzip"],
        ini: "check-static = {dir}/public\nstatic-gzip-ext = .js\nstatic-gzip = none\\.such\n\
              static-gzip-dir = {dir}/public/dir\n",
        files: FILES,
        see: |server, facts| {
            set_times(server);
            for uri in ["/app.js", "/style.css", "/dir/home.html"] {
                let asked = Vars::request("GET", uri).with("HTTP_ACCEPT_ENCODING", "gzip");
                facts.note(uri, whole(server, &server.ask(&asked, b"")));
            }
        },
        ..Case::PLAIN
    },
    Case {
        options: &["static-gzip"],
        ini: "check-static = {dir}/public\nstatic-gzip = public/.*\\.css$\n",
        files: FILES,
        see: |server, facts| {
            set_times(server);
            for uri in ["/app.js", "/style.css"] {
                let asked = Vars::request("GET", uri).with("HTTP_ACCEPT_ENCODING", "gzip");
                facts.note(uri, whole(server, &server.ask(&asked, b"")));
            }
        },
        ..Case::PLAIN
    },
    Case {
        options: &["file-serve-mode"],
        ini: "check-static = {dir}/public\nfile-serve-mode = nginx\n",
        files: FILES,
        see: |server, facts| get(server, facts, &["/style.css"]),
        ..Case::PLAIN
    },
    Case {
        options: &["file-serve-mode"],
        ini: "check-static = {dir}/public\nfile-serve-mode = x-sendfile\n",
        files: FILES,
        see: |server, facts| get(server, facts, &["/style.css", "/app.js"]),
        ..Case::PLAIN
    },
    Case {
        options: &["honour-range"],
        ini: "check-static = {dir}/public\nhonour-range = true\n",
        files: FILES,
        differs: &[
            ("If-Range, changed", "`honour-range` and If-Range"),
            ("If-Range, an ETag", "`honour-range` and If-Range"),
        ],
        see: |server, facts| {
            set_times(server);
            for range in [
                "bytes=0-3",
                "bytes=4-",
                "bytes=-3",
                "bytes=0-",
                "bytes=8-99",
                "bytes=2-3,5-6",
                "bytes=10-",
                "bytes=5-4",
                "nonsense",
            ] {
                let asked = Vars::request("GET", "/app.js").with("HTTP_RANGE", range);
                facts.note(range, whole(server, &server.ask(&asked, b"")));
            }
            let when = [
                ("If-Range, changed", "Sun, 13 Sep 2020 12:26:39 GMT"),
                ("If-Range, the same", "Sun, 13 Sep 2020 12:26:40 GMT"),
                ("If-Range, an ETag", "\"x\""),
            ];
            for (name, value) in when {
                let asked = Vars::request("GET", "/app.js")
                    .with("HTTP_RANGE", "bytes=0-3")
                    .with("HTTP_IF_RANGE", value);
                facts.note(name, pair::outcome(&server.ask(&asked, b"")));
            }
        },
    },
];

#[test]
fn files_are_sent_as_the_original_sends_them() {
    run(HOW);
}

/// Expires, in whole minutes from now or from the files' last change.
fn expires(server: &Server, facts: &mut Facts, uris: &[&str]) {
    set_times(server);
    let now = epoch("now");
    for uri in uris {
        let reply = server.get(uri);
        let minutes = reply.header("expires").map(|text| {
            let seconds = epoch(text);
            match seconds.checked_sub(now - 30) {
                Some(later) => format!("now and {} minutes", later / 60),
                None => format!("{} s after the change", seconds - 1_600_000_000),
            }
        });
        facts.note(*uri, format!("{} {minutes:?}", reply.status));
    }
}

/// Seconds of an HTTP date, as date(1) reads it.
fn epoch(text: &str) -> u64 {
    let output = std::process::Command::new("date")
        .args(["+%s", "-d", text])
        .output()
        .expect("date(1)");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.trim().parse().expect("a date")
}

const EXPIRES: &[Case] = &[
    Case {
        options: &["static-expires", "static-expires-mtime"],
        ini: "check-static = {dir}/public\nstatic-expires = \\.css$ 3600\n\
              static-expires-mtime = \\.(js|css)$ 60\n",
        files: FILES,
        see: |server, facts| expires(server, facts, &["/style.css", "/app.js", "/page.tst"]),
        ..Case::PLAIN
    },
    Case {
        options: &["static-expires-uri", "static-expires-uri-mtime"],
        ini: "check-static = {dir}/public\nstatic-expires-uri = \\?v=[0-9]+$ 7200\n\
              static-expires-uri-mtime = ^/app 90\n",
        files: FILES,
        see: |server, facts| {
            expires(
                server,
                facts,
                &["/style.css?v=1", "/app.js", "/app.js?v=2", "/style.css"],
            );
        },
        ..Case::PLAIN
    },
    Case {
        options: &["static-expires-path-info", "static-expires-path-info-mtime"],
        ini: "check-static = {dir}/public\nstatic-expires-path-info = ^/dir 600\n\
              static-expires-path-info-mtime = ^/(?!dir) 30\n",
        files: FILES,
        see: |server, facts| expires(server, facts, &["/dir/home.html", "/app.js"]),
        ..Case::PLAIN
    },
    Case {
        options: &["static-expires-type", "static-expires-type-mtime"],
        ini: "check-static = {dir}/public\nstatic-expires-type = text/css=300\n\
              static-expires-type-mtime = text/html=45\n",
        files: FILES,
        see: |server, facts| expires(server, facts, &["/style.css", "/dir/home.html", "/app.js"]),
        ..Case::PLAIN
    },
];

#[test]
fn copies_expire_as_the_original_says() {
    run(EXPIRES);
}

#[test]
fn methods_and_dates_are_heard() {
    let cases = [Case {
        options: &["check-static"],
        ini: "check-static = {dir}/public\n",
        files: FILES,
        see: |server, facts| {
            set_times(server);
            for method in ["HEAD", "POST", "OPTIONS"] {
                let reply = server.ask(
                    &Vars::request(method, "/style.css").with("SCRIPT_NAME", ""),
                    b"",
                );
                facts.note(method, whole(server, &reply));
            }
            let old = with(
                "/style.css",
                "HTTP_IF_MODIFIED_SINCE",
                "Sun, 13 Sep 2020 12:26:40 GMT",
            );
            facts.note("not modified", whole(server, &server.ask(&old, b"")));
        },
        ..Case::PLAIN
    }];
    run(&cases);
}
