//! `wsgiref.validate` judges environ and calls behind Debian's stock `uwsgi_params` and Apache.

use super::sites::uwsgi_pass;
use super::support::{
    Address, Alone, Apache, Folder, Nginx, http, repository, skips_without, uwsgi_get,
};

fn start() -> Alone {
    let folder = Folder::new();
    let file = repository().join("tests/apps/validated.py");
    let text = format!(
        "[uwsgi]\nsocket = {{dir}}/s\nchmod-socket = 666\nwsgi-file = {}\n",
        file.display()
    );
    let app = Alone::start_in(folder, &text);
    let socket = app.path("s");
    app.wait_for("an answer", |_| uwsgi_get(socket.as_path(), "/").ok());
    app
}

/// Method, path, headers, body.
type Request<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a [u8]);

fn check(to: &Address, report: impl Fn() -> String) {
    let json = [("Content-Type", "application/json")];
    let odd = [
        ("Accept", "text/html, */*;q=0.1"),
        ("Cookie", "a=1; b=2"),
        ("X-Forwarded-For", "10.0.0.1"),
        ("Range", "bytes=0-3"),
        ("If-None-Match", "\"x\""),
        ("Content-Type", ""),
    ];
    let requests: [Request<'_>; 6] = [
        ("GET", "/", &[], b""),
        ("GET", "/a/b%20c?x=1&y=%C3%A9", &odd, b""),
        ("HEAD", "/head", &[], b""),
        ("POST", "/post", &json, b"{\"a\": 1}"),
        ("POST", "/empty", &[], b""),
        ("DELETE", "/thing", &[], b""),
    ];
    for (method, uri, headers, body) in requests {
        let reply = http(to, method, uri, headers, body)
            .unwrap_or_else(|error| panic!("{method} {uri}: {error}\n{}", report()));
        assert_eq!(reply.status, 200, "{method} {uri}\n{}", report());
        let text = reply.text();
        let has = |line: &str| text.lines().any(|found| found == line);
        if method != "HEAD" {
            assert!(has(&format!("REQUEST_METHOD={method}")), "{text}");
            assert!(has(&format!("body={}", body.len())), "{text}");
            assert!(
                text.lines().any(|line| line.starts_with("SCRIPT_NAME=")),
                "{text}"
            );
        }
    }
}

#[test]
fn behind_nginx_with_debians_uwsgi_params() {
    if skips_without("nginx", Nginx::is_installed()) {
        return;
    }
    let app = start();
    let nginx = Nginx::start(&app.folder, &uwsgi_pass(&Address::Unix(app.path("s"))));
    check(&nginx.address(), || {
        format!("{}\n{}", nginx.report(), app.report())
    });
}

#[test]
fn behind_apache() {
    if skips_without("Apache with mod_proxy_uwsgi", Apache::is_installed()) {
        return;
    }
    let app = start();
    let pass = "ProxyPass / unix:{dir}/s|uwsgi://localhost/\n";
    let apache = Apache::start(&app.folder, pass);
    check(&apache.address(), || {
        format!("{}\n{}", apache.report(), app.report())
    });
}
