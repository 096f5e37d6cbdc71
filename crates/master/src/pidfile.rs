//! The pidfile: written early, removed at the end if it is still ours.

use std::path::Path;

/// # Errors
/// A text that names the file.
pub(crate) fn write(path: &Path) -> Result<(), String> {
    let text = format!("{}\n", std::process::id());
    std::fs::write(path, text)
        .map_err(|error| format!("cannot write pidfile {}: {error}", path.display()))
}

pub(crate) fn remove(path: Option<&Path>) {
    let Some(path) = path else {
        return;
    };
    let ours = std::fs::read_to_string(path);
    if ours.is_ok_and(|text| text.trim() == std::process::id().to_string()) {
        // Gone is what we want.
        let _ = std::fs::remove_file(path);
    }
}
