//! What happens to a vassal file happens to its apps, and to no others.

use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant, SystemTime};

use super::support::{Empire, dawdle, is_alive, stays};
use super::{ask, empire, generation, ini, master, names, settled, wait_greeting};

/// When the emperor logged this last, after `since`: seconds from `since`.
fn logged_after(empire: &Empire, what: &str, since: SystemTime) -> f64 {
    empire.wait_for(&format!("the log to say {what}"), |empire| {
        let log = empire.log();
        let line = log.lines().rev().find(|line| line.contains(what))?;
        let time = line.split_whitespace().next()?;
        let seconds = seconds_of_day(time)? - seconds_since_midnight(since);
        (seconds >= -0.001).then_some(seconds)
    })
}

/// `2026-11-23T02:36:04.475399Z`
fn seconds_of_day(time: &str) -> Option<f64> {
    let (_, clock) = time.trim_end_matches('Z').split_once('T')?;
    let mut parts = clock.split(':');
    let hours: f64 = parts.next()?.parse().ok()?;
    let minutes: f64 = parts.next()?.parse().ok()?;
    let seconds: f64 = parts.next()?.parse().ok()?;
    Some(hours.mul_add(3600.0, minutes.mul_add(60.0, seconds)))
}

fn seconds_since_midnight(time: SystemTime) -> f64 {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .expect("a clock");
    since.as_secs_f64() % 86400.0
}

#[test]
fn files_come_change_are_touched_and_go() {
    let empire = empire(&[("other.ini", &ini("other", "other"))]);
    let other = master(&settled(&empire, "other"));
    let mut measured = Vec::new();

    let start = SystemTime::now();
    empire.write("blog.ini", &ini("blog", "one"));
    measured.push((
        "add",
        logged_after(&empire, "vassal blog has been spawned", start),
    ));
    wait_greeting(&empire, "blog", "one");
    let first = settled(&empire, "blog");

    let start = SystemTime::now();
    empire.write("blog.ini", &ini("blog", "two"));
    measured.push((
        "change",
        logged_after(&empire, "config of blog may have changed", start),
    ));
    wait_greeting(&empire, "blog", "two");
    let second = settled(&empire, "blog");
    assert_eq!(
        generation(&second),
        generation(&first) + 1,
        "{}",
        empire.report()
    );

    let start = SystemTime::now();
    empire.touch("blog.ini");
    measured.push((
        "touch",
        logged_after(&empire, "reload the uwsgi instance blog", start),
    ));
    empire.wait_for("a third generation", |empire| {
        (generation(&empire.app("blog")) == generation(&second) + 1).then_some(())
    });
    assert_eq!(
        master(&settled(&empire, "blog")),
        master(&first),
        "one master all along"
    );

    let start = SystemTime::now();
    empire.remove("blog.ini");
    measured.push((
        "remove",
        logged_after(&empire, "stop the uwsgi instance blog", start),
    ));
    empire.wait_for("blog to be gone", |empire| {
        (names(empire) == ["other"]).then_some(())
    });
    assert!(!is_alive(master(&first)));
    assert!(ask(&empire, "blog").is_none());

    let same = settled(&empire, "other");
    assert_eq!(
        (master(&same), generation(&same)),
        (other, 1),
        "nothing happened to the other"
    );
    println!("seconds from event to act: {measured:?}");
    for (what, seconds) in measured {
        assert!(seconds < 5.0, "{what} took {seconds} s");
    }
}

