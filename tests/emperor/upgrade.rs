//! The binary is replaced while everything runs: the emperor at once and in place, each master at its
//! app's next reload, by another one beside it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use super::support::{COPY, Empire, Folder, Load, Signal, is_alive};
use super::{ask, folder, generation, ini, master, settled, wait_greeting};

/// An emperor that runs on a file of its own, which a test can replace.
fn empire(vassals: &[(&str, &str)]) -> Empire {
    empire_in(folder(), vassals)
}

pub(crate) fn empire_in(folder: Folder, vassals: &[(&str, &str)]) -> Empire {
    let copy = folder.join(COPY);
    fs::create_dir_all(copy.parent().unwrap()).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_imperator"), copy).unwrap();
    Empire::start_with(folder, vassals, &["{dir}/vassals"])
}

/// Puts another file in the program's place, as a package manager does.
pub(crate) fn install(empire: &Empire, content: &[u8]) {
    let path = empire.path(COPY);
    let new = path.with_extension("new");
    let mut file = fs::File::create(&new).unwrap();
    file.write_all(content).unwrap();
    let mode = fs::Permissions::from_mode(0o755);
    file.set_permissions(mode).unwrap();
    drop(file);
    fs::rename(new, path).unwrap();
}

/// The program with one byte more: it does the same, and is another file.
pub(crate) fn next_version() -> Vec<u8> {
    let mut program = fs::read(env!("CARGO_BIN_EXE_imperator")).unwrap();
    program.push(b'+');
    program
}

/// The file that a process runs on.
pub(crate) fn file_of(pid: i32) -> u64 {
    let exe = PathBuf::from(format!("/proc/{pid}/exe"));
    fs::metadata(exe).map_or(0, |it| it.ino())
}

pub(crate) fn on_disk(empire: &Empire) -> u64 {
    fs::metadata(empire.path(COPY)).unwrap().ino()
}

#[test]
fn an_upgrade_under_load_keeps_every_pid_and_masters_follow_at_their_reload() {
    let two = format!("{}processes = 2\n", ini("shop", "shop"));
    let mut empire = empire(&[("blog.ini", &ini("blog", "one")), ("shop.ini", &two)]);
    wait_greeting(&empire, "blog", "one");
    wait_greeting(&empire, "shop", "shop");
    let (blog, shop) = (settled(&empire, "blog"), settled(&empire, "shop"));
    let before = empire.family();
    let load = [
        Load::uwsgi(empire.path("blog.s"), 2, "/"),
        Load::uwsgi(empire.path("shop.s"), 2, "/"),
    ];
    load.iter().for_each(|load| load.wait_for_more(50));

    let same = empire.command(&["upgrade"]);
    assert!(!same.status.success(), "the same file is no upgrade");
    install(&empire, &next_version());
    let output = empire.command(&["upgrade"]);
    assert!(output.status.success(), "{output:?}\n{}", empire.report());
    assert_eq!(file_of(empire.pid()), on_disk(&empire), "the same process");
    settled(&empire, "blog");
    settled(&empire, "shop");
    load.iter().for_each(|load| load.wait_for_more(50));
    empire.wait_for("the family from before", |empire| {
        let (mut now, mut before) = (empire.family(), before.clone());
        now.sort_unstable();
        before.sort_unstable();
        (now == before).then_some(())
    });

    // One app is touched: it gets a master of the new version, the other one stays.
    empire.touch("blog.ini");
    let next = empire.wait_for("a master of the new version", |empire| {
        let app = empire.app("blog");
        let is_new = master(&app) != 0 && master(&app) != master(&blog);
        (is_new && app["condition"] == "serving").then_some(app)
    });
    assert_eq!(file_of(master(&next)), on_disk(&empire));
    assert!(generation(&next) > generation(&blog));
    empire.wait_for("the old master to end", |_| {
        (!is_alive(master(&blog))).then_some(())
    });
    load.iter().for_each(|load| load.wait_for_more(50));
    assert_eq!(master(&settled(&empire, "shop")), master(&shop));

    // HUP with yet another file: the emperor at once, then all apps.
    install(&empire, &next_version());
    empire.send(Signal::HUP);
    for (name, old) in [("blog", &next), ("shop", &shop)] {
        let app = empire.wait_for("masters of the newest version", |empire| {
            let app = empire.app(name);
            let is_new = master(&app) != 0 && master(&app) != master(old);
            (is_new && app["condition"] == "serving").then_some(app)
        });
        assert_eq!(
            file_of(master(&app)),
            on_disk(&empire),
            "{}",
            empire.report()
        );
        empire.wait_for("the old master to end", |_| {
            (!is_alive(master(old))).then_some(())
        });
    }
    assert_eq!(file_of(empire.pid()), on_disk(&empire), "the same process");
    load.iter().for_each(|load| load.wait_for_more(50));
    for load in load {
        load.stop().must_be_clean(200, || empire.report());
    }

    // The masters that it has now are found by the next emperor, and end with it.
    empire.send(Signal::KILL);
    empire.wait_for_end();
    empire.start_again();
    let adopted = super::adopted(&empire, "blog");
    assert_eq!(file_of(master(&adopted)), on_disk(&empire));
    empire.send(Signal::TERM);
    assert_eq!(empire.wait_for_end(), 0);
    assert!(empire.family().is_empty(), "{}", empire.report());
}

