//! Where our own command is, from whatever directory the benchmark is started.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

/// Our command and its first arguments: what the user names, else the program beside `bench`. Servers
/// are started in directories of their own, so a path is made whole here.
///
/// # Errors
/// When there is no such program.
pub fn ours(named: Option<&str>, bench: &Path) -> Result<Vec<String>, anyhow::Error> {
    let mut words: Vec<String> = match named {
        Some(text) => text.split_whitespace().map(str::to_owned).collect(),
        None => vec![bench.with_file_name("imperator").display().to_string()],
    };
    let program = words.first_mut().context("--ours names no command")?;
    // Else it is one of PATH's.
    if program.contains('/') {
        let whole = std::path::absolute(&*program)?;
        let way_out = match named {
            Some(_) => "--ours names it",
            None => {
                "build it with `cargo build --release --workspace`, or name another one by --ours"
            }
        };
        ensure!(whole.exists(), "no program {}: {way_out}", whole.display());
        *program = whole.display().to_string();
    }
    Ok(words)
}

/// The same where only a path is wanted.
///
/// # Errors
/// As [`ours`].
pub fn our_path(named: Option<&Path>) -> Result<PathBuf, anyhow::Error> {
    let bench = std::env::current_exe().context("the path of this program")?;
    match named {
        Some(path) => Ok(std::path::absolute(path)?),
        None => Ok(ours(None, &bench)?.swap_remove(0).into()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn our_command_is_beside_the_benchmark_unless_another_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let bench = directory.path().join("imperator-bench");
        let missing = ours(None, &bench).unwrap_err().to_string();
        assert!(missing.contains("by --ours"), "{missing}");
        let beside = directory.path().join("imperator");
        fs::write(&beside, "").unwrap();
        let beside = beside.display().to_string();
        assert_eq!(ours(None, &bench).unwrap(), [beside]);
        let here = std::env::current_dir().unwrap();
        let whole = here.join("./Cargo.toml").display().to_string();
        let whole = whole.replace("/./", "/");
        assert_eq!(
            ours(Some("./Cargo.toml --strict"), &bench).unwrap(),
            [whole, "--strict".to_owned()]
        );
        assert_eq!(ours(Some("imperator"), &bench).unwrap(), ["imperator"]);
        assert!(ours(Some("./no-such-program"), &bench).is_err());
        assert!(ours(Some(" "), &bench).is_err());
    }
}
