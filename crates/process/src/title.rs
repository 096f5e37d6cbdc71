//! What `ps` shows of this process: the text over its arguments and, where they are too short, over
//! its environment, as setproctitle(3) does it.

use std::fs;

/// Where the kernel reads a process's arguments.
#[derive(Debug, Clone, Copy)]
pub struct Area {
    start: usize,
    end: usize,
}

impl Area {
    /// The arguments alone. Whoever reads them later, reads the title.
    pub fn of_arguments() -> Option<Self> {
        let [start, end, _, _] = borders()?;
        (end > start).then_some(Self { start, end })
    }

    /// Arguments and environment; the environment moves to other memory first. A process with
    /// other threads, which may read their environment now, gets its arguments alone.
    pub fn with_environment() -> Option<Self> {
        let [start, arguments_end, environment_start, end] = borders()?;
        let is_one = arguments_end > start && environment_start == arguments_end;
        let threads = fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
        if !is_one || end <= arguments_end || threads != 1 {
            return Self::of_arguments();
        }
        for (key, value) in std::env::vars_os() {
            #[expect(
                clippy::disallowed_methods,
                reason = "no value changes, only the memory that holds it"
            )]
            // SAFETY: this is the only thread, see above. libc copies the text.
            unsafe {
                std::env::set_var(key, value);
            }
        }
        Some(Self { start, end })
    }

    /// Shows this title; what does not fit is cut. Where it reaches over the arguments' end, the
    /// kernel reads on into what was the environment.
    pub fn show(self, title: &[u8]) {
        let length = self.end - self.start;
        let area = self.start as *mut u8;
        let shown = title.len().min(length - 1);
        // SAFETY: the kernel says that this process's argument (and environment) strings are here:
        // writable stack memory that nobody reads again, see the constructors.
        unsafe { area.write_bytes(0, length) };
        // SAFETY: as above, and `shown` is below the area's length.
        unsafe { area.copy_from_nonoverlapping(title.as_ptr(), shown) };
    }
}

/// `arg_start`, `arg_end`, `env_start` and `env_end`, fields 48 to 51 of proc(5) stat. The command
/// name before them is in brackets and may hold anything.
fn borders() -> Option<[usize; 4]> {
    let stat = fs::read("/proc/self/stat").ok()?;
    let stat = String::from_utf8_lossy(&stat).into_owned();
    let (_, fields) = stat.rsplit_once(')')?;
    // The first field after the name is the third.
    let mut fields = fields.split_ascii_whitespace().skip(48 - 3);
    let mut next = || fields.next()?.parse().ok();
    let borders = [next()?, next()?, next()?, next()?];
    (borders[0] != 0).then_some(borders)
}
