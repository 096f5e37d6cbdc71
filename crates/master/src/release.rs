//! Where a generation's code lies, decided once. `current -> releases/42` means release 42 for all
//! processes of a generation that began with it: also for those that start after the link was
//! moved, and for modules that are imported later.
//!
//! Directories are resolved. The last name of a file is kept while it leads where it led, since
//! apps look for their own files beside `__file__`.

use std::path::{Component, Path, PathBuf};

use imperator_core::settings::{Settings, Target};

/// The paths of one generation that go through symlinks.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Release {
    /// One for each `pythonpath`.
    path: Vec<PathBuf>,
    files: Vec<File>,
    chdir2: Option<PathBuf>,
}

#[derive(Debug, PartialEq, Eq)]
struct File {
    /// As the config names it.
    named: PathBuf,
    /// In the directory that this meant.
    placed: PathBuf,
    /// Behind all links.
    real: PathBuf,
}

impl Release {
    /// `place`: the working directory of its processes.
    pub(crate) fn of(settings: &Settings, place: &Path) -> Self {
        let mut files: Vec<PathBuf> = Vec::new();
        for mount in &settings.mounts {
            if let Target::File(path) = &mount.target {
                files.push(path.clone());
            }
        }
        let python = &settings.interpreter;
        let aliases = python.aliases.iter().map(|(_, module)| module);
        let named = python.imports.iter().chain(aliases);
        files.extend(named.filter(|it| it.contains('/')).map(PathBuf::from));
        let chdir2 = settings.limits.chdir2.as_deref();
        Self {
            path: settings
                .pythonpath
                .iter()
                .map(|entry| directory(entry, place))
                .collect(),
            files: files
                .into_iter()
                .filter_map(|named| file(named, place))
                .collect(),
            chdir2: chdir2.map(|path| directory(path, place)),
        }
    }

    /// The settings for a process that starts now.
    pub(crate) fn fix(&self, settings: &mut Settings) {
        for (entry, fixed) in settings.pythonpath.iter_mut().zip(&self.path) {
            entry.clone_from(fixed);
        }
        settings.limits.chdir2.clone_from(&self.chdir2);
        let files: Vec<(&Path, PathBuf)> = self
            .files
            .iter()
            .map(|file| (file.named.as_path(), file.now()))
            .collect();
        let find = |named: &Path| {
            let mut found = files.iter().filter(|(it, _)| *it == named);
            found.next().map(|(_, now)| now.clone())
        };
        for mount in &mut settings.mounts {
            if let Target::File(path) = &mut mount.target
                && let Some(now) = find(path)
            {
                *path = now;
            }
        }
        let python = &mut settings.interpreter;
        let aliases = python.aliases.iter_mut().map(|(_, module)| module);
        for module in python.imports.iter_mut().chain(aliases) {
            let now =
                find(Path::new(module)).and_then(|now| now.into_os_string().into_string().ok());
            if let Some(now) = now {
                *module = now;
            }
        }
    }
}

impl File {
    fn now(&self) -> PathBuf {
        let leads_there = self
            .placed
            .canonicalize()
            .is_ok_and(|real| real == self.real);
        match leads_there {
            true => self.placed.clone(),
            false => self.real.clone(),
        }
    }
}

/// `None`: it is not there, or nothing of its path is a link.
fn file(named: PathBuf, place: &Path) -> Option<File> {
    let whole = place.join(&named);
    let real = whole.canonicalize().ok()?;
    if real == lexically(&whole) {
        return None;
    }
    let placed = whole
        .parent()?
        .canonicalize()
        .ok()?
        .join(whole.file_name()?);
    Some(File {
        named,
        placed,
        real,
    })
}

/// Without symlinks; as it is where it has none, or is not there. Of a pattern, the directory in
/// front of it.
fn directory(named: &Path, place: &Path) -> PathBuf {
    let is_pattern = |part: &std::ffi::OsStr| {
        let mut bytes = part.as_encoded_bytes().iter();
        bytes.any(|byte| b"*?[".contains(byte))
    };
    let plain: PathBuf = named
        .components()
        .take_while(|part| !is_pattern(part.as_os_str()))
        .collect();
    let whole = place.join(&plain);
    let is_link = |real: &PathBuf| *real != lexically(&whole);
    match (whole.canonicalize(), named.strip_prefix(&plain)) {
        (Ok(real), Ok(rest)) if is_link(&real) => match rest.as_os_str().is_empty() {
            true => real,
            false => real.join(rest),
        },
        (_, _) => named.to_owned(),
    }
}

