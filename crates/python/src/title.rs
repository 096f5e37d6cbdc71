//! The process title: `ps` shows `imperator: blog worker 1` instead of the interpreter's arguments.

use std::ffi::CString;
use std::fs;

use imperator_core::message::Setup;
use imperator_core::settings::limits::Role;

/// Names this process after its app and role, where `auto-procname` allows it.
pub(crate) fn set(setup: &Setup) {
    let titles = &setup.settings.titles;
    if !setup.settings.auto_procname && !titles.is_named() {
        return;
    }
    let (role, name) = match setup.worker {
        Some(worker) => (Role::Worker(worker), format!("w{worker}:{}", setup.name)),
        None => (Role::Mold, format!("mold:{}", setup.name)),
    };
    let title = titles.title(&setup.name, role);
    overwrite_arguments(title.as_bytes());
    // The kernel cuts the name of a thread to 15 bytes.
    if let Ok(name) = CString::new(name) {
        // SAFETY: PR_SET_NAME reads a NUL-terminated string, which `name` is.
        unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
    }
}

/// Writes `title` over the argument strings, which hold BOOT's whole text and so are long enough
/// for any name; the rest becomes NUL, which `ps` does not show.
fn overwrite_arguments(title: &[u8]) {
    let Some((start, end)) = argument_area() else {
        return;
    };
    let length = end.saturating_sub(start);
    if length < 2 {
        return;
    }
    let area = start as *mut u8;
    let shown = title.len().min(length - 1);
    // SAFETY: the kernel says that this process's argument strings are at `start..end`: writable
    // stack memory that the interpreter copied at its start and does not read again.
    unsafe { area.write_bytes(0, length) };
    // SAFETY: as above, and `shown` is below the area's length.
    unsafe { area.copy_from_nonoverlapping(title.as_ptr(), shown) };
}

/// `arg_start` and `arg_end`, fields 48 and 49 of proc(5) stat. The command name before them is
/// in brackets and may hold anything.
fn argument_area() -> Option<(usize, usize)> {
    let stat = fs::read("/proc/self/stat").ok()?;
    let stat = String::from_utf8_lossy(&stat).into_owned();
    let (_, fields) = stat.rsplit_once(')')?;
    // The first field after the name is the third.
    let mut fields = fields.split_ascii_whitespace().skip(48 - 3);
    let start = fields.next()?.parse().ok()?;
    let end = fields.next()?.parse().ok()?;
    (start != 0 && end > start).then_some((start, end))
}
