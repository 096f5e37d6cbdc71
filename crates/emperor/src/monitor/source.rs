//! What one `emperor = …` line names, and which of the files there are vassals.

use std::borrow::Cow;
use std::fmt;
use std::fs;
use std::path::{Component, Path, PathBuf};

use imperator_core::carriers::Carrier;

/// A place where ini files come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// As the operator wrote it.
    pub text: String,
    pub kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    Directory(PathBuf),
    /// An absolute pattern, and the directory before its first wildcard.
    Glob {
        pattern: String,
        base: PathBuf,
    },
    File(PathBuf),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceError {
    pub text: String,
    pub why: String,
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot watch \"{}\": {}", self.text, self.why)
    }
}

impl std::error::Error for SourceError {}

/// Monitors of the original that read configs from elsewhere than files.
const FOREIGN: &[&str] = &["pg://", "mongodb://", "amqp://", "zmq://", "ldap://"];

impl Source {
    /// Reads one `emperor` value as the original does: a directory, or else a glob. `cwd` makes it
    /// absolute.
    ///
    /// # Errors
    /// A directory or file that does not exist, a pattern that is none.
    pub fn parse(text: &str, cwd: &Path) -> Result<Self, SourceError> {
        let refuse = |why: String| {
            Err(SourceError {
                text: text.to_owned(),
                why,
            })
        };
        if let Some(scheme) = FOREIGN.iter().find(|scheme| text.starts_with(**scheme)) {
            return refuse(format!("{scheme} is not supported yet; use a directory"));
        }
        let (path, only) = if let Some(path) = text.strip_prefix("dir://") {
            (path, Some(true))
        } else if let Some(path) = text.strip_prefix("glob://") {
            (path, Some(false))
        } else {
            (text, None)
        };
        if path.is_empty() {
            return refuse("it is empty".to_owned());
        }
        let path = plain(&cwd.join(path));
        let source = |kind| {
            Ok(Self {
                text: text.to_owned(),
                kind,
            })
        };
        let wild = path
            .to_str()
            .is_some_and(|path| path.contains(['*', '?', '[']));
        if only != Some(false) && (path.is_dir() || only == Some(true) || !wild) {
            return match fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() => match fs::read_dir(&path) {
                    Ok(_) => source(Kind::Directory(path)),
                    Err(error) => refuse(format!("directory {}: {error}", path.display())),
                },
                Ok(_) if only == Some(true) => refuse("it is not a directory".to_owned()),
                Ok(_) => source(Kind::File(path)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    refuse(format!("no such directory or file: {}", path.display()))
                }
                Err(error) => refuse(format!("{}: {error}", path.display())),
            };
        }
        let Some(pattern) = path.to_str().map(str::to_owned) else {
            return refuse("a pattern must be UTF-8".to_owned());
        };
        let matches: Vec<PathBuf> = match glob::glob(&pattern) {
            Ok(paths) => paths.flatten().take(2).collect(),
            Err(error) => return refuse(format!("no glob pattern: {error}")),
        };
        // uWSGI: core/emperor.c, emperor_build_scanners: one match that is a directory.
        if let [only] = matches.as_slice()
            && only.is_dir()
        {
            return source(Kind::Directory(only.clone()));
        }
        let base = path
            .components()
            .take_while(|component| !is_wild(*component))
            .collect();
        source(Kind::Glob { pattern, base })
    }

    /// The directory whose disappearance is no removal of its files.
    pub fn base(&self) -> &Path {
        match &self.kind {
            Kind::Directory(path) => path,
            Kind::Glob { base, .. } => base,
            Kind::File(path) => path.parent().unwrap_or(path),
        }
    }

    /// The working directory of its apps: uWSGI's Emperor changes into the vassals directory.
    pub fn cwd(&self, start: &Path) -> PathBuf {
        match &self.kind {
            Kind::Directory(path) => path.clone(),
            Kind::Glob { .. } | Kind::File(_) => start.to_owned(),
        }
    }

    /// All candidate paths now, sorted. Names only: what they are is looked at by the scan.
    ///
    /// # Errors
    /// The base directory is not there or cannot be read: then nothing is known.
    pub fn list(&self) -> std::io::Result<Vec<PathBuf>> {
        let mut paths = match &self.kind {
            Kind::Directory(directory) => {
                let mut paths = Vec::new();
                for entry in fs::read_dir(directory)? {
                    paths.push(entry?.path());
                }
                paths.retain(|path| vassal_name(path).is_some());
                paths
            }
            Kind::Glob { pattern, base } => {
                fs::read_dir(base)?;
                let paths = glob::glob(pattern).map_err(std::io::Error::other)?;
                let mut paths: Vec<PathBuf> = paths.flatten().collect();
                paths.retain(|path| vassal_name(path).is_some());
                paths
            }
            Kind::File(path) => {
                fs::read_dir(self.base())?;
                vec![path.clone()]
            }
        };
        paths.sort();
        Ok(paths)
    }

    /// The directories whose events concern this source.
    pub fn directories(&self) -> Vec<PathBuf> {
        let mut directories = Vec::new();
        match &self.kind {
            Kind::Directory(path) => {
                // The parent only while the directory is away: it may be a busy one.
                let nearest = path.ancestors().find(|path| path.is_dir());
                directories.extend(nearest.map(Path::to_owned));
            }
            Kind::File(path) => directories.extend(path.parent().map(Path::to_owned)),
            Kind::Glob { pattern, base } => {
                let nearest = base.ancestors().find(|path| path.is_dir());
                directories.extend(nearest.map(Path::to_owned));
                let mut prefix = PathBuf::new();
                let mut components = Path::new(pattern).components().peekable();
                while let Some(component) = components.next() {
                    prefix.push(component);
                    let wild_so_far = prefix.components().any(is_wild);
                    if !wild_so_far || components.peek().is_none() {
                        continue;
                    }
                    if let Some(Ok(paths)) = prefix.to_str().map(glob::glob) {
                        directories.extend(paths.flatten().filter(|path| path.is_dir()));
                    }
                }
            }
        }
        directories
    }

    /// The app's name for a file of this source: its path relative to the monitor without
    /// extension. Of a glob: from the first component with a wildcard on, so that a second match
    /// renames nothing.
    pub fn name_of(&self, path: &Path) -> String {
        let relative = match &self.kind {
            Kind::Directory(base) | Kind::Glob { base, .. } => {
                path.strip_prefix(base).unwrap_or(path)
            }
            Kind::File(_) => Path::new(path.file_name().unwrap_or(path.as_os_str())),
        };
        let name = relative.with_extension("");
        // Names stand in log lines and tables: a file name with a line end must not make two.
        let plain = |letter: char| {
            if letter.is_control() {
                '\u{fffd}'
            } else {
                letter
            }
        };
        name.to_string_lossy().chars().map(plain).collect()
    }
}

