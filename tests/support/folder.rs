//! A test's own directory, and where the repository and the test environment are.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// A directory with a short path (Unix sockets allow 107 bytes), removed unless the test failed.
/// In texts that are written to it, `{dir}` stands for its path.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let directory = tempfile::Builder::new()
            .prefix("imp.")
            .tempdir()
            .expect("a temporary directory")
            .keep();
        // Front ends and apps that changed their user pass through it.
        set_mode(&directory, 0o755);
        Self(directory)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file whole, as an editor does: beside it first, then renamed.
    #[track_caller]
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        self.write_bytes(name, self.fill(text).as_bytes())
    }

    #[track_caller]
    pub(crate) fn write_bytes(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.join(name);
        let parent = path.parent().expect("a file has a directory");
        fs::create_dir_all(parent).expect("a directory");
        let new = parent.join(format!(
            ".new.{}",
            path.file_name().unwrap().to_string_lossy()
        ));
        fs::write(&new, bytes).expect("a written file");
        fs::rename(&new, &path).expect("a renamed file");
        path
    }

    /// Writes into the file as it is there: the same inode, truncated and filled again.
    #[track_caller]
    pub(crate) fn write_in_place(&self, name: &str, text: &str) -> PathBuf {
        let path = self.join(name);
        fs::write(&path, self.fill(text)).expect("a written file");
        path
    }

    /// A new modification time, the same text. Times differ by a second and more, as the original
    /// looks at whole seconds.
    #[track_caller]
    pub(crate) fn touch(&self, name: &str) {
        let path = self.join(name);
        let before = fs::metadata(&path).and_then(|meta| meta.modified());
        let before = before.expect("a file to touch");
        let new = SystemTime::now().max(before + Duration::from_secs(1));
        let file = fs::File::options().append(true).open(&path).unwrap();
        file.set_modified(new).expect("a touched file");
    }

    #[track_caller]
    pub(crate) fn remove(&self, name: &str) {
        fs::remove_file(self.join(name)).expect("a file to remove");
    }

    /// The file's text; empty when it is not there.
    pub(crate) fn read(&self, name: &str) -> String {
        let bytes = fs::read(self.join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub(crate) fn fill(&self, text: &str) -> String {
        text.replace("{dir}", self.0.to_str().expect("a UTF-8 path"))
    }

    /// What is in it, for a failed test.
    pub(crate) fn listing(&self) -> String {
        let mut lines = Vec::new();
        list(&self.0, &self.0, 0, &mut lines);
        lines.join("\n")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let keep = std::thread::panicking() || std::env::var_os("KEEP").is_some();
        if keep {
            eprintln!("kept: {}", self.0.display());
        } else {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

fn list(top: &Path, directory: &Path, depth: usize, lines: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if lines.len() > 200 || depth > 4 {
            return;
        }
        let name = path.strip_prefix(top).unwrap_or(&path).display();
        let size = fs::symlink_metadata(&path).map_or(0, |meta| meta.len());
        lines.push(format!("  {name} ({size} bytes)"));
        if path.is_dir() && !path.is_symlink() {
            list(top, &path, depth + 1, lines);
        }
    }
}

pub(crate) fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
}

/// The top of the repository.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Cargo's target directory of this build: the command stands two below it.
pub(crate) fn target_directory() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_imperator"))
        .ancestors()
        .nth(2)
        .expect("target/debug/imperator")
}

/// The virtualenv with Flask and Django that `tests/run` makes.
pub(crate) fn test_env() -> PathBuf {
    std::env::var_os("TEST_ENV").map_or_else(|| target_directory().join("test-env"), PathBuf::from)
}
