//! xml
use super::refused;
use crate::ini::Document;
use crate::ini::magic::Magic;

pub(super) fn read(_bytes: &[u8], _section: &str, magic: &Magic<'_>) -> Document {
    let mut document = Document::default();
    document.findings.push(refused(
        &magic.file.file,
        1,
        "xml is not read yet",
        "write it as an ini file",
    ));
    document
}
