//! The memory of a group of processes, whoever else maps the same files. The kernel's PSS divides a page
//! among all who map it, strangers included: another server on the machine makes it smaller. Here each
//! page that one of the group has in memory counts once, and nobody else is looked at.

use std::collections::HashSet;
use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::cpu;

/// The unit of pagemap(5), also of larger pages.
const PAGE: u64 = 4096;
/// Entries that are read at once.
const PART: u64 = 8192;
const ENTRY: u64 = 8;
/// Bits of an entry: the page is in memory; the number of its frame.
const PRESENT: u64 = 1 << 63;
const FRAME: u64 = (1 << 55) - 1;

/// What was found of a group's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    pub bytes: u64,
    /// Strangers do not change it. `false`: the kernel tells frames to root only, and this is the sum of
    /// its own PSS.
    pub is_exact: bool,
}

/// The memory of `roots` and everything below them.
pub fn of_trees(roots: &[i32]) -> Memory {
    let pids = cpu::pids_of_trees(roots);
    match of_group(&pids) {
        Some(bytes) => Memory {
            bytes,
            is_exact: true,
        },
        None => Memory {
            bytes: pids.into_iter().map(cpu::memory_of).sum(),
            is_exact: false,
        },
    }
}

/// Whether this process is told which frames others have.
pub fn is_told() -> bool {
    of_group(&[i32::try_from(std::process::id()).unwrap_or_default()]).is_some()
}

/// `None`: the kernel does not say. Processes that end meanwhile count for what was read of them.
fn of_group(pids: &[i32]) -> Option<u64> {
    let mut frames = Frames::default();
    for pid in pids {
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
        let Ok(pagemap) = File::open(format!("/proc/{pid}/pagemap")) else {
            continue;
        };
        for (start, end) in maps.lines().filter_map(mapping) {
            let mut at = start / PAGE;
            while at < end / PAGE {
                let count = PART.min(end / PAGE - at);
                let mut bytes = vec![0; usize::try_from(count * ENTRY).ok()?];
                let Ok(read) = pagemap.read_at(&mut bytes, at * ENTRY) else {
                    break;
                };
                frames.add(&bytes[..read]);
                at += count;
            }
        }
    }
    frames.bytes()
}

/// The frames that were seen.
#[derive(Debug, Default)]
struct Frames {
    seen: HashSet<u64>,
    /// One was in memory without a number: whoever asks may not know.
    is_hidden: bool,
}

impl Frames {
    /// Takes in entries as pagemap(5) has them.
    fn add(&mut self, entries: &[u8]) {
        for entry in entries.chunks_exact(8) {
            let entry = entry
                .iter()
                .rev()
                .fold(0, |all, byte| all << 8 | u64::from(*byte));
            if entry & PRESENT == 0 {
                continue;
            }
            match entry & FRAME {
                0 => self.is_hidden = true,
                frame => {
                    self.seen.insert(frame);
                }
            }
        }
    }

    fn bytes(&self) -> Option<u64> {
        (!self.is_hidden).then_some(self.seen.len() as u64 * PAGE)
    }
}

/// First and last address of a line of /proc/PID/maps; not of what the kernel lends to everybody.
fn mapping(line: &str) -> Option<(u64, u64)> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let is_kernels = fields.nth(4).is_some_and(|path| path.starts_with("[v"));
    let address = |text| u64::from_str_radix(text, 16).ok();
    (!is_kernels).then_some((address(start)?, address(end)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_several_processes_counts_once() {
        let entries =
            |all: &[u64]| -> Vec<u8> { all.iter().flat_map(|entry| entry.to_le_bytes()).collect() };
        let soft_dirty = 1 << 55;
        let swapped = 1 << 62 | 99;
        let mut frames = Frames::default();
        frames.add(&entries(&[
            PRESENT | 7,
            0,
            PRESENT | soft_dirty | 8,
            swapped,
        ]));
        frames.add(&entries(&[PRESENT | 8, PRESENT | 9, PRESENT | 7 | 1 << 61]));
        assert_eq!(frames.bytes(), Some(3 * PAGE));
        frames.add(&entries(&[PRESENT]));
        assert_eq!(frames.bytes(), None);
    }

    #[test]
    fn mappings_are_read_and_those_of_the_kernel_left_out() {
        let all = "\
7f00000000-7f00003000 r-xp 00001000 fe:01 1234   /usr/lib/libc.so.6
7f00004000-7f00005000 rw-p 00000000 00:00 0
7ffd00000000-7ffd00001000 r--p 00000000 00:00 0  [vvar]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]
";
        let found: Vec<_> = all.lines().filter_map(mapping).collect();
        assert_eq!(
            found,
            [
                (0x7f_0000_0000, 0x7f_0000_3000),
                (0x7f_0000_4000, 0x7f_0000_5000)
            ]
        );
    }

    /// The same program twice: the pages of its file are in both, and each of them alone has as many
    /// as without the other.
    #[test]
    fn strangers_change_nothing() {
        let start = || {
            let mut child = std::process::Command::new("/bin/cat")
                .stdin(std::process::Stdio::piped())
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            // It reads and writes now, so it is all there.
            use std::io::{Read, Write};
            child.stdin.as_mut().unwrap().write_all(b"x").unwrap();
            let mut answer = [0];
            child
                .stdout
                .as_mut()
                .unwrap()
                .read_exact(&mut answer)
                .unwrap();
            child
        };
        let end = |mut child: std::process::Child| {
            drop(child.stdin.take());
            child.wait().unwrap();
        };
        let pid = |child: &std::process::Child| i32::try_from(child.id()).unwrap();
        let first = start();
        let alone = of_group(&[pid(&first)]);
        let second = start();
        let beside = of_group(&[pid(&first)]);
        let both = of_group(&[pid(&first), pid(&second)]);
        let other = of_group(&[pid(&second)]);
        end(first);
        end(second);
        // Only root is told frames.
        assert_eq!(alone.is_some(), is_told());
        let (Some(alone), Some(beside)) = (alone, beside) else {
            return;
        };
        // What it does meanwhile may move a page, not a tenth of them.
        assert!(alone.abs_diff(beside) < alone / 10, "{alone}, {beside}");
        assert!(both.unwrap() < alone + other.unwrap(), "libc counts once");
    }
}
