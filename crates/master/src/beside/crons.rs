//! Decides which cron commands start and which are killed. Pure: the edge tells the local minute.

use std::time::{Duration, Instant};

use imperator_core::settings::cron::{Cron, Harakiri, Minute};
use imperator_process::reap::End;

/// Commands at one time, of all crons of an app: what is due then is left out, and told.
const MAX_RUNNING: usize = 64;
const TERM: i32 = 15;
const KILL: i32 = 9;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    /// Answered by [`Crons::started`] when it runs.
    Run(Cron),
    /// To the group.
    Signal {
        pid: i32,
        signal: i32,
    },
    Note(String),
}

#[derive(Debug)]
struct Running {
    cron: Cron,
    pid: i32,
    since: Instant,
    /// When it is killed.
    deadline: Option<Instant>,
}

#[derive(Debug, Default)]
pub(crate) struct Crons {
    crons: Vec<Cron>,
    common: Option<Duration>,
    running: Vec<Running>,
    /// Minutes since 1970 at the last look: none is looked at twice, and none that passed
    /// unseen is made up for.
    last: Option<u64>,
    stopping: bool,
}

impl Crons {
    /// What runs goes on, with its old limits.
    pub(crate) fn configure(&mut self, crons: Vec<Cron>, common: Option<Duration>) {
        self.crons = crons;
        self.common = common;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.crons.is_empty() || self.stopping
    }

    /// `number` counts the minutes since 1970, `minute` is what the clock shows.
    pub(crate) fn look(&mut self, number: u64, minute: Minute, now: Instant) -> Vec<Action> {
        let mut actions = self.kill_overdue(now);
        if self.stopping || self.last == Some(number) {
            return actions;
        }
        self.last = Some(number);
        let mut room = MAX_RUNNING.saturating_sub(self.running.len());
        for cron in self.crons.iter().filter(|cron| cron.is_due(minute)) {
            let runs = self.running.iter().any(|it| same(&it.cron, cron));
            if cron.unique && runs {
                continue;
            }
            if room == 0 {
                let text = format!(
                    "cron \"{}\" is left out: {MAX_RUNNING} commands run already",
                    cron.command
                );
                actions.push(Action::Note(text));
                continue;
            }
            room -= 1;
            actions.push(Action::Run(cron.clone()));
        }
        actions
    }

    pub(crate) fn started(&mut self, cron: Cron, pid: i32, now: Instant) {
        let limit = match cron.harakiri {
            Harakiri::Common => self.common,
            Harakiri::Never => None,
            Harakiri::After(limit) => Some(limit),
        };
        self.running.push(Running {
            cron,
            pid,
            since: now,
            deadline: limit.map(|limit| now + limit),
        });
    }

    /// `None`: none of ours.
    pub(crate) fn ended(&mut self, pid: i32, end: End, now: Instant) -> Option<String> {
        let index = self.running.iter().position(|it| it.pid == pid)?;
        let it = self.running.swap_remove(index);
        Some(format!(
            "cron \"{}\" (pid {pid}) ended after {} s: {end}",
            it.cron.command,
            now.saturating_duration_since(it.since).as_secs()
        ))
    }

    pub(crate) fn kill_overdue(&mut self, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        for it in &mut self.running {
            if it.deadline.is_some_and(|deadline| deadline <= now) {
                it.deadline = None;
                let text = format!(
                    "cron \"{}\" (pid {}) runs too long and is killed",
                    it.cron.command, it.pid
                );
                actions.push(Action::Note(text));
                actions.push(Action::Signal {
                    pid: it.pid,
                    signal: KILL,
                });
            }
        }
        actions
    }

    pub(crate) fn stop(&mut self, mercy: Duration, now: Instant) -> Vec<Action> {
        self.stopping = true;
        let signal = if mercy.is_zero() { KILL } else { TERM };
        let mut actions = Vec::new();
        for it in &mut self.running {
            let deadline = now + mercy;
            it.deadline = Some(it.deadline.map_or(deadline, |old| old.min(deadline)));
            actions.push(Action::Signal {
                pid: it.pid,
                signal,
            });
        }
        actions
    }

    pub(crate) fn is_done(&self) -> bool {
        self.running.is_empty()
    }