/// Without `..`, as if nothing were a link.
fn lexically(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => (),
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => plain.push(part),
        }
    }
    plain
}

/// The program of an interpreter, in the directory that its path means now. A virtualenv is known by
/// the path of its python: that is no link to follow.
pub(crate) fn interpreter(python: PathBuf) -> PathBuf {
    let fixed = || {
        let (bin, name) = (python.parent()?, python.file_name()?);
        let home = bin.parent()?;
        let bin = match home.join("pyvenv.cfg").is_file() {
            true => home.canonicalize().ok()?.join(bin.file_name()?),
            false => bin.canonicalize().ok()?,
        };
        Some(bin.join(name))
    };
    fixed().unwrap_or(python)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use imperator_core::settings::Mount;

    use super::*;

    fn settings(file: &str, pythonpath: &str) -> Settings {
        let place = imperator_core::finding::Place {
            file: PathBuf::new(),
            line: 1,
        };
        Settings {
            pythonpath: vec![pythonpath.into()],
            mounts: vec![Mount {
                prefix: String::new(),
                target: Target::File(file.into()),
                place,
            }],
            ..Settings::default()
        }
    }

    /// Two releases, `current`, and a link to a file of it.
    fn site() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for release in ["1", "2"] {
            let venv = root.join(release).join("venv/bin");
            std::fs::create_dir_all(&venv).unwrap();
            std::fs::create_dir_all(root.join(release).join("lib")).unwrap();
            std::fs::write(root.join(release).join("app.py"), release).unwrap();
            std::fs::write(root.join(release).join("venv/pyvenv.cfg"), "").unwrap();
            symlink("/usr/bin/python3", venv.join("python3")).unwrap();
        }
        symlink("1", root.join("current")).unwrap();
        symlink("current/app.py", root.join("app.py")).unwrap();
        (folder, root)
    }

    fn shown(settings: &Settings) -> (PathBuf, PathBuf) {
        let Target::File(file) = settings.mounts[0].target.clone() else {
            panic!("{settings:?}")
        };
        (file, settings.pythonpath[0].clone())
    }

    #[test]
    fn what_a_link_meant_at_the_start_is_meant_until_the_end() {
        let (_folder, root) = site();
        let of = |file: &str, path: &str| settings(file, path);
        let named = of("current/app.py", "current/lib/*.egg");
        let linked = of("app.py", "current/../current/lib");
        let release = [&named, &linked].map(|it| Release::of(it, &root));
        let fixed = |release: &Release, settings: &Settings| {
            let mut settings = settings.clone();
            release.fix(&mut settings);
            shown(&settings)
        };
        let first = (root.join("1/app.py"), root.join("1/lib/*.egg"));
        assert_eq!(fixed(&release[0], &named), first);
        // The last name stays, as long as it leads there.
        let link = (root.join("app.py"), root.join("1/lib"));
        assert_eq!(fixed(&release[1], &linked), link);
        std::fs::remove_file(root.join("current")).unwrap();
        symlink("2", root.join("current")).unwrap();
        assert_eq!(fixed(&release[0], &named), first);
        assert_eq!(fixed(&release[1], &linked).0, root.join("1/app.py"));
        let next = Release::of(&named, &root);
        assert_eq!(fixed(&next, &named).0, root.join("2/app.py"));
    }

    #[test]
    fn what_is_no_link_stays_as_it_was_written() {
        let (_folder, root) = site();
        for (file, path) in [
            ("1/app.py", "1/../1/lib"),
            ("gone.py", "gone/*"),
            ("./1/app.py", "lib"),
        ] {
            let mut settings = settings(file, path);
            Release::of(&settings, &root).fix(&mut settings);
            assert_eq!(shown(&settings), (file.into(), path.into()));
        }
    }

    #[test]
    fn a_virtualenv_is_fixed_and_the_link_that_is_its_python_is_kept() {
        let (_folder, root) = site();
        let python = interpreter(root.join("current/venv/bin/python3"));
        assert_eq!(python, root.join("1/venv/bin/python3"));
        assert_eq!(
            interpreter("/gone/bin/python3".into()),
            Path::new("/gone/bin/python3")
        );
    }
}
