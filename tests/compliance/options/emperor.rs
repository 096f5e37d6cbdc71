//! Options of the emperor: the original's Emperor and ours over the same directory.

use std::path::PathBuf;
use std::time::Duration;

use super::pair::{self, Facts, Which, compare_runs};
use super::support::{
    self, Address, Empire, Exchange, Folder, Original, Reply, Vars, stays, uwsgi, wait_for,
};

/// Options that another test shows: name, and the function of the test.
pub(super) const ELSEWHERE: &[(&str, &str)] = &[
    (
        "vassals-include",
        "vassals_read_what_the_emperor_gives_them",
    ),
    (
        "vassals-include-before",
        "vassals_read_what_the_emperor_gives_them",
    ),
    (
        "vassals-inherit",
        "vassals_read_what_the_emperor_gives_them",
    ),
    (
        "vassals-inherit-before",
        "vassals_read_what_the_emperor_gives_them",
    ),
    ("vassals-set", "vassals_read_what_the_emperor_gives_them"),
    (
        "vassals-start-hook",
        "hooks_run_with_the_name_of_the_vassal",
    ),
    ("vassals-stop-hook", "hooks_run_with_the_name_of_the_vassal"),
    ("emperor-pidfile", "the_emperors_pid_is_in_its_file"),
    (
        "emperor-nofollow",
        "a_link_that_is_not_followed_counts_as_itself",
    ),
    (
        "emperor-freq",
        "a_target_edited_in_place_is_seen_at_the_next_scan",
    ),
    (
        "emperor-tyrant",
        "a_tyrants_vassals_run_as_the_owners_of_their_files",
    ),
    (
        "emperor-tyrant-nofollow",
        "a_tyrants_vassals_run_as_the_owners_of_their_files",
    ),
    (
        "emperor-tyrant-initgroups",
        "a_tyrant_gives_the_owners_groups_when_asked",
    ),
    (
        "emperor-stats",
        "the_emperors_stats_have_the_originals_shape",
    ),
];

/// An emperor over `vassals/` with one vassal, `app.ini`, whose socket is `s`.
pub(super) enum Emperor {
    Original(Original),
    Ours(Empire),
}

impl Emperor {
    #[track_caller]
    fn start(
        which: Which,
        folder: Folder,
        lines: &str,
        args: &[&str],
        env: &[(&str, &str)],
    ) -> Self {
        let vassal = format!(
            "[uwsgi]\nplugin = python3\nsocket = {{dir}}/s\nwsgi-file = {{dir}}/facts.py\n{lines}"
        );
        let args = [&["--emperor", "{dir}/vassals"], args].concat();
        match which {
            Which::Original => {
                folder.write("vassals/app.ini", &vassal);
                Self::Original(Original::start_with(folder, &args, env))
            }
            Which::Ours => Self::Ours(Empire::start_env(
                folder,
                &[("app.ini", &vassal)],
                &args,
                env,
            )),
        }
    }

    /// Over a directory without vassals.
    #[track_caller]
    pub(super) fn empty(which: Which, folder: Folder, args: &[&str]) -> Self {
        let args = [&["--emperor", "{dir}/vassals"], args].concat();
        match which {
            Which::Original => Self::Original(Original::start_with(folder, &args, &[])),
            Which::Ours => Self::Ours(Empire::start_with(folder, &[], &args)),
        }
    }

    fn folder(&self) -> &Folder {
        match self {
            Self::Original(original) => &original.folder,
            Self::Ours(ours) => &ours.folder,
        }
    }

    fn pid(&self) -> i32 {
        match self {
            Self::Original(original) => original.pid(),
            Self::Ours(ours) => ours.pid(),
        }
    }

    pub(super) fn report(&self) -> String {
        match self {
            Self::Original(original) => original.report(),
            Self::Ours(ours) => ours.report(),
        }
    }

