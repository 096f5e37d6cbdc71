//! Magic variables: `%n`, `%d`, … replaced in the whole text before its lines are read, comments
//! included (core/utils.c, magic_sub). What the original eats without a word is a warning here.

use std::path::{Path, PathBuf};

/// What `%x` can say about the machine and the process. Gathered by the caller once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    pub hostname: String,
    pub uid: u32,
    pub gid: u32,
    /// `None`: the uid has no name.
    pub user: Option<String>,
    pub group: Option<String>,
    pub cpus: u32,
    /// The program itself.
    pub binary: PathBuf,
    /// The directory that relative paths start from: the vassals' directory.
    pub cwd: PathBuf,
    /// Unix time at the start.
    pub seconds: u64,
    pub micros: u64,
}

/// What `%x` can say about one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFacts {
    /// As it was named, without its section.
    pub given: PathBuf,
    /// The file itself, for messages.
    pub file: PathBuf,
    /// Absolute, without links and dots, unless the file is a link itself.
    pub path: PathBuf,
    pub inode: u64,
    /// The section that was asked for by name.
    pub section: Option<Vec<u8>>,
}

/// The text after the substitution.
#[derive(Debug, PartialEq, Eq)]
pub struct Substituted {
    pub bytes: Vec<u8>,
    /// For each line of `bytes`, the line of the file that it starts in, from 1.
    pub lines: Vec<u32>,
    pub swallowed: Vec<Swallowed>,
}

/// A `%x` outside comments that became nothing, or probably not what was meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swallowed {
    pub line: u32,
    pub letter: u8,
    /// What it became.
    pub value: Vec<u8>,
}

/// Upper-case letters speak of `first`, the file that the process was started with.
pub struct Magic<'a> {
    pub facts: &'a Facts,
    pub file: &'a FileFacts,
    pub first: &'a FileFacts,
}

impl Magic<'_> {
    pub fn substitute(&self, text: &[u8]) -> Substituted {
        let mut out = Substituted {
            bytes: Vec::with_capacity(text.len()),
            lines: vec![1],
            swallowed: Vec::new(),
        };
        let mut line = 1_u32;
        // `None` until the line's first byte that is no blank.
        let mut comment = None;
        let mut rest = text.iter().copied().enumerate();
        while let Some((at, byte)) = rest.next() {
            if comment.is_none() && !matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
                comment = Some(matches!(byte, b';' | b'#'));
            }
            if byte == b'%'
                && let Some((_, letter)) = rest.next()
            {
                let value = self.value(letter);
                let suspicious = match letter {
                    b'0'..=b'9' => {
                        value.is_empty() || text.get(at + 2).is_some_and(u8::is_ascii_hexdigit)
                    }
                    letter => !is_magic(letter),
                };
                if suspicious && comment != Some(true) {
                    out.swallowed.push(Swallowed {
                        line,
                        letter,
                        value: value.clone(),
                    });
                }
                for &byte in &value {
                    out.push(byte, line);
                }
                // The line of the output goes on; only the count of the input's lines does not.
                line += u32::from(letter == b'\n');
            } else {
                if byte == b'\n' {
                    line += 1;
                    comment = None;
                }
                out.push(byte, line);
            }
        }
        out
    }

    /// uWSGI's table holds the empty string for every byte that it does not know.
    fn value(&self, letter: u8) -> Vec<u8> {
        let facts = self.facts;
        let name_or = |name: &Option<String>, id: u32| match name {
            Some(name) => name.clone().into_bytes(),
            None => id.to_string().into_bytes(),
        };
        match letter {
            b'%' => b"%".to_vec(),
            b'(' => b"%(".to_vec(),
            b'[' => b"\x1b".to_vec(),
            b'b' => path_bytes(&facts.binary),
            b'v' => path_bytes(&facts.cwd),
            b'V' => env!("CARGO_PKG_VERSION").as_bytes().to_vec(),
            b'h' => facts.hostname.clone().into_bytes(),
            b't' => facts.seconds.to_string().into_bytes(),
            b'T' => facts.micros.to_string().into_bytes(),
            b'k' => facts.cpus.to_string().into_bytes(),
            b'u' => facts.uid.to_string().into_bytes(),
            b'U' => name_or(&facts.user, facts.uid),
            b'g' => facts.gid.to_string().into_bytes(),
            b'G' => name_or(&facts.group, facts.gid),
            b'0'..=b'9' => {
                let directory = directory(&self.absolute(self.file));
                directory
                    .split(|&byte| byte == b'/')
                    .skip(1)
                    .nth(usize::from(letter - b'0'))
                    .unwrap_or_default()
                    .to_vec()
            }
            letter if is_magic(letter) => {
                let file = if letter.is_ascii_uppercase() {
                    self.first
                } else {
                    self.file
                };
                self.file_value(letter.to_ascii_lowercase(), file)
            }
            _ => Vec::new(),
        }
    }

    fn file_value(&self, letter: u8, file: &FileFacts) -> Vec<u8> {
        let absolute = self.absolute(file);
        let base = absolute
            .iter()
            .rposition(|&byte| byte == b'/')
            .map_or(absolute.as_slice(), |slash| &absolute[slash + 1..]);
        let dot = base.iter().rposition(|&byte| byte == b'.');
        match letter {
            b'o' => path_bytes(&file.given),
            b'p' => absolute,
            b's' => base.to_vec(),
            b'd' => {
                let mut directory = directory(&absolute);
                directory.push(b'/');
                directory
            }
            b'n' => base[..dot.unwrap_or(base.len())].to_vec(),
            b'e' => dot.map_or(Vec::new(), |dot| base[dot + 1..].to_vec()),
            b'c' => {
                let directory = directory(&absolute);
                directory
                    .rsplit(|&byte| byte == b'/')
                    .next()
                    .unwrap_or_default()
                    .to_vec()
            }
            b'x' => file.section.clone().unwrap_or_default(),
            b'i' => file.inode.to_string().into_bytes(),
            // The original prints the bytes as they lie in memory.
            b'j' => {
                let [a, b, c, d] = djb33x(&absolute).to_le_bytes();
                format!("{a:02X}{b:02X}{c:02X}{d:02X}").into_bytes()
            }
            _ => Vec::new(),
        }
    }

    fn absolute(&self, file: &FileFacts) -> Vec<u8> {
        path_bytes(&self.facts.cwd.join(&file.path))
    }
}

