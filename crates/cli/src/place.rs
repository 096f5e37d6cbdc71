//! Where the runtime directory is when nobody says so.

use std::env;
use std::path::PathBuf;

/// `--runtime-dir`, or what systemd gave, or the usual place of root or of a user.
pub(crate) fn runtime_directory(given: Option<PathBuf>) -> PathBuf {
    if let Some(path) = given {
        return env::current_dir().map_or(path.clone(), |cwd| cwd.join(path));
    }
    // systemd.exec(5): several are separated by colons.
    if let Some(path) = env::var_os("RUNTIME_DIRECTORY")
        && let Some(first) = env::split_paths(&path).next()
        && first.is_absolute()
    {
        return first;
    }
    if is_root() {
        return PathBuf::from("/run/imperator");
    }
    match env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from) {
        Some(path) if path.is_absolute() => path.join("imperator"),
        Some(_) | None => env::temp_dir().join(format!("imperator-{}", user())),
    }
}

fn is_root() -> bool {
    user() == 0
}

fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}
