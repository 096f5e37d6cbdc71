//! Bytes from a pipe become whole lines. Pure.

/// A longer line is passed on in pieces of this size.
pub(crate) const MAX_LINE: usize = 64 * 1024;

#[derive(Debug, Default)]
pub(crate) struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// Calls `line` for each line that is complete now, without its end.
    pub(crate) fn push(&mut self, mut bytes: &[u8], mut line: impl FnMut(&[u8])) {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            let (head, rest) = bytes.split_at(end);
            if self.partial.is_empty() {
                head.chunks(MAX_LINE).for_each(&mut line);
                if head.is_empty() {
                    line(head);
                }
            } else {
                self.extend(head, &mut line);
                line(&self.partial);
                self.partial.clear();
            }
            bytes = &rest[1..];
        }
        self.extend(bytes, &mut line);
    }

    fn extend(&mut self, mut bytes: &[u8], line: &mut impl FnMut(&[u8])) {
        loop {
            let room = MAX_LINE - self.partial.len();
            if bytes.len() < room {
                self.partial.extend_from_slice(bytes);
                return;
            }
            let (head, rest) = bytes.split_at(room);
            self.partial.extend_from_slice(head);
            line(&self.partial);
            self.partial.clear();
            bytes = rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(pieces: &[&[u8]]) -> Vec<String> {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        let mut keep = |line: &[u8]| found.push(String::from_utf8_lossy(line).into_owned());
        for piece in pieces {
            lines.push(piece, &mut keep);
        }
        found
    }

    #[test]
    fn pieces_become_lines() {
        assert_eq!(split(&[b"a\nb", b"c\n", b"\nd\n"]), ["a", "bc", "", "d"]);
    }

    #[test]
    fn an_endless_line_is_passed_on_in_bounded_pieces() {
        let flood = vec![b'x'; 3 * MAX_LINE + 5];
        let found = split(&[&flood[..100], &flood[100..], b"\n"]);
        let lengths: Vec<_> = found.iter().map(String::len).collect();
        assert_eq!(lengths, [MAX_LINE, MAX_LINE, MAX_LINE, 5]);
    }
}
