//! Where a worker stands before it serves: its processors, its memory, its directory.

use std::io;

use imperator_core::settings::limits::Limits;

/// What goes wrong is told in words; a directory that is not there is the only thing that a worker
/// cannot do without.
pub(crate) fn take(
    limits: &Limits,
    worker: u32,
    note: &mut dyn FnMut(String),
) -> Result<(), String> {
    if let Some(count) = limits.cpu_affinity {
        match bind(worker, count) {
            Ok(processors) => {
                let shown: Vec<_> = processors.iter().map(ToString::to_string).collect();
                crate::log::line(&format!(
                    "mapping worker {worker} to CPUs: {}",
                    shown.join(" ")
                ));
            }
            Err(error) => note(format!("cpu-affinity = {count} has no effect: {error}")),
        }
    }
    if limits.never_swap {
        // SAFETY: plain system call on this very process.
        let locked = unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE) };
        if locked != 0 {
            let error = io::Error::last_os_error();
            note(format!("never-swap has no effect: {error}"));
        }
    }
    match &limits.chdir2 {
        Some(path) => std::env::set_current_dir(path).map_err(|error| {
            format!(
                "chdir2: cannot change into directory {}: {error}",
                path.display()
            )
        }),
        None => Ok(()),
    }
}

/// As the original shares them out: worker 1 gets the first ones, and after the last one it goes on
/// with the first.
fn processors(worker: u32, count: u32, all: usize) -> Vec<usize> {
    let count = usize::try_from(count).unwrap_or(usize::MAX).min(all.max(1));
    let first = usize::try_from(worker.saturating_sub(1)).unwrap_or(0) * count;
    (first..first + count).map(|it| it % all.max(1)).collect()
}

fn bind(worker: u32, count: u32) -> io::Result<Vec<usize>> {
    // SAFETY: reads a number of the system.
    let all = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
    let processors = processors(worker, count, usize::try_from(all).unwrap_or(1));
    // SAFETY: a set of bits, for which all zeroes is the empty one.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for &processor in processors
        .iter()
        .filter(|&&it| it < libc::CPU_SETSIZE as usize)
    {
        // SAFETY: the number is below the set's size.
        unsafe { libc::CPU_SET(processor, &mut set) };
    }
    // SAFETY: `set` is valid for the size that is told; 0 is this thread, and those it will start.
    let bound = unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set) };
    match bound {
        0 => Ok(processors),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_shared_out_in_turn() {
        assert_eq!(processors(1, 1, 4), [0]);
        assert_eq!(processors(5, 1, 4), [0]);
        assert_eq!(processors(2, 3, 4), [3, 0, 1]);
        assert_eq!(processors(1, 9, 2), [0, 1]);
    }
}
