//! The monitor over real files, with its own clock: what each kind of change is told as.

use std::fs::File;
use std::os::unix::fs::symlink;

use super::*;

const A: &str = "[uwsgi]\nmodule = a\n";
const B: &str = "[uwsgi]\nmodule = b\n";

struct Place {
    directory: tempfile::TempDir,
    monitor: Monitor,
    now: Instant,
}

impl Place {
    fn new(files: &[(&str, &str)]) -> Self {
        Self::of(files, &Empire::default())
    }

    fn of(files: &[(&str, &str)], empire: &Empire) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(directory.path().join(name), text).unwrap();
        }
        let source = Source::parse(directory.path().to_str().unwrap(), Path::new("/")).unwrap();
        let monitor = Monitor::new(vec![source], empire).unwrap();
        Self {
            directory,
            monitor,
            now: Instant::now(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Scans until all is settled, in time of its own.
    #[track_caller]
    fn check(&mut self, expected: &[&str]) {
        let mut told = Vec::new();
        loop {
            let (changes, again) = self.monitor.scan(true, self.now);
            told.extend(changes.iter().map(|change| self.show(change)));
            match again {
                Some(again) => self.now = again,
                None => break,
            }
        }
        assert_eq!(told, expected);
        self.now += self.monitor.scan_every();
    }

    fn show(&self, change: &Change) -> String {
        let name = |path: &Path| {
            let path = path.strip_prefix(self.directory.path()).unwrap_or(path);
            path.display().to_string()
        };
        let problem = |text: &Text| text.as_ref().err().map_or("", |_| " broken");
        match change {
            Change::Appeared {
                path, text, from, ..
            } => {
                let from = from.as_ref().map(|from| format!(" from {}", name(from)));
                let from = from.unwrap_or_default();
                format!("appeared {}{}{from}", name(path), problem(text))
            }
            Change::Edited { path, text } => format!("edited {}{}", name(path), problem(text)),
            Change::Touched(path) => format!("touched {}", name(path)),
            Change::Removed(path) => format!("removed {}", name(path)),
            Change::IncludeEdited(path) => format!("include edited {}", name(path)),
        }
    }
}

#[test]
fn each_change_of_a_file_is_told_once() {
    let mut place = Place::new(&[("a.ini", A)]);
    place.check(&["appeared a.ini"]);
    place.check(&[]);
    place.write("b.ini", B);
    place.write("b.ini~", B);
    place.write(".b.ini.swp", B);
    place.check(&["appeared b.ini"]);
    place.write("a.ini", B);
    place.check(&["edited a.ini"]);
    let file = File::options()
        .write(true)
        .open(place.path("a.ini"))
        .unwrap();
    file.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(5))
        .unwrap();
    place.check(&["touched a.ini"]);
    fs::rename(place.path("a.ini"), place.path("c.ini")).unwrap();
    place.check(&["appeared c.ini from a.ini", "removed a.ini"]);
    fs::remove_file(place.path("c.ini")).unwrap();
    place.check(&["removed c.ini"]);
}

#[test]
fn a_rename_over_a_file_is_an_edit_of_it() {
    let mut place = Place::new(&[("a.ini", A)]);
    place.check(&["appeared a.ini"]);
    place.write("a.ini.tmp", B);
    fs::rename(place.path("a.ini.tmp"), place.path("a.ini")).unwrap();
    place.check(&["edited a.ini"]);
}

#[test]
fn symlinks_are_followed_and_their_targets_seen() {
    let mut place = Place::new(&[("one", A), ("two", B)]);
    symlink("one", place.path("a.ini")).unwrap();
    place.check(&["appeared a.ini"]);
    symlink("two", place.path("new")).unwrap();
    fs::rename(place.path("new"), place.path("a.ini")).unwrap();
    place.check(&["edited a.ini"]);
    place.write("two", A);
    place.check(&["edited a.ini"]);
    fs::remove_file(place.path("two")).unwrap();
    place.check(&["removed a.ini"]);
    place.check(&["appeared a.ini broken"]);
    place.write("two", A);
    place.check(&["edited a.ini"]);
}

#[test]
fn a_directory_that_vanishes_takes_no_app_with_it() {
    let mut place = Place::new(&[("a.ini", A), ("b.ini", B)]);
    place.check(&["appeared a.ini", "appeared b.ini"]);
    let away = place.directory.path().with_extension("away");
    fs::rename(place.directory.path(), &away).unwrap();
    place.check(&[]);
    fs::rename(&away, place.directory.path()).unwrap();
    place.check(&[]);
    fs::rename(place.directory.path(), &away).unwrap();
    fs::create_dir(place.directory.path()).unwrap();
    place.write("a.ini", B);
    place.check(&["edited a.ini", "removed b.ini"]);
    fs::remove_dir_all(away).unwrap();
}

