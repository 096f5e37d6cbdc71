//! Tells alarms: by a line in the log, or by a command that reads the message.

use std::os::fd::AsFd;

use imperator_core::settings::alarms::Way;
use imperator_process::reap::End;

use crate::alarms::Raised;
use crate::clock;
use crate::effects::Effects;

/// Commands that tell at one time; what is raised beside them is only logged.
const MAX_RUNNING: usize = 16;
/// A pipe takes this much without a reader (pipe(7)).
const MAX_MESSAGE: usize = 16 * 1024;

impl Effects {
    /// Tells what was raised since the last call.
    pub(crate) fn tell_alarms(&mut self) {
        for raised in std::mem::take(&mut self.log.alarms.raised) {
            let Raised { name, way, message } = raised;
            match way {
                Way::Log => self.log.note(&format!("ALARM: {message}")),
                Way::Command(_) if self.log.alarms.running.len() >= MAX_RUNNING => {
                    let text = format!(
                        "alarm \"{name}\" is not told, {MAX_RUNNING} others are being told: {message}"
                    );
                    self.log.note(&text);
                }
                Way::Command(command) => {
                    if let Err(why) = self.run_alarm(&command, &message) {
                        self.note(format!("alarm \"{name}\" cannot run \"{command}\": {why}"));
                    }
                }
            }
        }
    }

    fn run_alarm(&mut self, command: &str, message: &str) -> Result<(), String> {
        let (read, write) =
            nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).map_err(|error| error.to_string())?;
        let message = &message.as_bytes()[..message.len().min(MAX_MESSAGE)];
        let mut text = message.to_vec();
        text.push(b'\n');
        nix::unistd::write(&write, &text).map_err(|error| error.to_string())?;
        drop(write);
        let pid = self.spawn_reader(command, read.as_fd())?;
        self.helpers.insert(pid);
        self.log.alarms.running.insert(pid);
        Ok(())
    }

    /// A worker ended by itself: by a signal that is sent for a fault, the app is told of.
    pub(crate) fn note_crash(&mut self, pid: i32, end: End) {
        let fault = matches!(
            end,
            End::Signal(
                nix::libc::SIGSEGV
                    | nix::libc::SIGBUS
                    | nix::libc::SIGFPE
                    | nix::libc::SIGILL
                    | nix::libc::SIGABRT
                    | nix::libc::SIGSYS
            )
        );
        if !fault || !self.log.alarms.watches_crashes() {
            return;
        }
        let child = self.children.values().find(|child| child.pid == Some(pid));
        if let Some(worker) = child.and_then(|child| child.worker) {
            let name = &self.origin.name;
            let text = format!("{name}: worker {worker} (pid {pid}) crashed: {end}");
            self.log.alarms.crash(&text, clock::now());
        }
    }

    /// Once a second.
    pub(crate) fn look_for_full_queues(&mut self) {
        if !self.log.alarms.watches_backlog() {
            return;
        }
        let now = clock::now();
        let limit = self.queue_limit().unwrap_or(0);
        let mut full = Vec::new();
        for (address, listener) in self.sockets.iter() {
            if let Some(waiting) = self.kernel.waiting(listener).filter(|&it| it >= limit) {
                full.push(format!(
                    "*** listen queue of socket \"{address}\" full !!! ({waiting}/{limit}) ***"
                ));
            }
        }
        for text in full {
            self.log.note(&text);
            self.log.alarms.backlog(&text, now);
        }
    }
}
