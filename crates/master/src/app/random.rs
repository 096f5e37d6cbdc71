//! Random event sequences against a world that answers like real processes do: the rules that no
//! sequence may break. A failure becomes a named scenario in `tests.rs`.

use std::time::{Duration, Instant};

use imperator_core::message::Failure;
use imperator_core::settings::scaling::Scaling;
use imperator_process::reap::End;
use proptest::prelude::*;

use super::App;
use crate::clock;
use crate::event::{Action, Event, Order, ProcessId, Sample, Shape};
use crate::generation::{PACE, Role, State};

const MERCY: Duration = Duration::from_secs(5);
const READY: Duration = Duration::from_secs(20);

/// What may happen next, told to a world that answers like real processes do.
#[derive(Debug, Clone)]
enum Step {
    Reload,
    ReloadNow,
    ReloadWorkers {
        brutal: bool,
    },
    ReloadChain,
    More,
    Fewer,
    Cheap,
    Wake,
    /// One look: every n-th worker is busy, and so many requests were answered.
    Sample {
        every: usize,
        requests: u64,
    },
    Changed,
    Retry,
    Pause,
    Stop,
    StopNow,
    /// The n-th outstanding request of the machine is answered.
    Answer {
        which: usize,
        well: bool,
    },
    /// The n-th living process says something or ends.
    Live {
        which: usize,
        what: u8,
    },
    Wait {
        millis: u64,
    },
    Stray,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => Just(Step::Reload),
        1 => Just(Step::ReloadNow),
        1 => prop::bool::ANY.prop_map(|brutal| Step::ReloadWorkers { brutal }),
        1 => Just(Step::ReloadChain),
        1 => Just(Step::More),
        1 => Just(Step::Fewer),
        1 => Just(Step::Cheap),
        3 => Just(Step::Wake),
        6 => (1_usize..4, 0_u64..3).prop_map(|(every, requests)| Step::Sample { every, requests }),
        2 => Just(Step::Changed),
        1 => Just(Step::Retry),
        1 => Just(Step::Pause),
        1 => Just(Step::Stop),
        1 => Just(Step::StopNow),
        12 => (0_usize..8, prop::bool::weighted(0.85))
            .prop_map(|(which, well)| Step::Answer { which, well }),
        12 => (0_usize..8, 0_u8..9).prop_map(|(which, what)| Step::Live { which, what }),
        4 => (0_u64..30_000).prop_map(|millis| Step::Wait { millis }),
        1 => Just(Step::Stray),
    ];
    prop::collection::vec(step, 0..120)
}