#[test]
fn what_is_no_ini_is_told_as_broken() {
    let mut place = Place::new(&[("a.ini", A)]);
    place.check(&["appeared a.ini"]);
    place.write("binary.ini", "\u{0}\u{1}");
    let big = File::create(place.path("big.ini")).unwrap();
    big.set_len(100 << 20).unwrap();
    place.check(&["appeared big.ini broken", "appeared binary.ini broken"]);
}

#[test]
fn an_included_file_is_watched_by_its_content() {
    let mut place = Place::new(&[("a.ini", A), ("base", A)]);
    place.check(&["appeared a.ini"]);
    let paths = BTreeSet::from([place.path("base"), place.path("a.ini")]);
    let fresh = place.monitor.include(paths.clone(), SystemTime::UNIX_EPOCH);
    assert_eq!(fresh, [place.path("base")]);
    assert!(
        place
            .monitor
            .include(paths, SystemTime::UNIX_EPOCH)
            .is_empty()
    );
    place.check(&[]);
    place.write("base", A);
    place.check(&[]);
    place.write("base", B);
    place.check(&["include edited base"]);
    fs::remove_file(place.path("base")).unwrap();
    place.check(&["include edited base"]);
}

#[test]
fn inotify_rings_for_a_closed_file_and_not_for_our_own_reading() {
    use imperator_process::poll::{Interest, wait_one};

    let mut place = Place::new(&[("a.ini", A)]);
    place.check(&["appeared a.ini"]);
    let quiet = Duration::from_millis(200);
    assert!(!wait_one(&place.monitor, Interest::Read, quiet).unwrap());
    place.write("b.ini", B);
    let patience = Duration::from_secs(5);
    let deadline = Instant::now() + patience;
    let mut told = Vec::new();
    while told.is_empty() && Instant::now() < deadline {
        wait_one(&place.monitor, Interest::Read, patience).unwrap();
        // The same instant each time: only the kernel's word that it is complete counts.
        let (changes, _) = place.monitor.scan(false, place.now);
        told.extend(changes.iter().map(|change| place.show(change)));
    }
    assert_eq!(told, ["appeared b.ini"]);
}

#[test]
fn what_is_no_file_to_read_is_told_and_never_ignored() {
    use std::os::unix::ffi::OsStrExt;
    let mut place = Place::new(&[("blog.ini", A), ("kept", A)]);
    let strange = std::ffi::OsStr::from_bytes(b"caf\xe9.ini");
    fs::write(place.directory.path().join(strange), A).unwrap();
    fs::create_dir(place.path("directory.ini")).unwrap();
    symlink("missing", place.path("dangling.ini")).unwrap();
    symlink("loop.ini", place.path("loop.ini")).unwrap();
    rustix::fs::mkfifoat(
        rustix::fs::CWD,
        place.path("fifo.ini"),
        rustix::fs::Mode::RWXU,
    )
    .unwrap();
    symlink("kept", place.path("linked.ini")).unwrap();
    place.check(&[
        "appeared blog.ini",
        "appeared caf\u{fffd}.ini broken",
        "appeared dangling.ini broken",
        "appeared directory.ini broken",
        "appeared fifo.ini broken",
        "appeared linked.ini",
        "appeared loop.ini broken",
    ]);
    place.check(&[]);
    place.write("missing", B);
    fs::remove_file(place.path("linked.ini")).unwrap();
    fs::create_dir(place.path("linked.ini")).unwrap();
    place.check(&["edited dangling.ini", "edited linked.ini broken"]);
}

#[test]
fn a_link_that_is_not_followed_counts_as_itself() {
    let empire = Empire {
        nofollow: true,
        ..Empire::default()
    };
    let mut place = Place::of(&[("target", A), ("other", B)], &empire);
    symlink(place.path("target"), place.path("a.ini")).unwrap();
    place.check(&["appeared a.ini"]);
    place.write("target", B);
    place.check(&[]);
    fs::remove_file(place.path("target")).unwrap();
    place.check(&[]);
    // What `touch -h` and `ln -sfn` do.
    fs::remove_file(place.path("a.ini")).unwrap();
    symlink(place.path("target"), place.path("a.ini")).unwrap();
    place.write("target", A);
    place.check(&["touched a.ini"]);
    fs::remove_file(place.path("a.ini")).unwrap();
    symlink(place.path("other"), place.path("a.ini")).unwrap();
    place.check(&["edited a.ini"]);
    fs::remove_file(place.path("a.ini")).unwrap();
    place.check(&["removed a.ini"]);
}