impl Substituted {
    fn push(&mut self, byte: u8, line: u32) {
        self.bytes.push(byte);
        if byte == b'\n' {
            self.lines.push(line);
        }
    }
}

/// Every byte for which the original has a value.
fn is_magic(letter: u8) -> bool {
    b"cdeginopsjtuvxCDEGINOPSJTUVXbhk%([0123456789".contains(&letter)
}

/// Without the slash at its end.
fn directory(absolute: &[u8]) -> Vec<u8> {
    let slash = absolute.iter().rposition(|&byte| byte == b'/');
    absolute[..slash.unwrap_or(0)].to_vec()
}

fn path_bytes(path: &Path) -> Vec<u8> {
    path.as_os_str().as_encoded_bytes().to_vec()
}

/// The hash that uWSGI names files by (core/hash.c).
fn djb33x(bytes: &[u8]) -> u32 {
    bytes.iter().fold(5381, |hash: u32, &byte| {
        (hash << 5).wrapping_add(hash) ^ u32::from(byte)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn substitute(text: &str) -> Substituted {
        let facts = Facts {
            hostname: "web1".to_owned(),
            user: Some("root".to_owned()),
            cpus: 8,
            cwd: PathBuf::from("/srv/apps"),
            ..Facts::default()
        };
        let file = FileFacts {
            given: PathBuf::from("shop/blog.x.ini"),
            file: PathBuf::from("shop/blog.x.ini"),
            path: PathBuf::from("shop/blog.x.ini"),
            inode: 7,
            section: None,
        };
        Magic {
            facts: &facts,
            file: &file,
            first: &file,
        }
        .substitute(text.as_bytes())
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let found = substitute(text);
        assert_eq!(String::from_utf8_lossy(&found.bytes), expected);
        assert_eq!(found.swallowed, [], "{text}");
    }

    #[test]
    fn variables_speak_of_file_machine_and_process() {
        check(
            "%o %p %s",
            "shop/blog.x.ini /srv/apps/shop/blog.x.ini blog.x.ini",
        );
        check("%d|%n|%e|%c", "/srv/apps/shop/|blog.x|ini|shop");
        check("%0/%1/%2", "srv/apps/shop");
        check("%h %k %u %U %G %v %i", "web1 8 0 root 0 /srv/apps 7");
        check("%%Y %(x) 100%", "%Y %(x) 100%");
    }

    #[test]
    fn what_is_eaten_is_told_with_its_line_unless_it_is_a_comment() {
        let found = substitute("[a]\n# %Y\nb = p%40ss\nc = %Y%m\n");
        assert_eq!(found.bytes, b"[a]\n# \nb = p0ss\nc = \n");
        let letters: Vec<_> = found
            .swallowed
            .iter()
            .map(|swallowed| (swallowed.line, swallowed.letter))
            .collect();
        assert_eq!(letters, [(3, b'4'), (4, b'Y'), (4, b'm')]);
    }

    #[test]
    fn a_percent_at_the_end_of_a_line_joins_it_with_the_next_and_lines_keep_their_numbers() {
        let found = substitute("a\nb = 100%\nc = 1\nd = 2\n");
        assert_eq!(found.bytes, b"a\nb = 100c = 1\nd = 2\n");
        assert_eq!(found.lines, [1, 2, 4, 5]);
        assert_eq!(found.swallowed.len(), 1);
    }
}
