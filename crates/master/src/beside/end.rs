//! The end of what runs beside the app: after the last worker, so that a request that drains still
//! finds what it needs. Daemons and crons first, then the hooks of the end.

use std::path::Path;
use std::time::{Duration, Instant};

use imperator_core::settings::hooks::{Phase, Step};

use super::{Purpose, daemons};
use crate::effects::Effects;

pub(super) const ATEXIT: &str = "hook-as-user-atexit";
/// The end waits for nobody longer.
pub(super) const ATEXIT_LIMIT: Duration = Duration::from_secs(60);

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    #[default]
    No,
    Daemons,
    Atexit,
}

impl Effects {
    /// All workers are gone: goes on with the end; `true` when nothing is left.
    pub(crate) fn end_beside(&mut self, now: Instant) -> bool {
        if self.beside.end == Ending::No {
            self.beside.end = Ending::Daemons;
            self.beside.fifo.remove();
            self.beside.performing.retain_mut(|(it, purpose)| {
                let is_wanted = match purpose {
                    Purpose::Start(_) => false,
                    Purpose::Other(_) => true,
                };
                if is_wanted {
                    it.deadline = it.deadline.min(now + ATEXIT_LIMIT);
                } else {
                    it.kill();
                }
                is_wanted
            });
            self.daemons(daemons::Event::Stop, now);
            let actions = self.beside.crons.stop(self.beside.home.mercy, now);
            self.carry_out_crons(actions, now);
        }
        let are_gone = self.beside.daemons.is_done() && self.beside.crons.is_done();
        if self.beside.end == Ending::Daemons && are_gone {
            self.beside.end = Ending::Atexit;
            if self.beside.has_served {
                self.start_phase(ATEXIT, Phase::AsUserAtexit, now);
            }
        }
        let is_over = self.beside.end == Ending::Atexit && self.beside.performing.is_empty();
        if is_over {
            for path in std::mem::take(&mut self.beside.pidfiles) {
                crate::pidfile::remove(Some(&path));
            }
        }
        is_over
    }

    /// Nobody is waited for.
    pub(crate) fn end_beside_now(&mut self, now: Instant) {
        self.daemons(daemons::Event::StopNow, now);
        let actions = self.beside.crons.stop(Duration::ZERO, now);
        self.carry_out_crons(actions, now);
        if self.beside.end == Ending::Atexit {
            self.beside.performing.retain(|(it, _)| {
                it.kill();
                false
            });
        }
    }

    /// A generation that has served and whose last process is gone.
    pub(crate) fn retired(&mut self, steps: Vec<Step>, now: Instant) {
        self.start_job(ATEXIT, steps, now);
    }

    /// A generation begins to serve.
    pub(crate) fn begin_beside(&mut self, generation: u32, is_first: bool, now: Instant) {
        self.beside.has_served = true;
        let Some(ready) = self.generations.get(&generation) else {
            return;
        };
        let outside = &ready.settings.outside;
        let cwd = ready.cwd.clone();
        let safe: Vec<_> = outside
            .safe_pidfiles
            .iter()
            .map(|it| cwd.join(it))
            .collect();
        let early = outside.pidfile2.iter().map(|it| cwd.join(it));
        let all: Vec<_> = early.chain(safe.iter().cloned()).collect();
        let old = std::mem::replace(&mut self.beside.pidfiles, all);
        for path in old
            .iter()
            .filter(|path| !self.beside.pidfiles.contains(path))
        {
            crate::pidfile::remove(Some(path));
        }
        let fresh = safe.iter().filter(|path| is_first || !old.contains(path));
        let mut steps: Vec<Step> = fresh.map(|path| pid_step(path)).collect();
        steps.extend(self.beside.home.hooks.steps(&[Phase::MasterStart]));
        self.start_job("hook-master-start", steps, now);
    }

    /// `P`
    pub(crate) fn rewrite_pidfiles(&mut self, now: Instant) {
        let problem = self.pidfile.as_deref().map(crate::pidfile::write);
        if let Some(Err(problem)) = problem {
            self.note(problem);
        }
        let steps = self
            .beside
            .pidfiles
            .iter()
            .map(|path| pid_step(path))
            .collect();
        self.start_job("pidfile2", steps, now);
    }
}

fn pid_step(path: &Path) -> Step {
    Step::Pid {
        path: path.to_owned(),
        pid: std::process::id(),
    }
}