#[test]
fn each_kind_of_event_is_acted_on_within_100_milliseconds() {
    const ROUNDS: usize = 5;
    let empire = empire(&[("other.ini", &ini("other", "other"))]);
    settled(&empire, "other");
    let mut measured = [const { Vec::new() }; 4];
    for _ in 0..ROUNDS {
        let start = SystemTime::now();
        empire.write("blog.ini", &ini("blog", "one"));
        measured[0].push(logged_after(&empire, "vassal blog has been spawned", start));
        settled(&empire, "blog");
        let start = SystemTime::now();
        // In place, as `cat >` and many editors write.
        empire
            .folder
            .write_in_place("vassals/blog.ini", &ini("blog", "two"));
        let change = "config of blog may have changed";
        measured[1].push(logged_after(&empire, change, start));
        wait_greeting(&empire, "blog", "two");
        settled(&empire, "blog");
        let start = SystemTime::now();
        empire.touch("blog.ini");
        let reload = "reload the uwsgi instance blog";
        measured[2].push(logged_after(&empire, reload, start));
        settled(&empire, "blog");
        let start = SystemTime::now();
        empire.remove("blog.ini");
        measured[3].push(logged_after(&empire, "stop the uwsgi instance blog", start));
        empire.wait_for("blog to be gone", |empire| {
            (names(empire) == ["other"]).then_some(())
        });
    }
    println!("seconds from add, edit, touch, removal to act: {measured:?}");
    for mut seconds in measured {
        seconds.sort_by(f64::total_cmp);
        assert!(seconds[ROUNDS / 2] < 0.1, "{seconds:?}");
    }
}

#[test]
fn an_edit_that_means_the_same_reloads_nothing() {
    let empire = empire(&[("blog.ini", &ini("blog", "one"))]);
    let before = settled(&empire, "blog");
    let pid = wait_greeting(&empire, "blog", "one");
    empire.write("blog.ini", &format!("# a comment\n{}", ini("blog", "one")));
    stays(Duration::from_millis(1500), "the same worker", || {
        ask(&empire, "blog").is_some_and(|(_, now)| now == pid)
    });
    assert_eq!(generation(&empire.app("blog")), generation(&before));
}

#[test]
fn a_renamed_file_is_another_app_on_the_same_socket() {
    let empire = empire(&[("old.ini", &ini("blog", "one"))]);
    let old = master(&settled(&empire, "old"));
    fs::rename(
        empire.path("vassals/old.ini"),
        empire.path("vassals/new.ini"),
    )
    .unwrap();
    settled(&empire, "new");
    wait_greeting(&empire, "blog", "one");
    assert_eq!(names(&empire), ["new"]);
    assert!(!is_alive(old));
    let log = empire.log();
    assert!(
        !log.contains("fails"),
        "the new app waited for the old one's socket:\n{log}"
    );
}

#[test]
fn a_symlink_is_followed_when_it_is_switched_and_within_3_seconds_when_its_target_is_edited() {
    let empire = empire(&[]);
    empire.folder.write("one", &ini("blog", "one"));
    empire.folder.write("two", &ini("blog", "two"));
    symlink(empire.path("one"), empire.path("vassals/blog.ini")).unwrap();
    wait_greeting(&empire, "blog", "one");
    symlink(empire.path("two"), empire.path("vassals/.switch")).unwrap();
    fs::rename(
        empire.path("vassals/.switch"),
        empire.path("vassals/blog.ini"),
    )
    .unwrap();
    wait_greeting(&empire, "blog", "two");
    let start = SystemTime::now();
    empire.folder.write_in_place("two", &ini("blog", "three"));
    // Nobody tells: seen by the scan.
    let seconds = logged_after(&empire, "config of blog may have changed", start);
    println!("an edited target was seen after {seconds} s");
    assert!(seconds < 3.5, "{seconds} s");
    wait_greeting(&empire, "blog", "three");
}

