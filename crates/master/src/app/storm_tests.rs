//! Reloads that come faster than the app loads: it serves all the same, whatever the pace.

use std::time::{Duration, Instant};

use imperator_core::settings::scaling::Scaling;
use imperator_process::reap::End;

use super::App;
use crate::clock;
use crate::event::{Action, Event, Order, ProcessId, Shape};

/// What an app does that takes so long to load: each start has its own length.
struct Loading {
    app: App,
    /// Of the first start, and of all others, in milliseconds.
    first: u64,
    others: u64,
    /// Who accepts when.
    coming: Vec<(u64, ProcessId)>,
    served: Vec<u32>,
}

impl Loading {
    fn tell(&mut self, event: Event, millis: u64, now: Instant) {
        for action in self.app.step(event, now) {
            match action {
                Action::Prepare { generation, .. } => {
                    let shape = Shape {
                        workers: 1,
                        scaling: Scaling::default(),
                        direct: true,
                        mercy: Duration::from_secs(5),
                        ready_timeout: Duration::from_secs(60),
                        overlap: None,
                        fallback: false,
                    };
                    self.tell(Event::Prepared { generation, shape }, millis, now);
                }
                Action::SpawnWorker { process, .. } => {
                    let takes = if self.served.is_empty() {
                        self.first
                    } else {
                        self.others
                    };
                    self.coming.push((millis + takes, process));
                    self.tell(
                        Event::Spawned {
                            process,
                            pid: pid(process),
                        },
                        millis,
                        now,
                    );
                }
                Action::Say {
                    process,
                    order: Order::Drain,
                } => {
                    self.coming.retain(|it| it.1 != process);
                    let end = End::Code(0);
                    let pid = pid(process);
                    self.tell(Event::Exited { pid, end }, millis, now);
                }
                Action::Serve { generation } => self.served.push(generation),
                Action::Abandon { .. }
                | Action::SpawnMold { .. }
                | Action::Fork { .. }
                | Action::Say { .. }
                | Action::Stacks { .. }
                | Action::Kill { .. }
                | Action::Failed { .. }
                | Action::Forget { .. }
                | Action::Sleep { .. }
                | Action::Scaled { .. }
                | Action::UnlinkSockets
                | Action::Cede
                | Action::End => (),
            }
        }
    }
}

fn pid(process: ProcessId) -> i32 {
    1000 + i32::try_from(process.0).unwrap()
}

/// How many generations served within two minutes, with a reload each `period`.
fn served(period: u64, first: u64, others: u64) -> usize {
    let mut world = Loading {
        app: App::new(0),
        first,
        others,
        coming: Vec::new(),
        served: Vec::new(),
    };
    let start = clock::now();
    world.tell(Event::Begin, 0, start);
    for millis in (10..120_000).step_by(10) {
        let now = start + Duration::from_millis(millis);
        let is_reload = millis > first && millis % period == 0;
        let event = if is_reload {
            Event::Reload
        } else {
            Event::Tick
        };
        world.tell(event, millis, now);
        let due = world.coming.iter().filter(|it| it.0 <= millis);
        let due: Vec<_> = due.map(|it| it.1).collect();
        world.coming.retain(|it| it.0 > millis);
        for process in due {
            world.tell(Event::Accepting { process }, millis, now);
        }
    }
    world.served.len() - 1
}

#[test]
fn however_fast_reloads_come_new_code_comes_to_serve() {
    for period in [10, 50, 200, 700, 1500, 4000, 9000] {
        for load in [100, 1000, 3000, 10_000] {
            let count = served(period, load, load);
            // At worst the reloads interrupt each other for one start, and the next one is let alone.
            let least = 120_000 / (3 * (load + 1000)).max(period) - 2;
            assert!(
                count as u64 >= least,
                "{count} of {least} with a reload each {period} ms and a load of {load} ms"
            );
        }
    }
}

#[test]
fn a_load_that_takes_longer_than_before_is_given_ever_more_time() {
    for (before, after) in [(100, 2000), (100, 9000), (1000, 20_000)] {
        for period in [50, 700, 3000] {
            let count = served(period, before, after);
            assert!(count > 0, "never with {before}, {after} and {period}");
        }
    }
}
