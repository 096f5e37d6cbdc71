//! The part of a file that a client asks for (`honour-range`). Pure.

/// What a Range header comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Whole,
    /// The first byte, and how many.
    Bytes {
        from: u64,
        length: u64,
    },
    /// Nothing of the file is asked for: 416.
    Nothing,
}

/// The first range of the header, as the original reads it; the other ones are not looked at.
pub(super) fn part(header: &[u8], size: u64) -> Part {
    if header.is_empty() {
        return Part::Whole;
    }
    let first = header.split(|&byte| byte == b',').next().unwrap_or(header);
    let range = first
        .strip_prefix(b"bytes=")
        .and_then(|range| std::str::from_utf8(range).ok())
        .and_then(|range| range.split_once('-'));
    let Some((from, to)) = range else {
        return Part::Nothing;
    };
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().unwrap_or(u64::MAX))
    };
    let last = size.saturating_sub(1);
    let (from, to) = match (from, number(from), number(to.trim())) {
        // The last so many bytes.
        ("", _, Some(length @ 1..)) => (size.saturating_sub(length), last),
        (_, Some(from), None) if to.trim().is_empty() => (from, last),
        (_, Some(from), Some(to)) if from <= to => (from, to.min(last)),
        (_, _, _) => return Part::Nothing,
    };
    match (from, to) {
        _ if size == 0 || from > to => Part::Nothing,
        (0, to) if to == last => Part::Whole,
        (from, to) => Part::Bytes {
            from,
            length: to - from + 1,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_bounded_by_the_file() {
        let bytes = |from, length| Part::Bytes { from, length };
        for (header, expected) in [
            ("", Part::Whole),
            ("bytes=0-3", bytes(0, 4)),
            ("bytes=4-", bytes(4, 6)),
            ("bytes=-3", bytes(7, 3)),
            ("bytes=-30", Part::Whole),
            ("bytes=0-", Part::Whole),
            ("bytes=0-99", Part::Whole),
            ("bytes=8-99", bytes(8, 2)),
            ("bytes=2-3,5-6", bytes(2, 2)),
            ("bytes=10-", Part::Nothing),
            ("bytes=5-4", Part::Nothing),
            ("bytes=-0", Part::Nothing),
            ("bytes=-", Part::Nothing),
            ("bytes=a-b", Part::Nothing),
            ("bytes=1-x", Part::Nothing),
            ("lines=1-2", Part::Nothing),
            ("bytes=99999999999999999999-", Part::Nothing),
        ] {
            assert_eq!(part(header.as_bytes(), 10), expected, "{header}");
        }
        assert_eq!(part(b"bytes=0-", 0), Part::Nothing);
    }
}
