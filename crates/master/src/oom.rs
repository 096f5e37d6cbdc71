//! While an app is loaded, its process is what the kernel shall kill first when memory runs out:
//! not the generation that serves.

use std::fs;

/// How much more likely: 1000 would be all of the machine's memory.
const MORE: i32 = 500;
const MOST: i32 = 1000;

/// Our own value, which every process of ours inherits.
fn own() -> Option<i32> {
    let text = fs::read_to_string("/proc/self/oom_score_adj").ok()?;
    text.trim().parse().ok()
}

/// Before the app is imported. Tells whether anything was changed: any process may raise its own
/// value and its children's; where /proc is closed to us, all stays as it was.
pub(crate) fn raise(pid: i32) -> bool {
    own().is_some_and(|own| own < MOST && write(pid, (own + MORE).min(MOST)))
}

/// The process is ready. Without root this goes as far down as it was before the raise.
pub(crate) fn calm(pid: i32) -> bool {
    own().is_some_and(|own| write(pid, own))
}

fn write(pid: i32, value: i32) -> bool {
    fs::write(format!("/proc/{pid}/oom_score_adj"), value.to_string()).is_ok()
}
