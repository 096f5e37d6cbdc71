//! Where the runtime directory is when nobody says so.

use imperator_process::image;
use std::env;
use std::path::PathBuf;

use imperator_emperor::runtime::CONTROL_SOCKET;

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

/// The same, for who asks an emperor: one without an emperor of his own means root's.
pub(crate) fn asked_directory(given: Option<PathBuf>) -> PathBuf {
    let is_given = given.is_some() || env::var_os("RUNTIME_DIRECTORY").is_some();
    let own = runtime_directory(given);
    let roots = PathBuf::from("/run/imperator");
    let has_socket = |path: &PathBuf| path.join(CONTROL_SOCKET).exists();
    if !is_given && !has_socket(&own) && has_socket(&roots) {
        return roots;
    }
    own
}

fn is_root() -> bool {
    user() == 0
}

fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The path by which this program was started, so that what lies there later is its successor: a link
/// of that name may lead elsewhere then.
pub(crate) fn executable() -> std::io::Result<PathBuf> {
    let own = image::own();
    let is_own = |path: &PathBuf| own.as_ref().ok() == image::of(path).ok().as_ref();
    let named = env::args_os().next().map(PathBuf::from);
    let found = named.and_then(|name| {
        if name.components().count() > 1 {
            return Some(env::current_dir().ok()?.join(name)).filter(is_own);
        }
        let path = env::var_os("PATH")?;
        let mut all = env::split_paths(&path).map(|it| it.join(&name));
        all.find(is_own).filter(|it| it.is_absolute())
    });
    match found {
        Some(path) => Ok(path),
        // Of an upgraded process the kernel knows the file, too.
        None => env::current_exe(),
    }
}
