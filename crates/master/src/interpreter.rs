//! Which interpreter runs the app: `<virtualenv>/bin/python3`, `python = …`, or python3 from PATH.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use imperator_core::message::Failure;
use imperator_core::settings::Settings;
use imperator_core::why::CauseId;

use crate::failure;

/// The path to execute, not resolved further: a virtualenv is known by the path of its python.
///
/// # Errors
/// What is missing, with the config line that asks for it and the way out.
pub(crate) fn choose(
    settings: &Settings,
    cwd: &Path,
    path: Option<&OsStr>,
) -> Result<PathBuf, Failure> {
    let options = ["virtualenv", "home", "venv", "pyhome"];
    let home = settings.virtualenv.as_ref().map(|it| cwd.join(it));
    // Also beside a `python` that works: its packages are missing.
    if let Some(home) = home.as_ref().filter(|home| !home.is_dir()) {
        let shown = home.display();
        let why = match home.exists() {
            true => "is no directory",
            false => "does not exist",
        };
        return Err(failure::at(
            settings,
            &options,
            format!("virtualenv {shown} {why}"),
            format!("make it: python3 -m venv {shown}"),
        )
        .of(CauseId::Interpreter)
        .with("path", shown.to_string()));
    }
    // An explicit `python` says more than the virtualenv that it may stand in.
    if let Some(python) = &settings.python {
        let python = found_in(&cwd.join(python), python, path);
        return executable(&python).map_err(|why| {
            failure::at(
                settings,
                &["python"],
                format!("interpreter {} {why}", python.display()),
                "set python to the interpreter that runs this app, or remove the line",
            )
            .of(CauseId::Interpreter)
            .with("path", python.display().to_string())
        });
    }
    if let Some(home) = home {
        let shown = home.display();
        let candidates = ["bin/python3", "bin/python"].map(|name| home.join(name));
        let why = candidates.iter().map(|python| executable(python));
        let mut first = None;
        for (python, result) in candidates.iter().zip(why) {
            match result {
                Ok(python) => return Ok(python),
                Err(why) => first = first.or(Some((python, why))),
            }
        }
        // A dangling link is what a removed system python leaves behind.
        let dangling = candidates[0].symlink_metadata().is_ok() && !candidates[0].exists();
        let why = match first {
            _ if dangling => format!(
                "virtualenv {shown} has lost its interpreter: {} points nowhere",
                candidates[0].display()
            ),
            Some((python, why)) if python.exists() => {
                format!("interpreter {} {why}", python.display())
            }
            Some(_) | None => format!("virtualenv {shown} has no bin/python3"),
        };
        return Err(failure::at(
            settings,
            &options,
            why,
            format!("make it anew: python3 -m venv --clear {shown}"),
        )
        .of(CauseId::Interpreter)
        .with("path", candidates[0].display().to_string()));
    }
    let directories = path.map(std::env::split_paths).into_iter().flatten();
    let mut found = directories.filter(|directory| directory.is_absolute());
    found
        .find_map(|directory| executable(&directory.join("python3")).ok())
        .ok_or_else(|| {
            failure::at(
                settings,
                &["module", "wsgi-file"],
                "no python3 in PATH",
                "install python3, or set virtualenv or python",
            )
            .of(CauseId::Interpreter)
        })
}

/// What only the interpreter's own command line can say.
pub(crate) fn flags(settings: &Settings) -> Vec<OsString> {
    let python = &settings.interpreter;
    let mut flags = Vec::new();
    match python.optimize {
        0 => (),
        1 => flags.push("-O".into()),
        2.. => flags.push("-OO".into()),
    }
    if python.no_site {
        flags.push("-S".into());
    }
    flags
}

/// A bare name means the one in PATH.
fn found_in(joined: &Path, asked: &Path, path: Option<&OsStr>) -> PathBuf {
    if asked.components().count() > 1 || asked.is_absolute() || joined.exists() {
        return joined.to_owned();
    }
    let mut directories = path.map(std::env::split_paths).into_iter().flatten();
    directories
        .find_map(|directory| executable(&directory.join(asked)).ok())
        .unwrap_or_else(|| joined.to_owned())
}

fn executable(python: &Path) -> Result<PathBuf, &'static str> {
    match python.metadata() {
        Ok(it) if it.is_dir() => Err("is a directory"),
        Ok(it) if it.permissions().mode() & 0o111 == 0 => Err("is not executable"),
        Ok(_) => Ok(python.to_owned()),
        Err(_) => Err("does not exist"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_virtualenv_without_python_is_named_with_its_line_and_a_way_out() {
        let settings = Settings {
            virtualenv: Some("/nonexistent/venv".into()),
            ..Settings::default()
        };
        let failure = choose(&settings, Path::new("/"), None).unwrap_err();
        assert_eq!(
            failure.summary,
            "virtualenv /nonexistent/venv does not exist"
        );
        assert_eq!(
            failure.hint.as_deref(),
            Some("make it: python3 -m venv /nonexistent/venv")
        );
    }

    #[test]
    fn what_is_no_program_is_refused() {
        let settings = Settings {
            python: Some("/dev".into()),
            ..Settings::default()
        };
        let failure = choose(&settings, Path::new("/"), None).unwrap_err();
        assert_eq!(failure.summary, "interpreter /dev is a directory");
    }
}
