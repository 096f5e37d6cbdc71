//! `static-map`: files that are served before the app is asked.

use super::pair::{Server, Which, compare_runs, folder, outcome};
use super::support::{Reply, Vars};

const INI: &str = "\
[uwsgi]
socket = {dir}/s
wsgi-file = {dir}/facts.py
static-map = /static={dir}/public
";

fn start(which: Which) -> Server {
    let folder = folder();
    folder.write("public/style.css", "body { color: red }\n");
    folder.write("public/sub/page.html", "<p>page</p>\n");
    folder.write("public/no-extension", "plain\n");
    folder.write("secret.txt", "secret\n");
    std::os::unix::fs::symlink("../secret.txt", folder.join("public/link.txt")).unwrap();
    Server::start_in(which, folder, INI)
}

fn about(reply: &Reply) -> String {
    let header = |name: &str| reply.header(name).unwrap_or("-").to_owned();
    format!(
        "{}, type {}, length {}, {:?}",
        outcome(reply),
        header("content-type"),
        header("content-length"),
        reply.text()
    )
}

#[test]
fn files_are_served_and_what_is_no_file_is_the_apps() {
    compare_runs(&[], |which| {
        let mut facts = super::pair::Facts::default();
        let server = start(which);
        for uri in [
            "/static/style.css",
            "/static/sub/page.html",
            "/static/no-extension",
        ] {
            facts.note(uri, about(&server.get(uri)));
        }
        let app = |uri: &str| server.get(uri).text().contains("path_info");
        facts.note("a missing file is the app's", app("/static/missing.css"));
        facts.note("another path is the app's", app("/staticfoo"));
        facts.note("the directory is the app's", app("/static/"));
        let head = Vars::request("HEAD", "/static/style.css");
        facts.note("HEAD", outcome(&server.ask(&head, b"")));
        facts
    });
}

#[test]
fn nothing_outside_the_directory_is_served() {
    compare_runs(&[], |which| {
        let mut facts = super::pair::Facts::default();
        let server = start(which);
        for uri in [
            "/static/../secret.txt",
            "/static/link.txt",
            "/static/sub/../../secret.txt",
        ] {
            let text = server.get(uri).text();
            facts.note(uri, text.contains("secret\n"));
        }
        facts
    });
}

#[test]
fn a_browser_that_has_the_file_gets_304() {
    compare_runs(&[], |which| {
        let mut facts = super::pair::Facts::default();
        let server = start(which);
        let reply = server.get("/static/style.css");
        let modified = reply.header("last-modified").expect("Last-Modified");
        let again =
            Vars::request("GET", "/static/style.css").with("HTTP_IF_MODIFIED_SINCE", modified);
        facts.note("the same time", outcome(&server.ask(&again, b"")));
        let older = Vars::request("GET", "/static/style.css")
            .with("HTTP_IF_MODIFIED_SINCE", "Mon, 01 Jan 2001 00:00:00 GMT");
        facts.note("an older time", outcome(&server.ask(&older, b"")));
        facts
    });
}
