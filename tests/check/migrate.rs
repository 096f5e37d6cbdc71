//! What `migrate` prints, word for word: the verdict first.

use imperator_core::options::{self, Support};
use serde_json::json;

use crate::say;
use crate::support::{Folder, repository};

const DEFAULTS: &str = "
defaults that are others here (original-defaults = true brings back what can be):
  an app that cannot be loaded fails its start or reload (the old code serves on); uWSGI served 500 for everything; as before: need-app = false
  SIGTERM stops gracefully; uWSGI reloaded brutally
  the listen queue is 1024 long, or as long as net.core.somaxconn allows; uWSGI's was 100; as before: listen = 100
  request headers may have 32 KiB; uWSGI refused more than 4 KiB; as before: buffer-size = 4096
  socket files are removed at the end; uWSGI left them; as before: vacuum = false
  ps shows what each process of the app is; as before: auto-procname = false
  a client that leaves raises nothing in the app; uWSGI raised OSError; as before: disable-write-exception = false
  threads of the app run; uWSGI froze them without enable-threads
  UWSGI_FILE and the other loader variables of a request have no effect
";

#[test]
fn a_file_that_means_the_same_runs_unchanged() {
    let folder = Folder::new();
    folder.write(
        "blog.ini",
        "[uwsgi]\nsocket = /run/blog.sock\nmodule = blog\nmaster = true\nthunder-lock = true\n",
    );
    say(&folder, &["migrate", "blog.ini"]).is(
        &folder,
        0,
        &format!(
            "1 app: 1 runs unchanged

blog: runs unchanged
{DEFAULTS}
systemd: disable uwsgi's unit; in imperator's: ExecStart=/usr/bin/imperator {{dir}}/blog.ini
nginx:   nothing to change, the sockets stay: /run/blog.sock
next:    imperator check --import blog.ini
"
        ),
    );
}

#[test]
fn what_differs_was_wrong_and_is_to_be_decided_stands_in_its_lines() {
    let folder = Folder::new();
    folder.write(
        "shop.ini",
        "[uwsgi]\n\
         socket = /run/shop.sock\n\
         module = shop\n\
         virtualenv = /srv/shop/venv\n\
         proceses = 4\n\
         harakiri = 30s\n\
         env = PASSWORD=se%40cret\n\
         spooler = /var/spool/shop\n\
         [ops]\n\
         processes = 7\n",
    );
    let said = say(&folder, &["migrate", "shop.ini"]);
    assert_eq!(said.code, Some(1), "{}", said.text);
    let until_defaults = said
        .text
        .split("\ndefaults that")
        .next()
        .unwrap_or_default();
    let spooler = options::find("spooler").map(|row| row.support);
    let Some(Support::Refused { why, instead, .. }) = spooler else {
        panic!("{spooler:?}");
    };
    let expected = format!(
        "1 app: 1 needs a decision

shop: needs 1 decision  [shop.ini]
  to decide:
    shop.ini:8: option \"spooler\" has no effect here: {why}; {instead}
  differs:
    shop.ini:4: virtualenv: its own bin/python3 runs the app
    shop.ini:6: harakiri: is counted for each request, not for each worker
  wrong already, in silence:
    shop.ini:5: unknown option \"proceses\", and no %(proceses) uses it; did you mean \"processes\"?
    shop.ini:6: option \"harakiri\" reads only the leading number of \"30s\": 30; write 30
    shop.ini:7: \"%4\" is read as a magic variable and becomes \"\"; write %%4 for a plain percent sign
  carries over: 5 lines

of the files:
    shop.ini:9: section [ops] is read by nobody; remove it, or name it where it is meant: ini = :NAME
"
    );
    assert_eq!(until_defaults, expected, "\n{}", said.text);
}

#[test]
fn stanzas_that_uwsgi_never_ran_are_told() {
    let folder = Folder::new();
    folder.write(
        "two.ini",
        "[uwsgi]\nsocket = /run/a.sock\nmodule = a\n[uwsgi:b]\nsocket = /run/b.sock\nmodule = b\n",
    );
    let said = say(&folder, &["migrate", "two.ini"]);
    assert_eq!(said.code, Some(0), "{}", said.text);
    assert!(
        said.text
            .starts_with("2 apps: 1 runs unchanged, 1 runs with differences\n"),
        "{}",
        said.text
    );
    assert!(
        said.text.contains("section [uwsgi:b] is an app of its own"),
        "{}",
        said.text
    );
    assert!(
        said.text
            .contains("the sockets stay: /run/a.sock, /run/b.sock\n"),
        "{}",
        said.text
    );
    // Asked for by its name it is what uWSGI runs.
    let said = say(&folder, &["migrate", "two.ini:b"]);
    assert!(
        said.text.starts_with("1 app: 1 runs unchanged\n"),
        "{}",
        said.text
    );
}

