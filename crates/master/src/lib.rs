//! One app: its listening sockets, its generations and their workers. Runs no app code.

#![forbid(unsafe_code)]

mod app;
mod event;
mod generation;

/// The master of one app under an emperor: fd 3 is the channel, and says `Start` first.
pub fn run_under_emperor() -> i32 {
    1
}

/// The master of one app in the foreground; `resolve` are the arguments that name its config.
pub fn run_alone(resolve: Vec<String>) -> i32 {
    drop(resolve);
    1
}