    /// Of the commands that run; the next minute is the edge's.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.running.iter().filter_map(|it| it.deadline).min()
    }

    /// Each cron with the pid of what runs of it, and since when.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&Cron, Option<(i32, Instant)>)> {
        self.crons.iter().map(|cron| {
            let mut running = self.running.iter();
            let running = running.find(|it| same(&it.cron, cron));
            (cron, running.map(|it| (it.pid, it.since)))
        })
    }
}

/// Lines may have moved.
fn same(one: &Cron, other: &Cron) -> bool {
    let mut moved = one.clone();
    moved.place.clone_from(&other.place);
    moved == *other
}

#[cfg(test)]
mod tests {
    use super::*;
    use imperator_core::finding::Place;

    fn cron(minute: i32, unique: bool) -> Cron {
        Cron {
            minute,
            hour: -1,
            day: -1,
            month: -1,
            week: -1,
            command: "work".to_owned(),
            unique,
            harakiri: Harakiri::Common,
            place: Place {
                file: "app.ini".into(),
                line: 1,
            },
        }
    }

    fn at(minute: i32) -> Minute {
        Minute {
            minute,
            hour: 0,
            day: 1,
            month: 1,
            weekday: 0,
        }
    }

    fn runs(actions: &[Action]) -> usize {
        let is_run = |action: &&Action| matches!(action, Action::Run(_));
        actions.iter().filter(is_run).count()
    }

    #[test]
    fn a_minute_is_looked_at_once_also_when_the_clock_goes_back_an_hour() {
        let now = crate::clock::now();
        let mut crons = Crons::default();
        crons.configure(vec![cron(30, false)], None);
        assert_eq!(runs(&crons.look(1000, at(30), now)), 1);
        assert_eq!(runs(&crons.look(1000, at(30), now)), 0);
        assert_eq!(runs(&crons.look(1001, at(31), now)), 0);
        // An hour later the clock shows the same again: summer time ended.
        assert_eq!(runs(&crons.look(1060, at(30), now)), 1);
    }

    #[test]
    fn a_unique_one_waits_for_itself_and_others_do_not() {
        let now = crate::clock::now();
        for (unique, again) in [(true, 0), (false, 1)] {
            let mut crons = Crons::default();
            crons.configure(vec![cron(-1, unique)], None);
            assert_eq!(runs(&crons.look(1, at(1), now)), 1);
            crons.started(cron(-1, unique), 77, now);
            assert_eq!(runs(&crons.look(2, at(2), now)), again);
            assert!(crons.ended(77, End::Code(0), now).is_some());
            assert_eq!(runs(&crons.look(3, at(3), now)), 1);
        }
    }

    #[test]
    fn what_runs_too_long_is_killed_once_and_a_stop_has_its_mercy() {
        let now = crate::clock::now();
        let second = Duration::from_secs(1);
        let mut crons = Crons::default();
        crons.configure(vec![cron(-1, false)], Some(5 * second));
        crons.started(cron(-1, false), 77, now);
        assert_eq!(crons.deadline(), Some(now + 5 * second));
        assert_eq!(crons.kill_overdue(now + 4 * second), []);
        let killed = Action::Signal {
            pid: 77,
            signal: KILL,
        };
        assert!(crons.kill_overdue(now + 5 * second).contains(&killed));
        assert_eq!(crons.kill_overdue(now + 6 * second), []);
        let told = crons.stop(2 * second, now + 6 * second);
        assert!(matches!(told[..], [Action::Signal { signal: TERM, .. }]));
        assert!(!crons.is_done());
        assert!(crons.kill_overdue(now + 8 * second).contains(&killed));
        crons.ended(77, End::Signal(9), now);
        assert!(crons.is_done());
        assert_eq!(runs(&crons.look(9, at(9), now)), 0);
    }

    #[test]
    fn too_many_at_once_are_left_out_and_told() {
        let now = crate::clock::now();
        let mut crons = Crons::default();
        crons.configure(vec![cron(-1, false); MAX_RUNNING + 3], None);
        let actions = crons.look(1, at(1), now);
        assert_eq!(runs(&actions), MAX_RUNNING);
        assert_eq!(actions.len(), MAX_RUNNING + 3);
    }
}
