//! Decides about attached daemons: when each starts, is told to end, is killed. Pure: the edge
//! feeds events and carries out actions.
//!
//! A plain daemon is known by its pid. A smart one is known by its pidfile, which is looked at once
//! a second; it outlives reloads and the app, as in the original.

mod entry;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use imperator_core::settings::daemons::Daemon;
use imperator_process::reap::End;

use self::entry::{Entry, State};

/// A daemon that ended before this age is started again with a growing delay (uWSGI: 3 s).
const EARLY: Duration = Duration::from_secs(3);
/// Between two looks at a pidfile.
const LOOK: Duration = Duration::from_secs(1);
/// SIGHUP: what a notified daemon hears of a reload without `reloadsignal`.
const HUP: i32 = 1;
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct DaemonId(pub u64);

#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// These are the daemons of the generation that begins to serve.
    Configure {
        daemons: Vec<Daemon>,
        mercy: Duration,
        /// Those that run are started anew, as the original does at a reload.
        anew: bool,
    },
    /// Answers `Spawn`.
    Spawned {
        id: DaemonId,
        pid: i32,
    },
    SpawnFailed {
        id: DaemonId,
        why: String,
    },
    Exited {
        pid: i32,
        end: End,
    },
    /// Answers `Look`: the living process that the pidfile names.
    Seen {
        id: DaemonId,
        pid: Option<i32>,
    },
    /// One of its files was touched.
    Touched {
        id: DaemonId,
    },
    Stop,
    StopNow,
    Tick,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    Spawn {
        id: DaemonId,
    },
    /// To the group of a child of ours.
    Signal {
        pid: i32,
        signal: i32,
    },
    /// To a process that only a pidfile names.
    Notify {
        id: DaemonId,
        pid: i32,
        signal: i32,
    },
    Look {
        id: DaemonId,
    },
    /// A daemon that controls the app has ended.
    StopApp {
        command: String,
    },
    Note(String),
}

/// Invariants, checked after every step in debug builds: a pid stands in one entry; whatever is
/// leaving or killed has a deadline; a retired plain entry that does not live is gone.
#[derive(Debug, Default)]
pub(crate) struct Daemons {
    entries: BTreeMap<DaemonId, Entry>,
    last: u64,
    mercy: Duration,
    stopping: bool,
}

