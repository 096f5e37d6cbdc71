//! Options of requests and answers.

use super::support::{Reply, Vars};
use super::{Case, Server, pair, run};

/// Options that another test shows: name, and the function of the test.
pub(super) const ELSEWHERE: &[(&str, &str)] = &[
    (
        "error-page-403",
        "our_own_answers_have_the_configs_page_and_headers",
    ),
    (
        "error-page-404",
        "our_own_answers_have_the_configs_page_and_headers",
    ),
    (
        "post-buffering",
        "a_body_that_ends_with_the_turn_of_the_io_thread_is_whole",
    ),
    (
        "write-errors-exception-only",
        "write_raises_for_a_client_that_left_when_the_app_asks_for_it",
    ),
];

/// An answer as one text, with the server's folder as `DIR`.
pub(super) fn whole(server: &Server, reply: &Reply) -> String {
    let headers = reply.headers.iter();
    let headers: String = headers
        .map(|(name, value)| format!("{name}: {value}\n"))
        .collect();
    let text = format!("{}\n{headers}\n{}", pair::outcome(reply), reply.text());
    text.replace(&server.folder().path().display().to_string(), "DIR")
}

/// A GET from a front end that names SCRIPT_NAME: else the original's app has none, and ours "".
pub(super) fn get_named(server: &Server, uri: &str) -> Reply {
    server.ask(&with(uri, "SCRIPT_NAME", ""), b"")
}

/// A GET with one more variable.
pub(super) fn with(uri: &str, key: &str, value: &str) -> Vars {
    Vars::request("GET", uri).with(key, value)
}

const HEADERS: &[Case] = &[
    Case {
        options: &["add-header"],
        ini: "add-header = X-Frame-Options: DENY\nadd-header = X-Empty:\n\
              add-header = Connection: Keep-Alive\nstatic-map = /app={dir}/facts.py\n",
        see: |server, facts| {
            for uri in ["/who", "/headers", "/app"] {
                let reply = server.get(uri);
                let added = reply
                    .headers
                    .iter()
                    .filter(|(name, _)| name.starts_with(['X', 'C']));
                let added: Vec<_> = added.filter(|(name, _)| name != "Content-Length").collect();
                facts.note(uri, format!("{} {added:?}", reply.line));
            }
        },
        ..Case::PLAIN
    },
    Case {
        options: &["del-header"],
        ini: "del-header = set-cookie\nrem-header = X-None\nadd-header = Set-Cookie: ours\n",
        see: |server, facts| {
            facts.note("/headers", whole(server, &server.get("/headers")));
        },
        ..Case::PLAIN
    },
    Case {
        options: &["cgi-mode"],
        ini: "cgi-mode = true\n",
        see: |server, facts| {
            facts.note("/headers", whole(server, &server.get("/headers")));
        },
        ..Case::PLAIN
    },
];

#[test]
fn headers_are_added_and_left_out() {
    run(HEADERS);
}

const PAGES: &[Case] = &[
    Case {
        options: &["error-page-500"],
        ini: "[uwsgi]\nsocket = {dir}/s\nneed-app = false\nerror-page-500 = {dir}/none.html\n\
              error-page-500 = {dir}/500.html\nadd-header = X-A: 1\nwsgi-file = {dir}/broken.py\n",
        files: &[
            ("500.html", "<h1>sorry</h1>\n"),
            ("broken.py", "raise ImportError\n"),
        ],
        see: |server, facts| {
            facts.note("/", whole(server, &server.get("/")));
        },
        ..Case::PLAIN
    },
    Case {
        options: &["response-headers-limit"],
        ini: "[uwsgi]\nsocket = {dir}/s\nwsgi-file = {dir}/big.py\nresponse-headers-limit = 1000\n",
        files: &[BIG],
        differs: &[("2000", "an exception before the headers")],
        see: |server, facts| {
            for size in ["500", "2000"] {
                let reply = server.get(&format!("/?{size}"));
                facts.note(size, pair::outcome(&reply));
            }
        },
    },
];

const BIG: (&str, &str) = (
    "big.py",
    "def application(environ, start_response):\n    \
     start_response('200 OK', [('X-Big', 'x' * int(environ['QUERY_STRING']))])\n    \
     return [b'']\n",
);

#[test]
fn pages_and_limits_of_answers() {
    run(PAGES);
}

const MOUNTS: &[Case] = &[
    Case {
        options: &["ignore-script-name"],
        ini: "[uwsgi]\nsocket = {dir}/s\nwsgi-file = {dir}/facts.py\nmount = /a={dir}/other.py\n\
              ignore-script-name = true\nsingle-interpreter = true\n",
        files: &[OTHER],
        see: |server, facts| {
            for script_name in ["", "/a", "/z"] {
                let asked = with("/who", "SCRIPT_NAME", script_name);
                facts.note(script_name, server.ask(&asked, b"").text());
            }
        },
        ..Case::PLAIN
    },
    Case {
        options: &["no-default-app"],
        ini: "[uwsgi]\nsocket = {dir}/s\nwsgi-file = {dir}/facts.py\nmount = /a={dir}/other.py\n\
              no-default-app = true\nsingle-interpreter = true\n",
        files: &[OTHER],
        differs: &[(
            "/z",
            "a request that no app is mounted for (`no-default-app`)",
        )],
        see: |server, facts| {
            for script_name in ["", "/a", "/z"] {
                let reply = server.ask(&with("/who", "SCRIPT_NAME", script_name), b"");
                facts.note(script_name, format!("{} {}", reply.status, reply.text()));
            }
        },
    },
    Case {
        options: &["manage-script-name"],
        ini: "[uwsgi]\nsocket = {dir}/s\nwsgi-file = {dir}/facts.py\nmount = /a={dir}/other.py\n\
              manage-script-name = true\nsingle-interpreter = true\n\
              static-map = /static={dir}/public\nplugins = router_rewrite\n",
        files: &[OTHER, ("public/a.txt", "static\n")],
        see: |server, facts| {
            for uri in [
                "/a/static/a.txt",
                "/static/a.txt",
                "/a/who",
                "/ab",
                "/a",
                "/",
            ] {
                facts.note(uri, get_named(server, uri).text());
            }
        },
        ..Case::PLAIN
    },
];

const FIRST: &[Case] = &[Case {
    options: &["mount"],
    ini: "[uwsgi]\nsocket = {dir}/s\nmount = /a={dir}/other.py\nmount = /b={dir}/facts.py\n\
          single-interpreter = true\n",
    files: &[OTHER],
    see: |server, facts| {
        for script_name in ["", "/a", "/b", "/z"] {
            let reply = server.ask(&with("/who", "SCRIPT_NAME", script_name), b"");
            facts.note(script_name, format!("{} {}", reply.status, reply.text()));
        }
    },
    ..Case::PLAIN
}];

#[test]
fn the_first_of_several_mounts_is_the_default_app() {
    run(FIRST);
}

const OTHER: (&str, &str) = (
    "other.py",
    "def application(environ, start_response):\n    \
     start_response('200 OK', [('Content-Type', 'text/plain')])\n    \
     return [('other ' + environ['SCRIPT_NAME'] + ' ' + environ['PATH_INFO']).encode()]\n",
);

#[test]
fn apps_are_chosen_as_the_original_chooses_them() {
    run(MOUNTS);
}
