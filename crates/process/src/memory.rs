//! Memory that a process needed for its start only, or while it was awake.

use std::fs;

/// Lets go of what was read from files and is not needed now: code and constants of the start. What
/// is needed after all comes back from the page cache, page by page. Nothing is lost: a mapping
/// with one page that differs from its file is left alone. A process with threads keeps everything:
/// one of them could map something else meanwhile.
pub fn give_back() {
    let threads = fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    if threads != 1 {
        return;
    }
    let text = fs::read_to_string("/proc/self/smaps").unwrap_or_default();
    for (start, end) in clean_mappings(&text) {
        // SAFETY: all pages of this mapping are those of its file, so the next use reads the same.
        // This thread is the only one, and has mapped nothing there since it looked: what it
        // allocated is anonymous, and an address that is taken is not given out twice.
        let _ = unsafe {
            rustix::mm::madvise(
                std::ptr::without_provenance_mut(start),
                end - start,
                rustix::mm::Advice::LinuxDontNeed,
            )
        };
    }
}

/// [`give_back`], and what the allocator holds in reserve: for a process that only waits.
pub fn slim() {
    // SAFETY: malloc_trim(3) gives free memory back and touches nothing else.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0)
    };
    give_back();
}

/// Addresses of the private mappings of files that cannot be written and have no page of their own.
fn clean_mappings(smaps: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut mapping = None;
    for line in smaps.lines() {
        if let Some(addresses) = file_mapping(line) {
            mapping = addresses;
        } else if line == "Anonymous:             0 kB" {
            found.extend(mapping.take());
        }
    }
    found
}

/// `Some` for the first line of a mapping; inside it `None` for one that is not to be touched.
fn file_mapping(line: &str) -> Option<Option<(usize, usize)>> {
    // 7f00-7f01 r-xp 00001000 fe:01 1234   /usr/lib/libc.so.6
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let start = usize::from_str_radix(start, 16).ok()?;
    let end = usize::from_str_radix(end, 16).ok()?;
    let rights = fields.next()?;
    let is_file = fields.nth(3).is_some_and(|path| path.starts_with('/'));
    let is_clean = matches!(rights, "r-xp" | "r--p") && is_file;
    Some((is_clean && start < end).then_some((start, end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_clean_mappings_of_files_are_let_go() {
        let smaps = "\
10000-20000 r--p 00000000 fe:01 7      /usr/bin/app
Size:                  64 kB
Anonymous:             0 kB
20000-30000 r-xp 00010000 fe:01 7      /usr/bin/app
Anonymous:             0 kB
AnonHugePages:         0 kB
30000-40000 r--p 00020000 fe:01 7      /usr/bin/app
Anonymous:            16 kB
40000-50000 rw-p 00030000 fe:01 7      /usr/bin/app
Anonymous:             0 kB
50000-60000 r--s 00000000 00:01 9      /memfd:numbers (deleted)
Anonymous:             0 kB
60000-70000 r--p 00000000 00:00 0
Anonymous:             0 kB
70000-80000 r-xp 00000000 00:00 0      [vdso]
Anonymous:             0 kB
";
        assert_eq!(
            clean_mappings(smaps),
            [(0x10000, 0x20000), (0x20000, 0x30000)]
        );
    }

    #[test]
    fn a_process_that_gives_back_runs_on() {
        let constant = || "a text that stands in the file of this program".len();
        let before = constant();
        slim();
        assert_eq!(constant(), before);
        assert!(!clean_mappings(&fs::read_to_string("/proc/self/smaps").unwrap()).is_empty());
    }
}
