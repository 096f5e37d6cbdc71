//! When a worker accepts, drains and ends. Pure: the I/O thread feeds it orders and the time, and
//! carries out what it returns.

use std::time::Duration;

use imperator_core::message::ToWorker;

use crate::clock::Moment;

/// A signal asked the worker to end, and the master said nothing for this long: it drains alone.
const ANSWER_WAIT: Duration = Duration::from_secs(1);

/// The master ends a worker at the end of its mercy, after its stacks were told. One whose order is
/// lost ends itself so much later.
const MASTER_FIRST: Duration = Duration::from_secs(2);

/// What app threads may do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    Accepting = 0,
    Paused = 1,
    /// Accepting until the backlog was empty once.
    Finishing = 2,
    Draining = 3,
}

impl Phase {
    pub(crate) fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Accepting,
            1 => Self::Paused,
            2 => Self::Finishing,
            _ => Self::Draining,
        }
    }

    pub(crate) fn accepts(self) -> bool {
        match self {
            Self::Accepting | Self::Finishing => true,
            Self::Paused | Self::Draining => false,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    Drain,
    Finish,
    Pause,
    Resume,
    /// The master has a replacement on its way.
    Heard,
    MasterGone,
    /// A limit was reached: the master replaces us when it can.
    Worn(String),
    /// Somebody wants the worker to end soon.
    Signalled(String),
    /// An app thread found no connection waiting.
    BacklogEmpty,
    Tick,
}

impl Event {
    /// The order in a message; `None`: it is not for a worker that serves.
    pub(crate) fn of(message: &ToWorker) -> Option<Self> {
        match message {
            ToWorker::Drain => Some(Self::Drain),
            ToWorker::Finish => Some(Self::Finish),
            ToWorker::Pause => Some(Self::Pause),
            ToWorker::Resume => Some(Self::Resume),
            ToWorker::Heard => Some(Self::Heard),
            ToWorker::Setup(_)
            | ToWorker::Fork { .. }
            | ToWorker::Overdue
            | ToWorker::Workers { .. } => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Tell all threads; closing the listeners is part of draining.
    Enter(Phase),
    /// Tell the master. `patient`: a limit was reached, and the master may take its time.
    Ask { why: String, patient: bool },
    /// The mercy is over.
    Exit,
}

/// A worker's life after its start.
#[derive(Debug)]
pub(crate) struct Lifecycle {
    phase: Phase,
    mercy: Duration,
    asked: bool,
    /// Somebody, not a limit, wants it away.
    urged: bool,
    heard: bool,
    answer_by: Option<Moment>,
    exit_at: Option<Moment>,
}

impl Lifecycle {
    pub(crate) fn new(mercy: Duration) -> Self {
        Self {
            phase: Phase::Accepting,
            mercy,
            asked: false,
            urged: false,
            heard: false,
            answer_by: None,
            exit_at: None,
        }
    }

    /// Total: every event is legal in every phase.
    pub(crate) fn step(&mut self, event: Event, now: Moment) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Drain => self.enter(Phase::Draining, now, &mut actions),
            Event::MasterGone => {
                let end = now.after(self.mercy);
                self.exit_at = Some(self.exit_at.map_or(end, |at| at.min(end)));
                self.enter(Phase::Draining, now, &mut actions);
            }
            Event::Finish => self.enter(Phase::Finishing, now, &mut actions),
            Event::Pause => self.enter(Phase::Paused, now, &mut actions),
            Event::Resume => self.enter(Phase::Accepting, now, &mut actions),
            Event::BacklogEmpty if self.phase == Phase::Finishing => {
                self.enter(Phase::Draining, now, &mut actions);
            }
            Event::Heard => {
                self.heard = true;
                self.answer_by = None;
            }
            Event::BacklogEmpty | Event::Tick => (),
            Event::Worn(why) => {
                if !std::mem::replace(&mut self.asked, true) {
                    self.ask(why, true, &mut actions);
                }
            }
            Event::Signalled(why) => {
                self.asked = true;
                if !std::mem::replace(&mut self.urged, true) {
                    self.ask(why, false, &mut actions);
                }
                if self.exit_at.is_none() && !self.heard {
                    self.answer_by.get_or_insert(now.after(ANSWER_WAIT));
                }
            }
        }
        if self.answer_by.is_some_and(|by| by <= now) {
            self.enter(Phase::Draining, now, &mut actions);
        }
        if self.exit_at.is_some_and(|at| at <= now) {
            actions.push(Action::Exit);
        }
        actions
    }

    /// When `step(Event::Tick, _)` is due.
    pub(crate) fn deadline(&self) -> Option<Moment> {
        self.answer_by.into_iter().chain(self.exit_at).min()
    }

    fn ask(&self, why: String, patient: bool, actions: &mut Vec<Action>) {
        if self.exit_at.is_none() {
            actions.push(Action::Ask { why, patient });
        }
    }

    fn enter(&mut self, phase: Phase, now: Moment, actions: &mut Vec<Action>) {
        let ending = match phase {
            Phase::Draining | Phase::Finishing => true,
            Phase::Accepting | Phase::Paused => false,
        };
        // Draining is never taken back, and finishing only becomes draining.
        if self.phase == phase
            || self.phase == Phase::Draining
            || (self.phase == Phase::Finishing && !ending)
        {
            return;
        }
        self.phase = phase;
        if ending {
            self.answer_by = None;
            self.exit_at
                .get_or_insert(now.after(self.mercy + MASTER_FIRST));
        }
        actions.push(Action::Enter(phase));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment(millis * 1000)
    }

    fn asked(why: &str, patient: bool) -> Action {
        let why = why.to_owned();
        Action::Ask { why, patient }
    }

    fn life() -> Lifecycle {
        Lifecycle::new(Duration::from_secs(60))
    }

    #[test]
    fn a_signal_asks_the_master_and_drains_alone_after_a_second() {
        let mut life = life();
        let term = || Event::Signalled("SIGTERM".to_owned());
        assert_eq!(life.step(term(), at(0)), [asked("SIGTERM", false)]);
        assert_eq!(life.step(term(), at(10)), []);
        assert_eq!(life.deadline(), Some(at(1000)));
        assert_eq!(life.step(Event::Tick, at(999)), []);
        assert_eq!(
            life.step(Event::Tick, at(1000)),
            [Action::Enter(Phase::Draining)]
        );
        assert_eq!(life.deadline(), Some(at(63000)));
        assert_eq!(life.step(Event::Tick, at(63000)), [Action::Exit]);
    }

    #[test]
    fn a_master_that_has_heard_is_waited_for() {
        let mut life = life();
        let term = || Event::Signalled("SIGTERM".to_owned());
        life.step(term(), at(0));
        assert_eq!(life.step(Event::Heard, at(5)), []);
        assert_eq!(life.step(term(), at(10)), []);
        assert_eq!(life.deadline(), None);
        assert_eq!(
            life.step(Event::Drain, at(9000)),
            [Action::Enter(Phase::Draining)]
        );
    }

    #[test]
    fn a_worn_worker_goes_on_until_it_is_told() {
        let mut life = life();
        let worn = Event::Worn("max-requests".to_owned());
        assert_eq!(life.step(worn, at(0)), [asked("max-requests", true)]);
        assert_eq!(life.deadline(), None);
        // A signal is more urgent, and the master must hear of it.
        let term = Event::Signalled("SIGTERM".to_owned());
        assert_eq!(life.step(term, at(1)), [asked("SIGTERM", false)]);
        assert_eq!(life.step(Event::Heard, at(2)), []);
        assert_eq!(
            life.step(Event::Drain, at(9000)),
            [Action::Enter(Phase::Draining)]
        );
    }

    #[test]
    fn finish_drains_when_the_backlog_was_empty_once() {
        let mut life = life();
        assert_eq!(life.step(Event::BacklogEmpty, at(0)), []);
        assert_eq!(
            life.step(Event::Finish, at(0)),
            [Action::Enter(Phase::Finishing)]
        );
        assert_eq!(life.step(Event::Pause, at(0)), []);
        assert_eq!(
            life.step(Event::BacklogEmpty, at(1)),
            [Action::Enter(Phase::Draining)]
        );
        assert_eq!(life.step(Event::Resume, at(2)), []);
        assert_eq!(life.deadline(), Some(at(62000)));
    }

    #[test]
    fn a_master_that_is_gone_ends_even_a_paused_worker() {
        let mut life = life();
        assert_eq!(
            life.step(Event::Pause, at(0)),
            [Action::Enter(Phase::Paused)]
        );
        assert_eq!(
            life.step(Event::Resume, at(1)),
            [Action::Enter(Phase::Accepting)]
        );
        assert_eq!(
            life.step(Event::Pause, at(2)),
            [Action::Enter(Phase::Paused)]
        );
        assert_eq!(
            life.step(Event::MasterGone, at(3)),
            [Action::Enter(Phase::Draining)]
        );
        assert_eq!(life.step(Event::Tick, at(60003)), [Action::Exit]);
    }
}