/// The outside of the machine: answers its actions, keeps what really lives.
struct World {
    app: App,
    now: Instant,
    asked: Vec<Action>,
    living: Vec<(ProcessId, i32)>,
    next_pid: i32,
    served: Vec<u32>,
    ended: bool,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            app: App::new(0),
            now: clock::now(),
            asked: Vec::new(),
            living: Vec::new(),
            next_pid: 100,
            served: Vec::new(),
            ended: false,
        };
        world.tell(Event::Begin);
        world
    }

    fn tell(&mut self, event: Event) {
        let accepted_before = self.accepting();
        let failed_only = matches!(
            event,
            Event::LoadFailed { .. } | Event::PrepareFailed { .. }
        );
        let serving_before = self.app.serving();
        let served_before = self.serving_workers();
        for action in self.app.step(event, self.now) {
            assert!(!self.ended, "an action after the end: {action}");
            match &action {
                Action::Kill { pid, .. } | Action::Stacks { pid, .. } => {
                    let mut living = self.living.iter();
                    assert!(living.any(|it| it.1 == *pid), "kill of a reaped pid {pid}");
                }
                Action::Serve { generation } => {
                    let ups = self.app.processes().values();
                    let ups = ups.filter(|it| it.generation == *generation && it.is_up());
                    assert!(
                        ups.count() > 0,
                        "generation {generation} serves with nobody"
                    );
                    self.served.push(*generation);
                }
                Action::Say {
                    process,
                    order: Order::Drain,
                } if served_before.contains(process) => self.check_drain(*process),
                Action::End => {
                    assert!(self.app.processes().is_empty());
                    self.ended = true;
                }
                Action::SpawnWorker { generation, .. } | Action::Fork { generation, .. } => {
                    self.check_room(*generation);
                    self.asked.push(action);
                }
                Action::SpawnMold { .. } | Action::Prepare { .. } => self.asked.push(action),
                Action::Say { .. }
                | Action::Abandon { .. }
                | Action::Failed { .. }
                | Action::Forget { .. }
                | Action::Sleep { .. }
                | Action::Scaled { .. }
                | Action::UnlinkSockets
                | Action::Cede => (),
            }
        }
        self.check_places();
        if failed_only && serving_before.is_some() {
            assert_eq!(
                self.app.serving(),
                serving_before,
                "a failure changed who serves"
            );
            if self.app.starting().is_none() {
                let left = self.accepting();
                assert!(
                    accepted_before.iter().all(|(id, generation)| {
                        left.contains(&(*id, *generation)) || Some(*generation) != serving_before
                    }),
                    "a failure took a serving worker"
                );
            }
        }
        self.check_molds();
        let deadline = self.app.deadline();
        assert!(
            deadline.is_none_or(|at| at > self.now),
            "a deadline in the past did nothing"
        );
    }

    /// With `reload-overlap` a generation starts nobody beyond its room.
    fn check_room(&self, started: u32) {
        let all = self.app.next.iter().chain(&self.app.serving);
        let room = all.filter(|it| it.id == started).find_map(|it| it.room);
        let workers = self.app.processes().values();
        let workers = workers.filter(|it| it.role != Role::Mold).count();
        assert!(
            room.is_none_or(|room| workers <= room as usize),
            "{workers} workers where there is room for {room:?}"
        );
    }

    fn accepting(&self) -> Vec<(ProcessId, u32)> {
        let all = self.app.processes().iter();
        all.filter(|(_, it)| it.is_up() && it.role != Role::Mold)
            .map(|(&id, it)| (id, it.generation))
            .collect()
    }

    fn serving_workers(&self) -> Vec<ProcessId> {
        let all = self.app.processes().iter();
        let serves = |state: State| matches!(state, State::Up { .. } | State::Leaving { .. });
        all.filter(|(_, it)| serves(it.state) && it.role != Role::Mold)
            .map(|(&id, _)| id)
            .collect()
    }

    /// A worker of the serving generation drains only for a replacement that accepts.
    fn check_drain(&self, process: ProcessId) {
        let Some(it) = self.app.processes().get(&process) else {
            return;
        };
        let Role::Worker(worker) = it.role else {
            return;
        };
        let stopping = self.app.state() == imperator_core::message::AppState::Stopping;
        let serving = self.app.serving.as_ref();
        let is_cheap = |it: &crate::generation::Generation| {
            it.slots.get(&worker).is_some_and(|slot| slot.cheap)
        };
        let scaled = serving.is_some_and(is_cheap);
        if let Some(serving) = serving.filter(|serving| it.generation < serving.id) {
            let accepting = self.serving_workers().len();
            assert!(
                accepting >= serving.wanted(),
                "an old worker drains while {accepting} of {} accept",
                serving.wanted()
            );
        }
        if self.app.serving() == Some(it.generation) && !stopping && !scaled {
            let mut others = self.app.processes().values();
            assert!(
                others.any(|other| other.is_worker(it.generation, worker) && other.is_up()),
                "worker {worker} drains without a replacement"
            );
        }
    }

    /// Never fewer than `cheaper`, never more than `processes`; who sleeps has no process that stays.
    fn check_places(&self) {
        if let Some(serving) = &self.app.serving {
            let wanted = serving.slots.values().filter(|slot| !slot.cheap).count();
            let least = serving.shape.scaling.least.unwrap_or(1);
            assert!(
                wanted >= least as usize,
                "{wanted} of {least} workers are wanted"
            );
            assert!(serving.slots.len() <= serving.shape.workers.max(1) as usize);
        }
        for slot in self.app.serving.iter().flat_map(|it| it.slots.values()) {
            let soon = slot.respawn_at.is_none_or(|at| at <= self.now + PACE);
            assert!(
                soon || slot.failed_starts > 0,
                "the place of a worker that served stays empty: {slot:?}"
            );
        }
        if self.app.is_asleep() {
            let stays = |state: State| matches!(state, State::Up { .. } | State::Leaving { .. });
            let mut all = self.app.processes().values();
            assert!(!all.any(|it| stays(it.state)), "it sleeps with a worker");
        }
    }

    fn sample(&mut self, every: usize, requests: u64) {
        let busy = self.living.iter().map(|it| it.0);
        let sample = Sample {
            busy: busy.step_by(every).collect(),
            requests,
            rss: requests,
            ..Sample::default()
        };
        let before = self.serving_workers();
        self.tell(Event::Sample(sample.clone()));
        if self.app.state() == imperator_core::message::AppState::Serving {
            for process in sample.busy {
                let after = self.app.processes().get(&process);
                assert!(
                    !before.contains(&process)
                        || after.is_none_or(|it| !matches!(it.state, State::Draining { .. })),
                    "a busy worker was scaled away"
                );
            }
        }
    }

    fn check_molds(&self) {
        for generation in self.app.processes().values().map(|it| it.generation) {
            let molds = self.app.processes().values();
            let molds = molds.filter(|it| it.generation == generation && it.role == Role::Mold);
            assert!(molds.count() <= 1);
        }
    }

    fn answer(&mut self, which: usize, well: bool) {
        if self.asked.is_empty() {
            return;
        }
        let action = self.asked.remove(which % self.asked.len());
        let failure = || {
            Box::new(Failure {
                summary: "x".into(),
                hint: None,
                detail: None,
                at: 0,
                ..Failure::default()
            })
        };
        match action {
            Action::Prepare {
                generation,
                only_if_changed,
                ..
            } => {
                let event = match (well, only_if_changed && generation % 3 == 0) {
                    (false, _) => Event::PrepareFailed {
                        generation,
                        failure: failure(),
                        fallback: generation % 3 == 1,
                    },
                    (true, true) => Event::Unchanged { generation },
                    (true, false) => Event::Prepared {
                        generation,
                        shape: Shape {
                            workers: generation % 3 + 1,
                            scaling: Scaling {
                                least: (generation % 2 == 1).then_some(1),
                                overload: 1,
                                rss_hard: (generation % 4 == 3).then_some(2),
                                cheap: generation % 5 == 0,
                                idle: (generation % 4 == 1).then_some(Duration::from_secs(20)),
                                die_on_idle: generation % 8 == 1,
                                ..Scaling::default()
                            },
                            direct: generation % 2 == 0,
                            mercy: MERCY,
                            ready_timeout: READY,
                            overlap: (generation % 7 < 3).then_some(generation % 7 + 1),
                            fallback: generation % 3 == 1,
                        },
                    },
                };
                self.tell(event);
            }
            Action::SpawnMold { process, .. }
            | Action::SpawnWorker { process, .. }
            | Action::Fork { process, .. } => {
                if well {
                    let pid = self.next_pid;
                    self.next_pid += 1;
                    self.living.push((process, pid));
                    self.tell(Event::Spawned { process, pid });
                } else {
                    let failure = failure();
                    self.tell(Event::SpawnFailed { process, failure });
                }
            }
            Action::Abandon { .. }
            | Action::Say { .. }
            | Action::Kill { .. }
            | Action::Stacks { .. }
            | Action::Serve { .. }
            | Action::Failed { .. }
            | Action::Forget { .. }
            | Action::Sleep { .. }
            | Action::Scaled { .. }
            | Action::UnlinkSockets
            | Action::Cede
            | Action::End => (),
        }
    }

    fn live(&mut self, which: usize, what: u8) {
        if self.living.is_empty() {
            return;
        }
        let index = which % self.living.len();
        let (process, pid) = self.living[index];
        let event = match what {
            0 | 1 => Event::Loaded {
                process,
                threads: what == 1 && pid % 4 == 0,
            },
            2 | 3 => Event::Accepting { process },
            4 => Event::WantsToDrain {
                process,
                patient: false,
            },
            8 => Event::WantsToDrain {
                process,
                patient: true,
            },
            5 => Event::Overdue { process },
            6 => Event::LoadFailed {
                process,
                failure: Box::new(Failure {
                    summary: "x".into(),
                    hint: None,
                    detail: None,
                    at: 0,
                    ..Failure::default()
                }),
            },
            _ => {
                self.living.remove(index);
                let end = End::Signal(9);
                Event::Exited { pid, end }
            }
        };
        self.tell(event);
    }

    /// After a stop, a patient world only lets time pass; killed processes die.
    fn must_end(&mut self) {
        self.tell(Event::Stop);
        for _ in 0..1000 {
            if self.ended {
                return;
            }
            let killed = |id: &ProcessId| {
                let it = self.app.processes().get(id);
                it.is_none_or(|it| matches!(it.state, State::Killed { .. }))
            };
            if let Some(index) = self.living.iter().position(|(id, _)| killed(id)) {
                let (_, pid) = self.living.remove(index);
                let end = End::Signal(9);
                self.tell(Event::Exited { pid, end });
                continue;
            }
            let deadline = self.app.deadline();
            self.now = deadline.expect("a stop that waits has a deadline");
            self.tell(Event::Tick);
        }
        panic!("the stop does not end: {:#?}", self.app);
    }
}