impl Daemons {
    /// Total: every event is legal in every state.
    pub(crate) fn step(&mut self, event: Event, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Configure {
                daemons,
                mercy,
                anew,
            } if !self.stopping => {
                self.mercy = mercy;
                self.configure(daemons, anew, now, &mut actions);
            }
            Event::Configure { .. } => (),
            Event::Spawned { id, pid } => self.spawned(id, pid, now, &mut actions),
            Event::SpawnFailed { id, why } => {
                if let Some(entry) = self.entries.get_mut(&id) {
                    let text = format!("cannot start daemon \"{}\": {why}", entry.daemon.command);
                    actions.push(Action::Note(text));
                    entry.early += 1;
                    entry.again(now);
                }
            }
            Event::Exited { pid, end } => self.exited(pid, end, now, &mut actions),
            Event::Seen { id, pid } => self.seen(id, pid, now, &mut actions),
            Event::Touched { id } => {
                if let Some(entry) = self.entries.get(&id) {
                    let signal = entry.daemon.stop_signal;
                    actions.extend(entry.tell(id, signal));
                }
            }
            Event::Stop => self.stop(now, &mut actions),
            Event::StopNow => {
                self.stop(now, &mut actions);
                for entry in self.entries.values_mut() {
                    entry.kill(now, &mut actions);
                }
            }
            Event::Tick => (),
        }
        self.run_deadlines(now, &mut actions);
        self.assert_invariants();
        actions
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        let entries = self.entries.values();
        entries.filter_map(|entry| entry.deadline()).min()
    }

    pub(crate) fn has_child(&self, pid: i32) -> bool {
        self.entries.values().any(|it| it.child() == Some(pid))
    }

    /// Nothing of ours lives any more.
    pub(crate) fn is_done(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn get(&self, id: DaemonId) -> Option<&Daemon> {
        self.entries.get(&id).map(|entry| &entry.daemon)
    }

    /// Each daemon that is to live, with its pid and how often it was started again.
    pub(crate) fn current(&self) -> impl Iterator<Item = (DaemonId, &Daemon, Option<i32>, u64)> {
        let current = self.entries.iter().filter(|(_, entry)| !entry.retired);
        current.map(|(&id, entry)| {
            let restarts = entry.starts.saturating_sub(1);
            (id, &entry.daemon, entry.pid(), restarts)
        })
    }

    /// When the next start of a daemon that ended early is.
    pub(crate) fn waits(&self, id: DaemonId, now: Instant) -> Option<Duration> {
        match self.entries.get(&id)?.state {
            State::Waiting { at: Some(at) } => Some(at.saturating_duration_since(now)),
            State::Waiting { at: None }
            | State::Asked
            | State::Up { .. }
            | State::Leaving { .. }
            | State::Killed { .. }
            | State::Watched { .. } => None,
        }
    }

    /// As the original: at a reload every plain daemon is started anew, and smart ones stay.
    fn configure(
        &mut self,
        daemons: Vec<Daemon>,
        anew: bool,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let old: Vec<DaemonId> = self.entries.keys().copied().collect();
        let mut left: Vec<DaemonId> = old.clone();
        for daemon in daemons {
            let twin = left.iter().position(|id| {
                let known = &self.entries[id];
                !known.retired && same(&known.daemon, &daemon)
            });
            let twin = twin.map(|index| left.remove(index));
            if let Some(id) = twin.filter(|_| daemon.pidfile.is_some() || !anew) {
                let entry = &self.entries[&id];
                if entry.daemon.notify && anew {
                    let signal = entry.daemon.reload_signal.unwrap_or(HUP);
                    actions.extend(entry.tell(id, signal));
                }
                continue;
            }
            self.last += 1;
            let state = match daemon.pidfile {
                Some(_) => State::Watched {
                    pid: None,
                    starter: None,
                    monitored: false,
                    misses: 0,
                    look: now,
                },
                None => State::Waiting {
                    at: twin.is_none().then_some(now),
                },
            };
            self.entries.insert(
                DaemonId(self.last),
                Entry {
                    daemon,
                    state,
                    early: 0,
                    started: None,
                    starts: 0,
                    retired: false,
                    after: twin,
                },
            );
        }
        for id in old {
            let Some(entry) = self.entries.get_mut(&id) else {
                continue;
            };
            // One that has a twin goes on as it is.
            let stays = entry.daemon.pidfile.is_some() || !anew;
            if stays && !left.contains(&id) {
                continue;
            }
            let signal = entry.daemon.reload_signal;
            let signal = signal.unwrap_or(entry.daemon.stop_signal);
            entry.retire(signal, now + self.mercy, actions);
        }
        self.bury(now);
    }

    fn stop(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.stopping = true;
        for (&id, entry) in &mut self.entries {
            let signal = entry.daemon.stop_signal;
            if entry.daemon.pidfile.is_some() && entry.daemon.notify && !entry.retired {
                actions.extend(entry.tell(id, signal));
            }
            entry.retire(signal, now + self.mercy, actions);
        }
        self.bury(now);
    }

    fn spawned(&mut self, id: DaemonId, pid: i32, now: Instant, actions: &mut Vec<Action>) {
        let mercy = self.mercy;
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        entry.started = Some(now);
        entry.starts += 1;
        entry.state = match entry.daemon.pidfile {
            Some(_) => State::Watched {
                pid: None,
                // One that we put to the background has gone there already.
                starter: (!entry.daemon.daemonize).then_some(pid),
                monitored: false,
                misses: 0,
                look: now + LOOK,
            },
            None => State::Up { pid, since: now },
        };
        if entry.retired {
            let signal = entry.daemon.stop_signal;
            entry.retire(signal, now + mercy, actions);
            self.bury(now);
        }
    }

    fn exited(&mut self, pid: i32, end: End, now: Instant, actions: &mut Vec<Action>) {
        let stopping = self.stopping;
        let found = self.entries.iter_mut();
        let mut found = found.filter(|(_, entry)| entry.child() == Some(pid));
        let Some((_, entry)) = found.next() else {
            return;
        };
        let command = entry.daemon.command.clone();
        match &mut entry.state {
            State::Up { since, .. } => {
                let lived = now.saturating_duration_since(*since);
                if entry.daemon.control && !stopping {
                    entry.retired = true;
                    actions.push(Action::StopApp { command });
                } else {
                    entry.early = if lived <= EARLY { entry.early + 1 } else { 0 };
                    entry.again(now);
                    let wait = entry.wait();
                    let again = match wait {
                        0 => "it is started again".to_owned(),
                        wait => format!("it is started again in {wait} s"),
                    };
                    let text = format!("daemon \"{command}\" (pid {pid}) ended: {end}; {again}");
                    actions.push(Action::Note(text));
                }
            }
            State::Watched { starter, .. } => *starter = None,
            State::Leaving { .. } | State::Killed { .. } => {
                actions.push(Action::Note(format!(
                    "daemon \"{command}\" (pid {pid}) ended: {end}"
                )));
            }
            State::Waiting { .. } | State::Asked => (),
        }
        if entry.retired && entry.daemon.pidfile.is_none() {
            entry.state = State::Waiting { at: None };
        }
        self.bury(now);
    }

    fn seen(&mut self, id: DaemonId, found: Option<i32>, now: Instant, actions: &mut Vec<Action>) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        let starts = entry.starts;
        let freq = entry.daemon.freq.max(1);
        let State::Watched {
            pid,
            starter,
            monitored,
            misses,
            look,
        } = &mut entry.state
        else {
            return;
        };
        *look = now + LOOK;
        let command = &entry.daemon.command;
        let Some(found) = found else {
            let lost = pid.take();
            let wanted = if *monitored || starts == 0 {
                true
            } else {
                *misses += 1;
                if *misses < freq {
                    return;
                }
                *misses = 0;
                match starter {
                    Some(starter) => {
                        let text = format!(
                            "daemon \"{command}\" (pid {starter}) did not go to the background"
                        );
                        actions.push(Action::Note(text));
                        false
                    }
                    None => true,
                }
            };
            if wanted {
                if let Some(lost) = lost {
                    let text =
                        format!("daemon \"{command}\" (pid {lost}) is gone; it is started again");
                    actions.push(Action::Note(text));
                }
                let young = |at: Instant| now.saturating_duration_since(at) <= EARLY + LOOK;
                let early = entry.started.is_some_and(young);
                entry.early = if early { entry.early + 1 } else { 0 };
                entry.again(now);
            }
            return;
        };
        if *pid == Some(found) {
            *monitored = true;
            return;
        }
        if pid.is_none() && starts == 0 {
            let text = format!("daemon \"{command}\" lives already (pid {found})");
            actions.push(Action::Note(text));
        }
        *pid = Some(found);
        *misses = 0;
    }

    fn run_deadlines(&mut self, now: Instant, actions: &mut Vec<Action>) {
        for (&id, entry) in &mut self.entries {
            match &mut entry.state {
                State::Waiting { at: Some(at) } if *at <= now && !entry.retired => {
                    entry.state = State::Asked;
                    actions.push(Action::Spawn { id });
                }
                State::Leaving { deadline, pid } if *deadline <= now => {
                    let text = format!(
                        "daemon \"{}\" (pid {pid}) did not end in time and is killed",
                        entry.daemon.command
                    );
                    actions.push(Action::Note(text));
                    entry.kill(now, actions);
                }
                State::Killed { give_up, .. } if *give_up <= now => {
                    entry.retired = true;
                    entry.state = State::Waiting { at: None };
                }
                State::Watched { look, .. } if *look <= now => {
                    *look = now + LOOK;
                    actions.push(Action::Look { id });
                }
                State::Waiting { .. }
                | State::Asked
                | State::Up { .. }
                | State::Leaving { .. }
                | State::Killed { .. }
                | State::Watched { .. } => (),
            }
        }
        self.bury(now);
    }

    /// Forgets what is over, and lets successors start at the next look at the deadlines.
    fn bury(&mut self, now: Instant) {
        self.entries.retain(|_, entry| {
            let is_over = match entry.state {
                State::Waiting { .. } | State::Watched { .. } => entry.retired,
                State::Asked | State::Up { .. } | State::Leaving { .. } | State::Killed { .. } => {
                    false
                }
            };
            !is_over
        });
        let living: Vec<DaemonId> = self.entries.keys().copied().collect();
        for entry in self.entries.values_mut() {
            if entry.after.is_some_and(|after| !living.contains(&after)) {
                entry.after = None;
                if entry.state == (State::Waiting { at: None }) {
                    entry.state = State::Waiting { at: Some(now) };
                }
            }
        }
    }

    fn assert_invariants(&self) {
        if !cfg!(debug_assertions) {
            return;
        }
        let mut pids: Vec<_> = self.entries.values().filter_map(Entry::child).collect();
        let all = pids.len();
        pids.sort_unstable();
        pids.dedup();
        assert_eq!(pids.len(), all, "one pid stands in two daemons: {self:#?}");
    }
}

/// Lines may have moved.
fn same(one: &Daemon, other: &Daemon) -> bool {
    let mut moved = one.clone();
    moved.place.clone_from(&other.place);
    moved == *other
}

#[cfg(test)]
mod tests;
