//! This process's memory, as /proc/self/statm tells it, for reload-on-rss and memory-report.

use std::fs::File;
use std::os::unix::fs::FileExt;

/// Bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Usage {
    pub(crate) virtual_size: u64,
    pub(crate) rss: u64,
}

/// The open file: one pread(2) per look. It belongs to the process that opened it.
#[derive(Debug)]
pub(crate) struct Memory {
    statm: Option<File>,
}

impl Memory {
    pub(crate) fn open() -> Self {
        Self {
            statm: File::open("/proc/self/statm").ok(),
        }
    }

    /// Zeroes where /proc is not mounted, as the original.
    pub(crate) fn read(&self) -> Usage {
        let mut bytes = [0; 128];
        let read = self
            .statm
            .as_ref()
            .and_then(|statm| statm.read_at(&mut bytes, 0).ok())
            .unwrap_or(0);
        parse(&bytes[..read], rustix::param::page_size() as u64)
    }
}

/// "size resident …" in pages.
fn parse(text: &[u8], page: u64) -> Usage {
    let mut pages = text
        .split(|&byte| byte == b' ')
        .map(|number| std::str::from_utf8(number).ok()?.parse::<u64>().ok());
    let mut next = || pages.next().flatten().unwrap_or(0) * page;
    Usage {
        virtual_size: next(),
        rss: next(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statm_counts_pages() {
        let usage = parse(b"1000 20 5 1 0 30 0\n", 4096);
        assert_eq!((usage.virtual_size, usage.rss), (4_096_000, 81_920));
        assert_eq!(parse(b"", 4096), Usage::default());
        assert!(Memory::open().read().rss > 0);
    }
}