fn is_wild(component: Component<'_>) -> bool {
    component
        .as_os_str()
        .to_string_lossy()
        .contains(['*', '?', '['])
}

/// Without `.` and doubled slashes, so that inotify's paths compare equal. `..` stays: with a
/// symlink before it, it is no lexical matter.
fn plain(path: &Path) -> PathBuf {
    path.components()
        .filter(|component| *component != Component::CurDir)
        .collect()
}

/// The name of a file that is a vassal by its name, `None` for all others. Editors' and package
/// managers' temporary files are not; hidden files are not either.
pub fn vassal_name(path: &Path) -> Option<Cow<'_, str>> {
    let name = path.file_name()?.to_string_lossy();
    let temporary = name.starts_with('.')
        || name.ends_with('~')
        || name.ends_with(".swp")
        || name == "4913"
        || name.contains(".dpkg-")
        || name.contains(".ucf-");
    let is_config = Carrier::of_file(Path::new(&*name)).is_some();
    (!temporary && is_config).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_files_of_editors_and_packages_are_no_vassals() {
        for name in [
            ".blog.ini",
            ".blog.ini.swp",
            "blog.ini~",
            ".#blog.ini",
            "#blog.ini#",
            "4913",
            "blog.ini.dpkg-new",
            "blog.ini.swp",
            "blog.txt",
            "ini",
            ".ini",
            "blog.ini.bak",
            "blog.dpkg-old.ini",
        ] {
            assert_eq!(vassal_name(Path::new(name)), None, "{name}");
        }
        for name in [
            "blog.ini",
            "a b.c.ini",
            "a.json",
            "a.js",
            "a.yaml",
            "a.yml",
            "a.xml",
        ] {
            let path = Path::new("/v").join(name);
            assert_eq!(vassal_name(&path).as_deref(), Some(name));
        }
    }

    #[test]
    fn a_name_is_one_line_whatever_the_file_is_called() {
        let base = tempfile::tempdir().unwrap();
        let source = Source::parse(base.path().to_str().unwrap(), Path::new("/")).unwrap();
        let name = source.name_of(&base.path().join("two\nlines\u{1b}[2J.ini"));
        assert_eq!(name, "two\u{fffd}lines\u{fffd}[2J");
    }

    #[test]
    fn names_are_relative_to_the_monitor_and_stable_in_a_glob() {
        let base = tempfile::tempdir().unwrap();
        let shop = base.path().join("shop");
        fs::create_dir(&shop).unwrap();
        fs::write(shop.join("uwsgi.ini"), "[uwsgi]\n").unwrap();
        let source = Source::parse("*/uwsgi.ini", base.path()).unwrap();
        let paths = source.list().unwrap();
        assert_eq!(paths, [shop.join("uwsgi.ini")]);
        assert_eq!(source.name_of(&paths[0]), "shop/uwsgi");
        assert!(source.directories().contains(&shop));
        let source = Source::parse("shop/", base.path()).unwrap();
        assert_eq!(source.kind, Kind::Directory(shop.clone()));
        assert_eq!(source.name_of(&shop.join("uwsgi.ini")), "uwsgi");
        // One match that is a directory, as the original's glob with GLOB_MARK.
        let source = Source::parse("sho?", base.path()).unwrap();
        assert_eq!(source.kind, Kind::Directory(shop));
    }

    #[test]
    fn what_is_not_there_is_refused_with_its_path() {
        let base = tempfile::tempdir().unwrap();
        let error = Source::parse("vassals", base.path()).unwrap_err();
        assert!(error.to_string().contains("no such directory"), "{error}");
        assert!(Source::parse("pg://x", base.path()).is_err());
        assert!(Source::parse("dir://", base.path()).is_err());
    }
}