    #[track_caller]
    pub(super) fn wait_for<T>(&self, what: &str, probe: impl Fn() -> Option<T>) -> T {
        wait_for(what, || self.report(), probe)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// The app's answer, once there is one.
    #[track_caller]
    fn get(&self, uri: &str) -> Reply {
        let address = Address::Unix(self.path("s"));
        self.wait_for("an answer of the vassal", || {
            let reply = uwsgi(&address, &Vars::request("GET", uri), b"").ok()?;
            (reply.status == 200).then_some(reply)
        })
    }

    #[track_caller]
    pub(super) fn text(&self, name: &str) -> String {
        self.wait_for(name, || {
            let text = std::fs::read_to_string(self.path(name)).ok()?;
            (!text.is_empty()).then_some(text)
        })
    }
}

#[test]
fn vassals_read_what_the_emperor_gives_them() {
    let lines = "\
env = OWN=own %(from)
env = TWICE=own
env = SHARED=%(unset)
";
    compare_runs(&[], |which| {
        let folder = pair::folder();
        for name in ["inherit", "inherit-before", "include", "include-before"] {
            let text = format!("[uwsgi]\nenv = {name}=%n %(from)\nenv = TWICE={name}\n");
            folder.write(&format!("{name}.ini"), &text);
        }
        let emperor = Emperor::start(
            which,
            folder,
            lines,
            &[
                "--vassals-set",
                "from=emperor",
                "--vassal-set",
                "env=SET=yes",
                "--vassals-inherit",
                "{dir}/inherit.ini",
                "--vassals-inherit-before",
                "{dir}/inherit-before.ini",
                "--vassals-include",
                "{dir}/include.ini",
                "--vassals-include-before",
                "{dir}/include-before.ini",
            ],
            &[],
        );
        let env = emperor.get("/process").json()["env"].clone();
        let mut facts = Facts::default();
        for name in [
            "OWN",
            "SET",
            "TWICE",
            "SHARED",
            "inherit",
            "inherit-before",
            "include",
            "include-before",
        ] {
            facts.note(name, &env[name]);
        }
        facts
    });
}

/// Ours alone: the original renames variables while it walks through them, and misses some.
#[test]
fn variables_for_vassals_lose_their_prefix() {
    let env = [
        ("UWSGI_VASSAL_CALLABLE", "other"),
        ("UWSGI_VASSAL_SET", "from=variable"),
    ];
    let emperor = Emperor::start(Which::Ours, pair::folder(), "", &[], &env);
    assert_eq!(emperor.get("/who").text(), "{\"callable\": \"other\"}");
}

#[test]
fn hooks_run_with_the_name_of_the_vassal() {
    use std::os::unix::fs::PermissionsExt;
    let row = "`vassals-stop-hook`";
    compare_runs(&[("stop hook", row)], |which| {
        let folder = pair::folder();
        for name in ["start", "stop"] {
            let text = format!(
                "#!/bin/sh\necho \"$# $1 $(id -u) $(basename \"$PWD\")\" >> {{dir}}/{name}.txt\n"
            );
            let path = folder.write(name, &text);
            let mode = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(path, mode).expect("chmod");
        }
        let emperor = Emperor::start(
            which,
            folder,
            "",
            &[
                "--vassals-start-hook",
                "{dir}/start",
                "--vassals-stop-hook",
                "{dir}/stop",
            ],
            &[],
        );
        emperor.get("/who");
        let mut facts = Facts::default();
        facts.note("start hook", emperor.text("start.txt"));
        std::fs::remove_file(emperor.path("vassals/app.ini")).expect("a file to remove");
        facts.note("stop hook", emperor.text("stop.txt"));
        facts
    });
}

#[test]
fn the_emperors_pid_is_in_its_file() {
    compare_runs(&[], |which| {
        let args = ["--emperor-pidfile", "{dir}/emperor.pid"];
        let emperor = Emperor::start(which, pair::folder(), "", &args, &[]);
        emperor.get("/who");
        let written = emperor.text("emperor.pid");
        let mut facts = Facts::default();
        facts.note("is the pid", written.trim() == emperor.pid().to_string());
        facts
    });
}

/// A folder in which everybody may make sockets, with a vassal of this owner.
fn of_owner(which: Which, owner: (u32, u32), args: &[&str]) -> Emperor {
    use std::os::unix::fs::PermissionsExt;
    let folder = pair::folder();
    let open = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(folder.path(), open).expect("chmod");
    std::fs::create_dir_all(folder.join("vassals")).expect("a directory");
    let args = [&["--emperor-tyrant"], args].concat();
    let emperor = Emperor::empty(which, folder, &args);
    let vassal = "[uwsgi]\nplugin = python3\nsocket = {dir}/s\nwsgi-file = {dir}/facts.py\n";
    let path = emperor.folder().write("new.ini", vassal);
    std::os::unix::fs::chown(&path, Some(owner.0), Some(owner.1)).expect("chown");
    std::fs::rename(path, emperor.path("vassals/app.ini")).expect("a renamed file");
    emperor
}

fn who(emperor: &Emperor, name: &str, facts: &mut Facts) {
    let process = emperor.get("/process").json();
    for fact in ["uid", "gid", "groups"] {
        facts.note(format!("{name}: {fact}"), &process[fact]);
    }
}

#[test]
fn a_tyrants_vassals_run_as_the_owners_of_their_files() {
    if support::skips_without("root", rustix::process::geteuid().is_root()) {
        return;
    }
    compare_runs(&[], |which| {
        let mut facts = Facts::default();
        let emperor = of_owner(which, (65534, 65534), &[]);
        who(&emperor, "nobody", &mut facts);
        let path = emperor.path("vassals/app.ini");
        // What nobody has bound stands in the way of others.
        std::os::unix::fs::chown(&path, Some(0), Some(0)).expect("chown");
        emperor.wait_for("the end of the vassal", || {
            let address = Address::Unix(emperor.path("s"));
            uwsgi(&address, &Vars::request("GET", "/who"), b"")
                .is_err()
                .then_some(())
        });
        let _ = std::fs::remove_file(emperor.path("s"));
        std::os::unix::fs::chown(&path, Some(33), Some(33)).expect("chown");
        who(&emperor, "another", &mut facts);
        facts
    });
    compare_runs(&[], |which| {
        let mut facts = Facts::default();
        let emperor = of_owner(which, (0, 0), &["--emperor-tyrant-nofollow"]);
        let path = emperor.path("vassals/app.ini");
        let target = emperor.path("target.ini");
        std::fs::rename(&path, &target).expect("a renamed file");
        std::os::unix::fs::symlink(&target, &path).expect("a link");
        std::os::unix::fs::lchown(&path, Some(33), Some(33)).expect("lchown");
        who(&emperor, "of the link", &mut facts);
        facts
    });
}

/// Ours alone: uWSGI has it from 2.1 on.
#[test]
fn a_tyrant_gives_the_owners_groups_when_asked() {
    if support::skips_without("root", rustix::process::geteuid().is_root()) {
        return;
    }
    let args = ["--emperor-tyrant-initgroups"];
    let emperor = of_owner(Which::Ours, (33, 33), &args);
    let process = emperor.get("/process").json();
    assert_eq!(process["groups"], serde_json::json!([33]));
}

#[test]
fn the_emperors_stats_have_the_originals_shape() {
    use serde_json::Value;
    compare_runs(&[], |which| {
        let folder = pair::folder();
        let bad =
            "[uwsgi]\nplugin = python3\nsocket = {dir}/bad\nmodule = nowhere\nneed-app = true\n";
        folder.write("vassals/bad.ini", bad);
        let args = ["--emperor-stats", "{dir}/stats"];
        let emperor = Emperor::start(which, folder, "", &args, &[]);
        emperor.get("/who");
        let address = Address::Unix(emperor.path("stats"));
        let stats = emperor.wait_for("stats with a throttled vassal", || {
            let raw = Exchange::connect(&address).ok()?.read_all().ok()?;
            let stats: Value = serde_json::from_slice(&raw).ok()?;
            let accepts = |it: &Value| it["id"] == "app.ini" && it["loyal"] == 1;
            let throttled = !stats["blacklist"].as_array()?.is_empty();
            let accepts = stats["vassals"].as_array()?.iter().any(accepts);
            (throttled && accepts).then_some(stats)
        });
        let mut facts = Facts::default();
        let vassals = stats["vassals"].as_array().expect("vassals");
        let find = |id: &str| vassals.iter().find(|it| it["id"] == id);
        let good = find("app.ini").expect("app.ini");
        for (name, value) in [
            ("top", &stats),
            ("vassal", good),
            ("blacklist", &stats["blacklist"][0]),
        ] {
            for (key, value) in value.as_object().expect("an object") {
                let kind = match value {
                    Value::Number(_) => "number",
                    Value::String(_) => "text",
                    Value::Array(_) => "list",
                    Value::Null | Value::Bool(_) | Value::Object(_) => "another",
                };
                facts.note(format!("{name}: {key}"), kind);
            }
        }
        for key in [
            "ready",
            "accepting",
            "loyal",
            "cursed",
            "respawns",
            "uid",
            "gid",
            "on_demand",
        ] {
            facts.note(format!("value of {key}"), &good[key]);
        }
        let mark = emperor.folder().write("mark", "");
        let now = std::fs::metadata(mark)
            .and_then(|mark| mark.modified())
            .expect("a time");
        let now = now
            .duration_since(std::time::UNIX_EPOCH)
            .expect("a time")
            .as_secs();
        for key in [
            "born",
            "last_mod",
            "first_run",
            "last_run",
            "last_ready",
            "last_accepting",
        ] {
            let time = good[key].as_u64().unwrap_or(0);
            facts.note(format!("{key} is a time"), time + 120 > now && time <= now);
        }
        facts.note("blacklisted", &stats["blacklist"][0]["id"]);
        facts
    });
}

#[test]
fn a_target_edited_in_place_is_seen_at_the_next_scan() {
    compare_runs(&[], |which| {
        let mut facts = Facts::default();
        for freq in ["1", "60"] {
            let folder = pair::folder();
            let text = |number: u8| {
                format!(
                    "[uwsgi]\nplugin = python3\nsocket = {{dir}}/s\nwsgi-file = {{dir}}/facts.py\n\
                     env = EDITION={number}\n"
                )
            };
            folder.write("target.ini", &text(1));
            std::fs::create_dir(folder.join("vassals")).expect("a directory");
            std::os::unix::fs::symlink("../target.ini", folder.join("vassals/app.ini"))
                .expect("a link");
            let emperor = Emperor::empty(which, folder, &["--emperor-freq", freq]);
            let is_second = || emperor.get("/child").text().contains("EDITION=2");
            emperor.get("/");
            let target = emperor.folder().write_in_place("target.ini", &text(2));
            // Long after the first one, as the original counts in seconds.
            let later = std::time::UNIX_EPOCH + Duration::from_secs(4_000_000_000);
            let file = std::fs::File::options().append(true).open(target);
            file.and_then(|file| file.set_modified(later))
                .expect("a time");
            if freq == "1" {
                emperor.wait_for("the second edition", || is_second().then_some(()));
                facts.note("seen", true);
            } else if which == Which::Ours {
                // The original also looks when a vassal says something.
                stays(Duration::from_secs(4), "the first edition", || !is_second());
            }
        }
        facts
    });
}