#[test]
fn a_binary_that_fails_its_self_check_changes_nothing_and_is_named() {
    let empire = empire(&[("blog.ini", &ini("blog", "one"))]);
    let worker = wait_greeting(&empire, "blog", "one");
    let blog = settled(&empire, "blog");
    let good = file_of(empire.pid());
    let cases: [(&[u8], &str); 3] = [
        (
            b"#!/bin/sh\necho it is broken >&2\nexit 3\n",
            "it is broken",
        ),
        (b"\x7fELF and nothing more", "nothing has changed"),
        (b"#!/bin/sh\nexit 0\n", "says nothing"),
    ];
    for (content, wanted) in cases {
        install(&empire, content);
        let output = empire.command(&["upgrade"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(wanted), "{said}");
        empire.wait_for("the log to say so", |empire| {
            empire.log().contains(wanted).then_some(())
        });
    }
    assert_eq!(file_of(empire.pid()), good);
    assert_eq!(ask(&empire, "blog"), Some(("one".to_owned(), worker)));

    // HUP reloads all the same, and what starts now starts from the good one.
    empire.send(Signal::HUP);
    empire.wait_for("the next generation", |empire| {
        ask(empire, "blog").filter(|(_, pid)| *pid != worker)
    });
    assert_eq!(master(&settled(&empire, "blog")), master(&blog));
    empire.write("shop.ini", &ini("shop", "two"));
    wait_greeting(&empire, "shop", "two");
    assert_eq!(file_of(master(&settled(&empire, "shop"))), good);
}

#[test]
fn a_new_version_whose_app_fails_leaves_the_old_master_and_its_workers() {
    let empire = empire(&[("blog.ini", &ini("blog", "one"))]);
    let worker = wait_greeting(&empire, "blog", "one");
    let blog = settled(&empire, "blog");
    install(&empire, &next_version());
    assert!(
        empire.command(&["upgrade"]).status.success(),
        "{}",
        empire.report()
    );
    let load = Load::uwsgi(empire.path("blog.s"), 2, "/");
    empire
        .folder
        .write("app.py", "raise RuntimeError('a bad deploy')\n");
    empire.touch("blog.ini");
    let app = empire.wait_state("blog", "serving-old");
    assert_eq!(master(&app), master(&blog));
    let failure = &app["status"]["failure"]["summary"];
    assert!(
        failure
            .as_str()
            .unwrap_or_default()
            .contains("a bad deploy"),
        "{app:#}"
    );
    load.wait_for_more(50);
    assert_eq!(ask(&empire, "blog").map(|(_, pid)| pid), Some(worker));
    empire.folder.write("app.py", super::APP);
    empire.touch("blog.ini");
    empire.wait_for("a master of the new version", |empire| {
        let app = empire.app("blog");
        let is_new = master(&app) != 0 && master(&app) != master(&blog);
        (is_new && app["condition"] == "serving").then_some(())
    });
    load.wait_for_more(50);
    load.stop().must_be_clean(100, || empire.report());
}

#[test]
fn a_state_that_cannot_be_read_ends_in_adoption() {
    let mut empire = empire(&[("blog.ini", &ini("blog", "one"))]);
    let worker = wait_greeting(&empire, "blog", "one");
    let blog = settled(&empire, "blog");
    empire.send(Signal::KILL);
    empire.wait_for_end();
    // As a binary of another time would have left it: the same process, a text of another kind.
    let program = empire.path("bin/real");
    fs::rename(empire.path(COPY), &program).unwrap();
    let script = format!(
        "#!/bin/bash\nexec 9<<<\'{{\"version\":77}}\'\nIMPERATOR_STATE=$$:9 exec {} \"$@\"\n",
        program.display()
    );
    install(&empire, script.as_bytes());
    empire.start_again();
    let adopted = super::adopted(&empire, "blog");
    assert_eq!(master(&adopted), master(&blog));
    assert!(
        empire.log().contains("it is of version 77"),
        "{}",
        empire.report()
    );
    assert_eq!(ask(&empire, "blog"), Some(("one".to_owned(), worker)));
}
