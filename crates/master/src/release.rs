//! Where a generation's code lies, decided once. `current -> releases/42` means release 42 for all
//! processes of a generation that began with it: also for those that start after the link was
//! moved, and for modules that are imported later.
//!
//! Directories are resolved. The last name of a file is kept while it leads where it led, since
//! apps look for their own files beside `__file__`.

use std::path::{Component, Path, PathBuf};

use imperator_core::settings::static_files::Serve;
use imperator_core::settings::{Settings, Target};

/// The paths of one generation that go through symlinks.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Release {
    /// One for each `pythonpath`.
    path: Vec<PathBuf>,
    files: Vec<File>,
    chdir2: Option<PathBuf>,
    virtualenv: Option<PathBuf>,
    /// Directories of static files behind a link that leads to the code, too: as named, and real.
    statics: Vec<(PathBuf, PathBuf)>,
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
    /// `start`: the directory in which the app's virtualenv is looked for. `cwd`: the working
    /// directory of its processes as the config names it. `place`: what that means now.
    pub(crate) fn of(settings: &Settings, start: &Path, cwd: &Path, place: &Path) -> Self {
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
        for mount in &settings.mounts {
            if let Some(path) = paste_file(&mount.target) {
                files.push(path.into());
            }
        }
        let chdir2 = settings.limits.chdir2.as_deref();
        let code = settings.pythonpath.iter().chain(&files);
        let code = code.map(|it| cwd.join(it)).chain([cwd.to_owned()]);
        let code = code.chain(settings.virtualenv.iter().map(|it| start.join(it)));
        let code: Vec<PathBuf> = code.flat_map(|path| links(&path)).collect();
        Self {
            statics: statics(settings, &code),
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
            virtualenv: settings
                .virtualenv
                .as_deref()
                .map(|home| directory(home, start)),
        }
    }

    /// The settings for a process that starts now.
    pub(crate) fn fix(&self, settings: &mut Settings) {
        for (entry, fixed) in settings.pythonpath.iter_mut().zip(&self.path) {
            entry.clone_from(fixed);
        }
        settings.limits.chdir2.clone_from(&self.chdir2);
        settings.virtualenv.clone_from(&self.virtualenv);
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
            if let Some(now) = paste_file(&mount.target).and_then(|it| find(Path::new(it)))
                && let Target::Paste(uri) = &mut mount.target
            {
                *uri = with_paste_file(uri, &now);
            }
            if let Target::File(path) = &mut mount.target
                && let Some(now) = find(path)
            {
                *path = now;
            }
        }
        let files = &mut settings.static_files;
        let maps = files.maps.iter_mut().chain(&mut files.whole_maps);
        for path in maps.map(|(_, path)| path).chain(&mut files.check) {
            if let Some((_, real)) = self.statics.iter().find(|(named, _)| named == path) {
                path.clone_from(real);
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

/// The file of `config:FILE#app`.
fn paste_file(target: &Target) -> Option<&str> {
    match target {
        Target::Paste(uri) => {
            let file = uri.strip_prefix("config:").unwrap_or(uri);
            let (scheme, file) = (file.contains(':'), file.split('#').next()?);
            (!scheme && !file.is_empty()).then_some(file)
        }
        Target::Module(_) | Target::File(_) | Target::Eval(_) => None,
    }
}

fn with_paste_file(uri: &str, file: &Path) -> String {
    let app = uri.split_once('#').map(|(_, app)| format!("#{app}"));
    let file = file.display();
    format!("config:{file}{}", app.unwrap_or_default())
}

/// The links among the directories of a path, and itself.
fn links(path: &Path) -> Vec<PathBuf> {
    let all = path.ancestors().filter(|it| it.is_symlink());
    all.map(Path::to_owned).collect()
}

/// Static files that are deployed with the code: a link of their path leads to code as well. Another
/// link, as to media on another disk, is followed for each request, as ever; and what a front end
/// is told to send has the name that its config knows.
fn statics(settings: &Settings, code: &[PathBuf]) -> Vec<(PathBuf, PathBuf)> {
    let files = &settings.static_files;
    if files.serve != Serve::Body {
        return Vec::new();
    }
    let maps = files.maps.iter().chain(&files.whole_maps);
    maps.map(|(_, path)| path)
        .chain(&files.check)
        .filter(|path| links(path).iter().any(|link| code.contains(link)))
        .filter_map(|path| Some((path.clone(), path.canonicalize().ok()?)))
        .collect()
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
        let release = [&named, &linked].map(|it| Release::of(it, &root, &root, &root));
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
        let next = Release::of(&named, &root, &root, &root);
        assert_eq!(fixed(&next, &named).0, root.join("2/app.py"));
    }

    #[test]
    fn static_files_and_paste_of_a_release_are_of_that_release_and_other_links_are_followed() {
        let (_folder, root) = site();
        for release in ["1", "2"] {
            std::fs::create_dir(root.join(release).join("static")).unwrap();
            std::fs::write(root.join(release).join("site.ini"), release).unwrap();
        }
        symlink("1/static", root.join("media")).unwrap();
        let mut named = settings("1/app.py", "current/lib");
        let (current, media) = (root.join("current/static"), root.join("media"));
        named.static_files.check = vec![current.clone()];
        named.static_files.maps =
            vec![("/s".into(), current.clone()), ("/m".into(), media.clone())];
        named.static_files.whole_maps = vec![("/t".into(), current.clone())];
        let uri = format!("config:{}#main", root.join("current/site.ini").display());
        named.mounts[0].target = Target::Paste(uri);
        let cwd = root.join("current");
        let release = Release::of(&named, &root, &cwd, &root.join("1"));
        std::fs::remove_file(root.join("current")).unwrap();
        symlink("2", root.join("current")).unwrap();
        let mut fixed = named.clone();
        release.fix(&mut fixed);
        let one = root.join("1/static");
        let files = &fixed.static_files;
        assert_eq!(files.check, [one.as_path()]);
        assert_eq!(
            files.maps,
            [("/s".into(), one.clone()), ("/m".into(), media)]
        );
        assert_eq!(files.whole_maps, [("/t".into(), one)]);
        let uri = format!("config:{}#main", root.join("1/site.ini").display());
        assert_eq!(fixed.mounts[0].target, Target::Paste(uri));
        // nginx knows the name, not what it means now.
        named.static_files.serve = Serve::AccelRedirect;
        let release = Release::of(&named, &root, &cwd, &root.join("2"));
        let mut fixed = named.clone();
        release.fix(&mut fixed);
        assert_eq!(fixed.static_files, named.static_files);
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
            Release::of(&settings, &root, &root, &root).fix(&mut settings);
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
