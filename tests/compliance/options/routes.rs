//! Routes.

use super::request::{get_named, whole, with};
use super::{Case, Facts, Server, pair, run};

/// Options that another test shows: name, and the function of the test.
pub(super) const ELSEWHERE: &[(&str, &str)] = &[];

/// What the app sees of a request that no route has answered, or the route's answer.
fn ask(server: &Server, facts: &mut Facts, uris: &[&str]) {
    for uri in uris {
        facts.note(*uri, whole(server, &get_named(server, uri)));
    }
}

const ACTIONS: &[Case] = &[
    Case {
        options: &["route"],
        ini: "plugins = router_redirect\n\
              route = ^/old/(.+)/(.+)$ redirect:/new/$2/$1\n\
              route = ^/gone redirect-permanent:https://${HTTP_HOST}${REQUEST_URI}\n\
              route = ^/left redirect-302:/x?${QUERY_STRING}\n\
              route = ^/(right) redirect-301:/$1$0\n",
        see: |server, facts| {
            ask(
                server,
                facts,
                &["/old/a/b", "/gone?x=1", "/left?y=2", "/right", "/who"],
            );
        },
        ..Case::PLAIN
    },
    Case {
        options: &["route"],
        ini: "route = ^/health break:204 No Content\nroute = ^/teapot return:418\n\
              route = ^/short break:403\nroute = ^/named break-with-status:404\n\
              route = ^/silent break:\n",
        differs: &[(
            "/silent",
            "a route that ends a request without an answer (`break:`, `static:` of no file)",
        )],
        see: |server, facts| {
            ask(
                server,
                facts,
                &["/health", "/short", "/named", "/teapot", "/silent"],
            );
        },
        ..Case::PLAIN
    },
    Case {
        options: &["route", "route-run"],
        ini: "route = ^/(who) addheader:X-Path: $0 ${REMOTE_ADDR}\nroute-run = addheader:X-All: yes\n\
              route = ^/headers delheader:set-cookie\nroute = ^/who continue:\n\
              route-run = addheader:X-After: no\n",
        see: |server, facts| ask(server, facts, &["/who/x", "/headers"]),
        ..Case::PLAIN
    },
    Case {
        options: &["route"],
        ini: "route = ^/a/(.*) addvar:SEEN=$1-${REQUEST_METHOD}\n\
              route = ^/a setscriptname:/mounted\nroute = ^/a setpathinfo:/environ\n\
              route = ^/a setuser:me:secret\nroute = ^/a setremoteaddr:9.9.9.9\n\
              route = ^/a setmethod:PUT\nroute = ^/a seturi:/changed\n",
        see: |server, facts| {
            let environ = get_named(server, "/a/b/c").json()["environ"].clone();
            for name in [
                "SEEN",
                "SCRIPT_NAME",
                "PATH_INFO",
                "REMOTE_USER",
                "REMOTE_ADDR",
                "REQUEST_METHOD",
                "REQUEST_URI",
            ] {
                facts.note(name, &environ[name]);
            }
        },
        ..Case::PLAIN
    },
    Case {
        options: &["route", "route-run"],
        ini: "plugins = router_rewrite\nroute = ^/blog/(\\d+) rewrite:/environ?id=$1\n\
              route = ^/plain rewrite-last:/environ%2Fx\nroute-run = addheader:X-After: yes\n",
        see: |server, facts| {
            for uri in ["/blog/7", "/blog/7?more=1", "/plain", "/plain?q"] {
                let reply = get_named(server, uri);
                let environ = reply.json()["environ"].clone();
                let [path, query] = ["PATH_INFO", "QUERY_STRING"].map(|name| environ[name].clone());
                let after = reply.header("x-after").is_some();
                facts.note(uri, format!("{path} {query} {after}"));
            }
        },
        ..Case::PLAIN
    },
    Case {
        options: &["route"],
        ini: "plugins = router_static\nroute = ^/file/(.*) static:{dir}/public/$1\n\
              route = ^/maybe/(.*) static-next:{dir}/public/$1\n",
        files: &[("public/a.txt", "a file\n"), ("secret", "secret\n")],
        differs: &[
            (
                "/file/none",
                "a route that ends a request without an answer (`break:`, `static:` of no file)",
            ),
            (
                "/file/../secret",
                "a route that ends a request without an answer (`break:`, `static:` of no file)",
            ),
        ],
        see: |server, facts| {
            for uri in [
                "/file/a.txt",
                "/file/none",
                "/file/../secret",
                "/maybe/a.txt",
                "/maybe/none",
            ] {
                let reply = get_named(server, uri);
                facts.note(uri, format!("{} {}", pair::outcome(&reply), reply.text()));
            }
        },
    },
    Case {
        options: &["route"],
        ini: "route = ^/again/(.*) addheader:X-A: $1\nroute = ^/whole addheader:X-A: $0\n",
        differs: &[
            (
                "/again/${REMOTE_ADDR}",
                "a route whose texts hold `${…}` from the client",
            ),
            ("/whole", "`$0` in a route whose pattern has no groups"),
        ],
        see: |server, facts| {
            for uri in ["/again/${REMOTE_ADDR}", "/whole"] {
                let reply = get_named(server, uri);
                facts.note(uri, format!("{} {:?}", reply.status, reply.header("x-a")));
            }
        },
        ..Case::PLAIN
    },
    Case {
        options: &["route", "route-run"],
        ini: "route = ^/made clearheaders:201 Made\nroute = ^/made addheader:X-By: a route\n\
              route = ^/made send:hello ${REQUEST_METHOD}\nroute = ^/made break:\n",
        see: |server, facts| ask(server, facts, &["/made", "/who"]),
        ..Case::PLAIN
    },
];

