//! uWSGI's rules for one line of an ini file (core/ini.c), on bytes. Nothing is joined, unquoted or
//! unescaped, and a comment starts only at the start of a line.

/// What one line of an ini file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line<'a> {
    /// Empty or a comment.
    Nothing,
    /// The text between `[` and the last byte of the line, whatever that byte is: `[uwsgi] ; c` is
    /// the section `uwsgi] ; `.
    Section(&'a [u8]),
    /// A line without `=` is a key with an empty value.
    Option { key: &'a [u8], value: &'a [u8] },
}

/// Reads one line, given without its `\n`. A NUL ends it, as it ends a string in C.
pub fn read(line: &[u8]) -> Line<'_> {
    let line = match line.iter().position(|&byte| byte == 0) {
        Some(end) => &line[..end],
        None => line,
    };
    let line = strip(line);
    match line.split_first() {
        None | Some((b';' | b'#', _)) => Line::Nothing,
        Some((b'[', rest)) => Line::Section(rest.split_last().map_or(rest, |(_, name)| name)),
        Some(_) => match line.iter().position(|&byte| byte == b'=') {
            Some(at) => Line::Option {
                key: strip(&line[..at]),
                value: strip(&line[at + 1..]),
            },
            None => Line::Option {
                key: line,
                value: b"",
            },
        },
    }
}

/// Cuts the three bytes that uWSGI takes for blanks from both ends.
fn strip(mut text: &[u8]) -> &[u8] {
    while let Some((b' ' | b'\t' | b'\r', rest)) = text.split_first() {
        text = rest;
    }
    while let Some((b' ' | b'\t' | b'\r', rest)) = text.split_last() {
        text = rest;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_the_original_reads_them() {
        let option = |key: &'static str, value: &'static str| Line::Option {
            key: key.as_bytes(),
            value: value.as_bytes(),
        };
        assert_eq!(read(b"  \t\r"), Line::Nothing);
        assert_eq!(read(b"  # a = b"), Line::Nothing);
        assert_eq!(read(b"[uwsgi]\r"), Line::Section(b"uwsgi"));
        assert_eq!(read(b"[uwsgi] ; c"), Line::Section(b"uwsgi] ; "));
        assert_eq!(read(b"["), Line::Section(b""));
        assert_eq!(read(b"master"), option("master", ""));
        assert_eq!(read(b"= x"), option("", "x"));
        assert_eq!(read(b" a b = c=d ; e "), option("a b", "c=d ; e"));
        assert_eq!(read(b"a = x\0y"), option("a", "x"));
    }
}