#[test]
fn a_directory_that_vanishes_stops_nothing_and_is_waited_for() {
    let empire = empire(&[
        ("blog.ini", &ini("blog", "one")),
        ("shop.ini", &ini("shop", "shop")),
    ]);
    settled(&empire, "shop");
    let blog = settled(&empire, "blog");
    let pid = wait_greeting(&empire, "blog", "one");
    fs::rename(empire.path("vassals"), empire.path("away")).unwrap();
    stays(Duration::from_secs(4), "blog serves on", || {
        ask(&empire, "blog").is_some_and(|(_, now)| now == pid)
    });
    fs::rename(empire.path("away"), empire.path("vassals")).unwrap();
    empire.write("blog.ini", &ini("blog", "two"));
    wait_greeting(&empire, "blog", "two");
    assert_eq!(master(&settled(&empire, "blog")), master(&blog));

    // Made again from nothing, with one file less.
    fs::rename(empire.path("vassals"), empire.path("away")).unwrap();
    empire.wait_for("the loss to be seen", |empire| {
        empire.log().contains("its apps serve on").then_some(())
    });
    empire.write("blog.ini", &ini("blog", "three"));
    wait_greeting(&empire, "blog", "three");
    empire.wait_for("shop to be gone", |empire| {
        (names(empire) == ["blog"]).then_some(())
    });
}

#[test]
fn a_file_that_is_being_written_is_waited_for() {
    let empire = empire(&[("blog.ini", &ini("blog", "one"))]);
    // A writer that was held for longer than the emperor waits shows nothing: it tries again.
    for attempt in 1.. {
        let before = settled(&empire, "blog");
        let fails = empire.log().matches("fails").count();
        let greeting = format!("attempt{attempt}");
        let text = empire.folder.fill(&ini("blog", &greeting));
        let mut pauses = Vec::new();
        let mut last = Instant::now();
        let mut file = fs::File::create(empire.path("vassals/blog.ini")).unwrap();
        for piece in text.as_bytes().chunks(20) {
            file.write_all(piece).unwrap();
            pauses.push(last.elapsed());
            last = Instant::now();
            dawdle(Duration::from_millis(30));
        }
        drop(file);
        pauses.push(last.elapsed());
        wait_greeting(&empire, "blog", &greeting);
        let after = settled(&empire, "blog");
        let in_time = pauses
            .iter()
            .all(|pause| *pause < Duration::from_millis(90));
        if in_time {
            assert_eq!(
                generation(&after),
                generation(&before) + 1,
                "{}",
                empire.report()
            );
            assert_eq!(empire.log().matches("fails").count(), fails);
            return;
        }
        assert!(attempt < 20, "never fast enough: {pauses:?}");
    }
}

#[test]
fn temporary_files_of_editors_are_no_vassals() {
    let empire = empire(&[("blog.ini", &ini("blog", "one"))]);
    settled(&empire, "blog");
    for name in [
        ".blog.ini.swp",
        "blog.ini~",
        "4913",
        ".#blog.ini",
        "blog.ini.dpkg-new",
        "x.txt",
    ] {
        fs::write(
            empire.path("vassals").join(name),
            empire.folder.fill(&ini("x", "x")),
        )
        .unwrap();
    }
    stays(Duration::from_secs(1), "one app", || {
        names(&empire) == ["blog"]
    });
    // As vim with a backup: away, anew, backup removed.
    let (path, backup) = (
        empire.path("vassals/blog.ini"),
        empire.path("vassals/blog.ini~"),
    );
    // An editor that was held for longer than the emperor waits shows nothing: it tries again.
    for attempt in 1.. {
        let pid = master(&settled(&empire, "blog"));
        let greeting = format!("attempt{attempt}");
        let text = empire.folder.fill(&ini("blog", &greeting));
        let start = Instant::now();
        fs::rename(&path, &backup).unwrap();
        fs::write(&path, text).unwrap();
        let away = start.elapsed();
        fs::remove_file(&backup).unwrap();
        wait_greeting(&empire, "blog", &greeting);
        let after = master(&settled(&empire, "blog"));
        if away < Duration::from_millis(40) {
            assert_eq!(after, pid, "saved, not removed and added");
            return;
        }
        assert!(attempt < 20, "never fast enough: {away:?}");
    }
}

