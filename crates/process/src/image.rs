//! Which file a program runs on: told apart without reading it.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The file that this process executes, also when it was removed or replaced since.
pub const OWN: &str = "/proc/self/exe";

/// A word that is another one for another file: device, inode, size and time of change.
///
/// # Errors
/// What stat(2) says.
pub fn of(path: &Path) -> io::Result<String> {
    std::fs::metadata(path).map(|it| word(&it))
}

/// That of this very process.
///
/// # Errors
/// As [`of`]: there is no /proc.
pub fn own() -> io::Result<String> {
    of(Path::new(OWN))
}

fn word(it: &Metadata) -> String {
    let (seconds, nanos) = (it.mtime(), it.mtime_nsec());
    format!(
        "{:x}-{:x}-{:x}-{seconds:x}.{nanos:x}",
        it.dev(),
        it.ino(),
        it.size()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_another_file_and_a_link_is_not() {
        let directory =
            std::env::temp_dir().join(format!("imperator-image-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let (one, two) = (directory.join("one"), directory.join("two"));
        std::fs::write(&one, "x").unwrap();
        std::fs::copy(&one, &two).unwrap();
        std::fs::hard_link(&one, directory.join("link")).unwrap();
        assert_ne!(of(&one).unwrap(), of(&two).unwrap());
        assert_eq!(of(&one).unwrap(), of(&directory.join("link")).unwrap());
        assert!(of(&directory.join("none")).is_err());
        assert_eq!(
            own().unwrap(),
            of(&std::env::current_exe().unwrap()).unwrap()
        );
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
