//! Gives back memory that a process which only waits does not need.

use std::fs;

/// Frees what the allocator holds back, and lets go of the pages of program text: the kernel brings
/// those back that are needed again. Tells how many bytes of text were let go.
pub fn slim() -> usize {
    // SAFETY: malloc_trim(3) gives free memory back and touches nothing else.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0)
    };
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let mut freed = 0;
    for (start, length) in text(&maps) {
        let address = std::ptr::with_exposed_provenance_mut::<libc::c_void>(start);
        // SAFETY: these are private mappings of files that nobody has written to, neither program nor
        // loader: what is dropped is read again from the file when it is used, this very code too.
        if unsafe { libc::madvise(address, length, libc::MADV_DONTNEED) } == 0 {
            freed += length;
        }
    }
    freed
}

/// Executable mappings of files, and the beginnings of the same files right before them, which hold
/// constants: where they begin, and how long they are. What the loader writes to (relocations) lies
/// behind the code, and is left alone.
fn text(maps: &str) -> Vec<(usize, usize)> {
    let mappings: Vec<_> = maps.lines().filter_map(Mapping::of).collect();
    let mut found = Vec::new();
    for (index, it) in mappings.iter().enumerate() {
        if it.rights != "r-xp" || it.inode == "0" {
            continue;
        }
        let before = index.checked_sub(1).and_then(|index| mappings.get(index));
        let head = before.filter(|head| {
            let is_its_head = head.inode == it.inode && head.end == it.start;
            is_its_head && head.rights == "r--p" && head.offset.bytes().all(|byte| byte == b'0')
        });
        found.extend(head.map(|head| (head.start, head.end - head.start)));
        found.push((it.start, it.end - it.start));
    }
    found
}

/// A line of /proc/PID/maps.
struct Mapping<'a> {
    start: usize,
    end: usize,
    rights: &'a str,
    offset: &'a str,
    inode: &'a str,
}

impl<'a> Mapping<'a> {
    fn of(line: &'a str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let start = usize::from_str_radix(start, 16).ok()?;
        let end = usize::from_str_radix(end, 16).ok()?;
        let (rights, offset, inode) = (words.next()?, words.next()?, words.nth(1)?);
        (start < end).then_some(Self {
            start,
            end,
            rights,
            offset,
            inode,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_text_of_files_is_let_go() {
        let maps = "\
1000-3000 r--p 00000000 fe:00 77 /usr/bin/x
3000-8000 r-xp 00002000 fe:00 77 /usr/bin/x
8000-9000 r--p 00007000 fe:00 77 /usr/bin/x
9000-a000 rw-p 00008000 fe:00 77 /usr/bin/x
b000-c000 r-xp 00000000 00:00 0 [vdso]
c000-d000 rwxp 00000000 fe:00 78 /usr/lib/odd.so
";
        assert_eq!(text(maps), [(0x1000, 0x2000), (0x3000, 0x5000)]);
    }

    #[test]
    fn a_process_goes_on_after_it() {
        assert!(slim() > 0);
        let text = format!("{:?}", vec![1, 2, 3]);
        assert_eq!(text, "[1, 2, 3]");
    }
}