#[test]
fn what_is_no_ini_is_shown_failing_and_hurts_nobody() {
    let empire = empire(&[("blog.ini", &ini("blog", "one"))]);
    let pid = wait_greeting(&empire, "blog", "one");
    empire
        .folder
        .write_bytes("vassals/binary.ini", &[0, 159, 146, 150]);
    empire.write("empty.ini", "");
    let big = fs::File::create(empire.path("vassals/big.ini")).unwrap();
    big.set_len(100 << 20).unwrap();
    drop(big);
    symlink("nowhere", empire.path("vassals/link.ini")).unwrap();
    fs::create_dir(empire.path("vassals/directory.ini")).unwrap();
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9.ini");
    let text = empire.folder.fill(&ini("strange", "x"));
    fs::write(empire.path("vassals").join(name), text).unwrap();
    for (name, why) in [
        ("link", "leads to nowhere"),
        ("directory", "directory"),
        ("caf\u{fffd}", "not UTF-8"),
        ("binary", "NUL"),
        ("empty", "no app in this file"),
        ("big", "bytes"),
    ] {
        let app = empire.wait_state(name, "failing");
        let summary = app["failure"]["summary"].as_str().unwrap_or("");
        assert!(summary.contains(why), "{name}: {summary}");
        let hint = app["failure"]["hint"].as_str().unwrap_or("");
        assert!(hint.contains("mend the file"), "{name}: {hint}");
    }
    // The same to a file whose app serves.
    empire
        .folder
        .write_bytes("vassals/blog.ini", &[0, 159, 146, 150]);
    empire.wait_for("blog to be told as broken", |empire| {
        (empire.app("blog")["condition"] == "serving-old").then_some(())
    });
    assert_eq!(ask(&empire, "blog"), Some(("one".to_owned(), pid)));
    empire.write("blog.ini", &ini("blog", "two"));
    wait_greeting(&empire, "blog", "two");
    settled(&empire, "blog");
}

#[test]
fn an_included_file_belongs_to_the_apps_that_read_it() {
    let empire = empire(&[("other.ini", &ini("other", "other"))]);
    let other = settled(&empire, "other");
    empire
        .folder
        .write("base.ini", "[uwsgi]\nenv = GREETING=one\n");
    let text = "[uwsgi]\nini = {dir}/base.ini\nsocket = {dir}/blog.s\nwsgi-file = {dir}/app.py\n";
    empire.write("blog.ini", text);
    wait_greeting(&empire, "blog", "one");
    empire
        .folder
        .write("base.ini", "[uwsgi]\nenv = GREETING=two\n");
    wait_greeting(&empire, "blog", "two");
    assert_eq!(generation(&empire.app("other")), generation(&other));
}

#[test]
fn a_glob_and_two_directories_are_watched_together() {
    let folder = super::folder();
    folder.write("sites/shop/uwsgi.ini", &ini("shop", "shop"));
    folder.write("sites/blog/uwsgi.ini", &ini("blog", "blog"));
    folder.write("more/mail.ini", &ini("mail", "mail"));
    let args = [
        "--emperor",
        "{dir}/sites/*/uwsgi.ini",
        "--emperor={dir}/more",
    ];
    let empire = Empire::start_with(folder, &[], &args);
    for name in ["shop", "blog", "mail"] {
        wait_greeting(&empire, name, name);
    }
    assert_eq!(names(&empire), ["blog/uwsgi", "mail", "shop/uwsgi"]);
    empire
        .folder
        .write("sites/wiki/uwsgi.ini", &ini("wiki", "wiki"));
    wait_greeting(&empire, "wiki", "wiki");
    fs::remove_dir_all(empire.path("sites/shop")).unwrap();
    empire.wait_for("shop to go", |empire| {
        (names(empire) == ["blog/uwsgi", "mail", "wiki/uwsgi"]).then_some(())
    });
}
