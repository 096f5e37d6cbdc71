//! What an error number of the kernel or an exception of Python is the sign of.

use super::CauseId;
use crate::message::LoadError;

/// `None`: it says nothing about the machine.
pub fn by_errno(errno: i32) -> Option<CauseId> {
    // errno(3), as Linux numbers them on all of its usual architectures.
    match errno {
        1 | 13 | 30 => Some(CauseId::Permission),
        2 | 20 => Some(CauseId::MissingFile),
        11 => Some(CauseId::ForkLimit),
        12 => Some(CauseId::OutOfMemory),
        23 | 24 => Some(CauseId::FdLimit),
        28 | 122 => Some(CauseId::DiskFull),
        98 => Some(CauseId::AddressInUse),
        _ => None,
    }
}

/// As [`by_errno`], of a text that ends as Rust prints an error of the kernel.
pub fn by_text(text: &str) -> Option<CauseId> {
    let (_, rest) = text.rsplit_once("(os error ")?;
    let (number, _) = rest.split_once(')')?;
    by_errno(number.parse().ok()?)
}

/// What ended the loading of an app.
pub fn by_exception(error: &LoadError) -> CauseId {
    let is = |name: &str| error.classes.iter().any(|class| class == name);
    if is("SyntaxError") {
        CauseId::SyntaxError
    } else if is("ImportError") {
        CauseId::ImportError
    } else if is("SystemExit") {
        CauseId::ExitsAtOnce
    } else if is("MemoryError") {
        CauseId::OutOfMemory
    } else if let Some(cause) = error.errno.and_then(by_errno) {
        cause
    } else {
        CauseId::ExceptionAtImport
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_names_its_cause() {
        let of = |classes: &[&str], errno| {
            let classes = classes.iter().map(|class| (*class).to_owned()).collect();
            by_exception(&LoadError {
                classes,
                errno,
                ..LoadError::default()
            })
        };
        let indentation = ["TabError", "IndentationError", "SyntaxError"];
        assert_eq!(of(&indentation, None), CauseId::SyntaxError);
        assert_eq!(
            of(&["ModuleNotFoundError", "ImportError"], None),
            CauseId::ImportError
        );
        assert_eq!(
            of(&["FileNotFoundError", "OSError"], Some(2)),
            CauseId::MissingFile
        );
        assert_eq!(of(&["OSError"], Some(28)), CauseId::DiskFull);
        assert_eq!(of(&["OSError"], Some(5)), CauseId::ExceptionAtImport);
        assert_eq!(of(&["MemoryError"], None), CauseId::OutOfMemory);
        assert_eq!(of(&["ValueError"], None), CauseId::ExceptionAtImport);
    }
}