#[test]
fn the_services_environment_is_one_decision_for_each_variable() {
    let folder = Folder::new();
    folder.write(
        "app.ini",
        "[uwsgi]\nhttp-socket = :$(MIGRATED_PORT)\nmodule = a\nenv = P=$(MIGRATED_PORT)\n",
    );
    let said = say(&folder, &["migrate", "app.ini"]);
    assert_eq!(said.code, Some(1), "{}", said.text);
    let expected = "app: needs 1 decision  [app.ini]
  to decide:
    app.ini:2: needs the variable MIGRATED_PORT that uWSGI's service has; in imperator's unit: \
                    Environment=MIGRATED_PORT=…
";
    assert!(said.text.contains(expected), "{}", said.text);
}

#[test]
fn an_emperors_own_file_brings_its_vassals_and_what_they_inherit() {
    let folder = Folder::new();
    folder.write(
        "emperor.ini",
        "[uwsgi]\nemperor = {dir}/vassals\nvassals-include = {dir}/all.inc\n",
    );
    folder.write("all.inc", "[uwsgi]\nsocket = /run/%N.sock\n");
    folder.write("vassals/blog.ini", "[uwsgi]\nmodule = blog\n");
    let said = say(&folder, &["migrate", "--json", "emperor.ini"]);
    assert_eq!(said.code, Some(0), "{}", said.text);
    let said = said.json();
    assert_eq!(said["apps"][0]["kind"], "emperor");
    assert_eq!(said["apps"][1]["name"], "blog");
    assert_eq!(said["apps"][1]["sockets"], json!(["/run/blog.sock"]));
    let said = say(&folder, &["check", "emperor.ini"]);
    assert_eq!(said.code, Some(0), "{}", said.text);
}

#[test]
fn debians_apps_get_what_its_init_script_gave_them() {
    let folder = Folder::new();
    folder.write(
        "apps-enabled/blog.ini",
        "[uwsgi]\nmodule = blog\nprocesses = 7\n",
    );
    let text = std::fs::read_to_string(repository().join("crates/cli/dist/debian.ini"));
    let text = text.expect("debian.ini").replace("/etc/uwsgi/", "{dir}/");
    folder.write("debian.ini", &text);
    let said = say(&folder, &["migrate", "--json", "debian.ini"]).json();
    let blog = &said["apps"][1];
    assert_eq!(blog["name"], "blog", "{said}");
    assert_eq!(
        blog["sockets"],
        json!(["/run/uwsgi/app/blog/socket"]),
        "{said}"
    );
    assert_eq!(blog["decide"], json!([]), "{said}");
    let said = say(&folder, &["migrate", "apps-enabled"]);
    let unit = "in imperator's: ExecStart=/usr/bin/imperator /etc/imperator/debian.ini";
    assert!(said.text.contains(unit), "{}", said.text);
}

#[test]
fn the_json_is_as_documented() {
    let folder = Folder::new();
    folder.write(
        "blog.ini",
        "[uwsgi]\nsocket = /run/blog.sock\nmodule = blog\nmaster = true\nproceses = 4\n",
    );
    let said = say(&folder, &["migrate", "--json", "blog.ini"]);
    assert_eq!(said.code, Some(0));
    let said = said.json();
    let file = folder.join("blog.ini").display().to_string();
    assert_eq!(
        said["apps"],
        json!([{
            "name": "blog", "kind": "app", "file": file, "section": null,
            "verdict": "unchanged", "text": "runs unchanged",
            "carried": 2, "harmless": ["master"],
            "decide": [], "differs": [],
            "wrong": [{
                "option": null, "also": [], "file": file, "line": 5,
                "text": "unknown option \"proceses\", and no %(proceses) uses it",
                "hint": "did you mean \"processes\"?",
            }],
            "sockets": ["/run/blog.sock"],
        }])
    );
    assert_eq!(said["version"], 1);
    assert!(said["defaults"][0]["back"].is_string(), "{said}");
    assert!(
        said["systemd"].is_string() && said["nginx"].is_string(),
        "{said}"
    );
}
