//! What an emperor holds, as the numbers that its successor in the same process finds.

use std::os::fd::BorrowedFd;
use std::time::Instant;

use imperator_process::channel::Channel;
use imperator_process::estate::Estate;
use tracing::warn;

use super::{ADOPT, Effects, Kept, Master, keeping, say};
use crate::upgrade::{KeptState, MasterState, number};

impl Effects {
    /// Masters, those that retired, and what is kept of the apps; their descriptors go to `fds`.
    pub fn hand_over<'a>(
        &'a self,
        fds: &mut Vec<BorrowedFd<'a>>,
    ) -> (Vec<MasterState>, Vec<MasterState>, Vec<KeptState>) {
        let mut state = |name: &str, master: &'a Master| MasterState {
            name: name.to_owned(),
            pid: master.pid,
            channel: number(fds, &master.channel),
            pidfd: master.pidfd.as_ref().map(|it| number(fds, it)),
        };
        let living = self.masters.iter().filter(|(_, master)| !master.hung_up);
        let masters = living.map(|(name, master)| state(name, master)).collect();
        let retired = self.retired.values();
        let retired = retired.map(|(name, master)| state(name, master)).collect();
        let kept = self.kept.iter().map(|(name, kept)| {
            let listeners = kept.listeners.iter();
            KeptState {
                name: name.clone(),
                listeners: listeners
                    .map(|(held, fd)| (held.clone(), number(fds, fd)))
                    .collect(),
                logs: kept
                    .logs
                    .as_ref()
                    .map(|(log, requests)| (number(fds, log), number(fds, requests))),
                last_generation: kept.last_generation,
                owner: kept.owner.clone(),
                status: kept.status.clone(),
                death: kept.death.clone(),
                stopped: kept.stopped.clone(),
            }
        });
        (masters, retired, kept.collect())
    }

    pub fn resume_kept(&mut self, state: KeptState, estate: &mut Estate) {
        let listeners = state.listeners.into_iter();
        let listeners: Vec<_> = listeners
            .filter_map(|(held, fd)| Some((held, estate.fd(fd)?)))
            .collect();
        let logs = state.logs;
        let logs = logs.and_then(|(log, requests)| Some((estate.fd(log)?, estate.fd(requests)?)));
        let kept = Kept {
            files: keeping::files(&listeners),
            listeners,
            logs,
            last_generation: state.last_generation,
            owner: state.owner,
            status: state.status,
            death: state.death,
            stopped: state.stopped,
        };
        self.kept.insert(state.name, kept);
    }

    /// `false`: its channel was not handed over.
    pub fn resume_master(&mut self, state: MasterState, estate: &mut Estate, now: Instant) -> bool {
        let name = state.name.clone();
        let Some(mut master) = resumed(state, estate, now) else {
            return false;
        };
        say(&name, &mut master, ADOPT);
        self.masters.insert(name, master);
        true
    }

    /// As above, of a master that another one has succeeded.
    pub fn resume_retired(
        &mut self,
        state: MasterState,
        estate: &mut Estate,
        now: Instant,
    ) -> bool {
        let (name, pid) = (state.name.clone(), state.pid);
        let master = resumed(state, estate, now);
        let is_there = master.is_some();
        if let Some(master) = master {
            self.retired.insert(pid, (name, master));
        }
        is_there
    }
}

fn resumed(state: MasterState, estate: &mut Estate, now: Instant) -> Option<Master> {
    let Some(channel) = estate.fd(state.channel) else {
        warn!(
            "[emperor] {}: the channel of its master (pid {}) was not handed over",
            state.name, state.pid
        );
        return None;
    };
    let pidfd = state.pidfd.and_then(|fd| estate.fd(fd));
    Some(Master::new(state.pid, Channel::from(channel), pidfd, now))
}