#[test]
fn actions_do_what_the_originals_do() {
    run(ACTIONS);
}

const SUBJECTS: &[Case] = &[
    Case {
        options: &[
            "route-host",
            "route-uri",
            "route-qs",
            "route-remote-addr",
            "route-remote-user",
            "route-referer",
            "route-user-agent",
        ],
        ini: "route-host = ^admin\\. addheader:X-1: host\nroute-uri = ^/who\\?a addheader:X-2: uri\n\
              route-qs = (^|&)b=(\\d) addheader:X-3: query $2\n\
              route-remote-addr = ^10\\. addheader:X-4: address\n\
              route-remote-user = ^root$ addheader:X-5: user\n\
              route-referer = ^http addheader:X-6: referer\n\
              route-user-agent = (?i)curl addheader:X-7: agent\n",
        see: |server, facts| {
            for (name, value) in [
                ("HTTP_HOST", "admin.example"),
                ("REQUEST_URI", "/who?a"),
                ("QUERY_STRING", "a=1&b=2"),
                ("REMOTE_ADDR", "10.1.1.1"),
                ("REMOTE_USER", "root"),
                ("HTTP_REFERER", "http://x/"),
                ("HTTP_USER_AGENT", "CURL/8"),
            ] {
                let reply = server.ask(&with("/who", name, value), b"");
                let added = reply
                    .headers
                    .iter()
                    .filter(|(name, _)| name.starts_with("X-"));
                facts.note(name, format!("{:?}", added.collect::<Vec<_>>()));
            }
        },
        ..Case::PLAIN
    },
    Case {
        options: &["route-if", "route-if-not"],
        ini: "route-if = equal:${HTTP_X};a addheader:X-1: equal\n\
              route-if = startswith:${HTTP_X};ab addheader:X-2: starts\n\
              route-if = endswith:${HTTP_X};c addheader:X-3: ends\n\
              route-if = contains:${HTTP_X};b addheader:X-4: contains\n\
              route-if = empty:${HTTP_X} addheader:X-5: empty\n\
              route-if-not = empty:${HTTP_X} addheader:X-6: not empty\n\
              route-if = regexp:${HTTP_X};^(.)b addheader:X-7: regexp $1\n\
              route-if = ishigher:${HTTP_X};5 addheader:X-8: higher\n\
              route-if = islowerequal:${HTTP_X};5 addheader:X-9: lower or equal\n\
              route-if = ipv4in:${HTTP_X};10.0.0.0/8 addheader:X-10: in\n\
              route-if = equal:${HTTP_X} addheader:X-11: never\n\
              route-if = startswith:${HTTP_X};$1 addheader:X-12: dollar\n",
        see: |server, facts| {
            for value in [
                "", "a", "abc", "7", "5", "-3x", "10.2.3.4", "11.2.3.4", "$1",
            ] {
                let reply = server.ask(&with("/who", "HTTP_X", value), b"");
                let added = reply
                    .headers
                    .iter()
                    .filter(|(name, _)| name.starts_with("X-"));
                facts.note(
                    format!("X: {value}"),
                    format!("{:?}", added.collect::<Vec<_>>()),
                );
            }
        },
        ..Case::PLAIN
    },
    Case {
        options: &["route-if"],
        ini: "route-if = exists:{dir}/public${PATH_INFO} addheader:X-1: exists\n\
              route-if = isfile:{dir}/public${PATH_INFO} addheader:X-2: file\n\
              route-if = isdir:{dir}/public${PATH_INFO} addheader:X-3: dir\n\
              route-if = islink:{dir}/public${PATH_INFO} addheader:X-4: link\n\
              route-if = isexec:{dir}/public${PATH_INFO} addheader:X-5: executable\n",
        files: &[("public/who", "x"), ("public/headers/x", "x")],
        see: |server, facts| {
            let public = server.folder().join("public");
            std::os::unix::fs::symlink("who", public.join("replaced")).unwrap();
            for uri in ["/who", "/headers", "/replaced", "/lines"] {
                let reply = server.get(uri);
                let added = reply
                    .headers
                    .iter()
                    .filter(|(name, _)| name.starts_with("X-"));
                let added = added.filter(|(name, _)| name.len() == 3);
                facts.note(uri, format!("{:?}", added.collect::<Vec<_>>()));
            }
        },
        ..Case::PLAIN
    },
    Case {
        options: &["route-label", "route"],
        ini: "route = ^/who/skip goto:end\nroute-run = addheader:X-Between: yes\n\
              route-label = end\nroute-run = addheader:X-End: yes\n",
        see: |server, facts| ask(server, facts, &["/who", "/who/skip"]),
        ..Case::PLAIN
    },
    Case {
        options: &["route-run"],
        ini: "route-run = addheader:X-C: ${cookie[id]} ${qs[name]} ${base64[HTTP_COOKIE]} ${hex[QUERY_STRING]}\n\
              route-run = addheader:X-U: ${uwsgi[wid]} ${none[x]} ${NONE}. $x $$ ${open\n",
        see: |server, facts| {
            let asked = with("/who?a=b&name=me", "HTTP_COOKIE", "a=1; id=42");
            facts.note(
                "/who",
                whole(server, &server.ask(&asked.with("SCRIPT_NAME", ""), b"")),
            );
        },
        ..Case::PLAIN
    },
];

#[test]
fn conditions_hold_where_the_originals_hold() {
    run(SUBJECTS);
}

const LOGS: &[Case] = &[Case {
    options: &["route"],
    ini: "route = ^/quiet donotlog:\nroute = ^/who/(.*) log:seen $1 ${REQUEST_METHOD}\n\
          route = ^/last last:\nroute-run = addheader:X-After: yes\n",
    see: |server, facts| {
        server.get("/quiet/request");
        let last = server.get("/last");
        facts.note("last ends", last.header("x-after").is_none());
        server.get("/who/logged");
        server.wait_for("the request's line", |server| {
            server.log().contains("GET /who/logged").then_some(())
        });
        server.wait_for("the route's line", |server| {
            server.log().contains("seen logged GET\n").then_some(())
        });
        facts.note(
            "a quiet request is logged",
            server.log().contains("/quiet/request"),
        );
    },
    ..Case::PLAIN
}];

#[test]
fn requests_are_kept_from_the_log_and_lines_are_added() {
    run(LOGS);
}
