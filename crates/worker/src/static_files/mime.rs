//! Types of files by their extension: /etc/mime.types as the original reads it, and what every
//! site needs where that file is missing.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

const BUILT_IN: [(&str, &str); 32] = [
    ("avif", "image/avif"),
    ("bmp", "image/bmp"),
    ("css", "text/css"),
    ("csv", "text/csv"),
    ("gif", "image/gif"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("ico", "image/vnd.microsoft.icon"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript"),
    ("json", "application/json"),
    ("map", "application/json"),
    ("mjs", "text/javascript"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("ogg", "audio/ogg"),
    ("otf", "font/otf"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("tif", "image/tiff"),
    ("ttf", "font/ttf"),
    ("txt", "text/plain"),
    ("wasm", "application/wasm"),
    ("wav", "audio/x-wav"),
    ("webm", "video/webm"),
    ("webmanifest", "application/manifest+json"),
    ("webp", "image/webp"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("xml", "application/xml"),
];
const FILE: &str = "/etc/mime.types";
/// Debian's has 70 KiB.
const MAX_FILE: u64 = 1 << 20;

/// Extensions, and the types that they stand for.
#[derive(Debug)]
pub(super) struct Types(HashMap<String, String>);

impl Types {
    /// Reads these files (`mimefile`), or the system's when there are none. What cannot be read has
    /// no types.
    pub(super) fn read(files: &[PathBuf]) -> Self {
        let mut types = built_in();
        let system = [PathBuf::from(FILE)];
        let files = if files.is_empty() { &system } else { files };
        // The first that names an extension is meant, as in the original.
        for file in files.iter().rev() {
            let small = std::fs::metadata(file).is_ok_and(|file| file.len() <= MAX_FILE);
            let text = small.then(|| std::fs::read(file).ok()).flatten();
            add(
                &mut types,
                &String::from_utf8_lossy(&text.unwrap_or_default()),
            );
        }
        Self(types)
    }

    /// `None`: no Content-Type is sent, as in the original.
    pub(super) fn of(&self, path: &Path) -> Option<&str> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        self.0.get(&extension).map(String::as_str)
    }
}

fn built_in() -> HashMap<String, String> {
    BUILT_IN
        .iter()
        .map(|(extension, mime)| ((*extension).to_owned(), (*mime).to_owned()))
        .collect()
}

/// Lines of a type and its extensions.
fn add(types: &mut HashMap<String, String>, text: &str) {
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or("").split_whitespace();
        let Some(mime) = words.next() else { continue };
        // It goes into a header.
        if mime.contains('/') && mime.bytes().all(|byte| byte.is_ascii_graphic()) {
            for extension in words {
                types.insert(extension.to_ascii_lowercase(), mime.to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_file_wins_over_the_table() {
        let mut types = built_in();
        let text = "# comment\ntext/x-test css tst # more\nnonsense\nbad\x01/x y\n";
        add(&mut types, text);
        assert_eq!(types["css"], "text/x-test");
        assert_eq!(types["tst"], "text/x-test");
        assert_eq!(types["woff2"], "font/woff2");
        assert!(!types.contains_key("y"));
        let types = Types(types);
        assert_eq!(types.of(Path::new("/a/B.PNG")), Some("image/png"));
        assert_eq!(types.of(Path::new("/a/none")), None);
    }

    #[test]
    fn the_table_is_sorted() {
        assert!(BUILT_IN.is_sorted());
    }
}
