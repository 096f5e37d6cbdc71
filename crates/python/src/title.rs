//! The process title: `ps` shows `imperator: blog worker 1` instead of the interpreter's arguments.

use std::ffi::CString;

use imperator_core::message::Setup;
use imperator_core::settings::limits::Role;
use imperator_process::title::Area;

/// `uwsgi.setprocname`
pub(crate) fn overwrite(title: &str) {
    if let Some(area) = Area::of_arguments() {
        area.show(title.as_bytes());
    }
}

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
    // BOOT's whole text is among the arguments, which so are long enough for any name; the
    // interpreter copied them at its start and does not read them again.
    overwrite(&title);
    // The kernel cuts the name of a thread to 15 bytes.
    if let Ok(name) = CString::new(name) {
        // SAFETY: PR_SET_NAME reads a NUL-terminated string, which `name` is.
        unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
    }
}