proptest! {
    // A failure becomes a named scenario above, not a seed in a file.
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_events_breaks_the_rules(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            match step {
                Step::Reload => world.tell(Event::Reload),
                Step::ReloadNow => world.tell(Event::ReloadNow),
                Step::ReloadWorkers { brutal } => world.tell(Event::ReloadWorkers { brutal }),
                Step::ReloadChain => world.tell(Event::ReloadChain),
                Step::More => world.tell(Event::More),
                Step::Fewer => world.tell(Event::Fewer),
                Step::Cheap => world.tell(Event::Cheap),
                Step::Wake => world.tell(Event::Wake),
                Step::Sample { every, requests } => world.sample(every, requests),
                Step::Changed => world.tell(Event::Changed),
                Step::Retry => world.tell(Event::Retry),
                Step::Pause => world.tell(Event::Pause),
                Step::Stop => world.tell(Event::Stop),
                Step::StopNow => world.tell(Event::StopNow),
                Step::Answer { which, well } => world.answer(which, well),
                Step::Live { which, what } => world.live(which, what),
                Step::Wait { millis } => {
                    world.now += Duration::from_millis(millis);
                    world.tell(Event::Tick);
                }
                Step::Stray => {
                    world.next_pid += 1;
                    let pid = world.next_pid - 1;
                    let end = End::Code(0);
                    world.tell(Event::Exited { pid, end });
                }
            }
            if world.ended {
                return Ok(());
            }
        }
        world.must_end();
    }
}
