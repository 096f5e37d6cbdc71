//! Attached daemons, as scenarios and as random sequences of events.

use super::entry::KILL;
use super::*;
use imperator_core::finding::Place;
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

fn daemon(command: &str) -> Daemon {
    let place = Place {
        file: "app.ini".into(),
        line: 1,
    };
    Daemon::new(command.to_owned(), place)
}

fn configure(daemons: &[Daemon]) -> Event {
    Event::Configure {
        daemons: daemons.to_vec(),
        mercy: 10 * SECOND,
        anew: true,
    }
}

/// Actions without notes, as words.
fn words(actions: Vec<Action>) -> Vec<String> {
    let word = |action| match action {
        Action::Spawn { id } => Some(format!("spawn {}", id.0)),
        Action::Signal { pid, signal } => Some(format!("signal {pid} {signal}")),
        Action::Notify { pid, signal, .. } => Some(format!("notify {pid} {signal}")),
        Action::Look { id } => Some(format!("look {}", id.0)),
        Action::StopApp { .. } => Some("stop app".to_owned()),
        Action::Note(_) => None,
    };
    actions.into_iter().filter_map(word).collect()
}

fn spawned(id: u64, pid: i32) -> Event {
    Event::Spawned {
        id: DaemonId(id),
        pid,
    }
}

fn exited(pid: i32) -> Event {
    Event::Exited {
        pid,
        end: End::Code(1),
    }
}

fn seen(id: u64, pid: Option<i32>) -> Event {
    Event::Seen {
        id: DaemonId(id),
        pid,
    }
}

#[test]
fn one_that_ends_early_is_started_later_each_time() {
    let mut now = crate::clock::now();
    let mut daemons = Daemons::default();
    assert_eq!(
        words(daemons.step(configure(&[daemon("work")]), now)),
        ["spawn 1"]
    );
    for (pid, wait) in [(10, 1), (11, 2), (12, 3)] {
        daemons.step(spawned(1, pid), now);
        assert!(words(daemons.step(exited(pid), now)).is_empty());
        now += wait * SECOND;
        let early = now - Duration::from_millis(1);
        assert!(words(daemons.step(Event::Tick, early)).is_empty());
        assert_eq!(words(daemons.step(Event::Tick, now)), ["spawn 1"]);
    }
    // One that lived is started at once.
    daemons.step(spawned(1, 13), now);
    now += 4 * SECOND;
    assert_eq!(words(daemons.step(exited(13), now)), ["spawn 1"]);
}

#[test]
fn a_reload_starts_the_next_one_when_the_old_one_is_gone() {
    let now = crate::clock::now();
    let mut daemons = Daemons::default();
    daemons.step(configure(&[daemon("work")]), now);
    daemons.step(spawned(1, 10), now);
    let both = [daemon("work"), daemon("more")];
    let actions = words(daemons.step(configure(&both), now + SECOND));
    assert_eq!(actions, ["signal 10 15", "spawn 3"]);
    daemons.step(spawned(3, 11), now + SECOND);
    let actions = words(daemons.step(exited(10), now + 2 * SECOND));
    assert_eq!(actions, ["spawn 2"]);
}

#[test]
fn one_that_does_not_end_is_killed_at_its_mercy() {
    let now = crate::clock::now();
    let mut daemons = Daemons::default();
    let mut work = daemon("work");
    work.stop_signal = 2;
    daemons.step(configure(&[work]), now);
    daemons.step(spawned(1, 10), now);
    assert_eq!(words(daemons.step(Event::Stop, now)), ["signal 10 2"]);
    assert!(!daemons.is_done());
    assert_eq!(daemons.deadline(), Some(now + 10 * SECOND));
    let late = now + 10 * SECOND;
    assert_eq!(words(daemons.step(Event::Tick, late)), ["signal 10 9"]);
    daemons.step(exited(10), late);
    assert!(daemons.is_done());
}

#[test]
fn the_end_of_a_controlling_one_stops_the_app() {
    let now = crate::clock::now();
    let mut daemons = Daemons::default();
    let mut work = daemon("work");
    work.control = true;
    daemons.step(configure(&[work]), now);
    daemons.step(spawned(1, 10), now);
    assert_eq!(words(daemons.step(exited(10), now)), ["stop app"]);
}

#[test]
fn a_smart_one_is_started_only_when_its_pidfile_names_nobody() {
    let mut now = crate::clock::now();
    let mut smart = daemon("redis");
    smart.pidfile = Some("/run/redis.pid".into());
    smart.freq = 2;
    let mut daemons = Daemons::default();
    let list = [smart];
    assert_eq!(words(daemons.step(configure(&list), now)), ["look 1"]);
    // It lives already, and through a reload and a stop.
    assert!(words(daemons.step(seen(1, Some(50)), now)).is_empty());
    assert!(words(daemons.step(configure(&list), now)).is_empty());
    now += SECOND;
    assert_eq!(words(daemons.step(Event::Tick, now)), ["look 1"]);
    daemons.step(seen(1, Some(50)), now);
    // It died.
    now += SECOND;
    daemons.step(Event::Tick, now);
    assert_eq!(words(daemons.step(seen(1, None), now)), ["spawn 1"]);
    daemons.step(spawned(1, 60), now);
    daemons.step(exited(60), now);
    // It went to the background, and its pidfile comes late: freq looks are waited for.
    now += SECOND;
    assert_eq!(words(daemons.step(Event::Tick, now)), ["look 1"]);
    assert!(words(daemons.step(seen(1, None), now)).is_empty());
    now += SECOND;
    daemons.step(Event::Tick, now);
    daemons.step(seen(1, Some(61)), now);
    assert_eq!(daemons.current().next().unwrap().2, Some(61));
    assert!(words(daemons.step(Event::Stop, now)).is_empty());
    assert!(daemons.is_done());
}

#[test]
fn a_smart_one_that_wants_to_know_is_told_of_reload_and_stop() {
    let now = crate::clock::now();
    let mut smart = daemon("redis");
    smart.pidfile = Some("/run/redis.pid".into());
    smart.notify = true;
    let list = [smart];
    let mut daemons = Daemons::default();
    daemons.step(configure(&list), now);
    daemons.step(seen(1, Some(50)), now);
    let actions = words(daemons.step(configure(&list), now));
    assert_eq!(actions, ["notify 50 1"]);
    assert_eq!(words(daemons.step(Event::Stop, now)), ["notify 50 15"]);
}

#[test]
fn a_touched_file_tells_the_daemon_to_end() {
    let now = crate::clock::now();
    let mut daemons = Daemons::default();
    daemons.step(configure(&[daemon("work")]), now);
    daemons.step(spawned(1, 10), now);
    let touched = Event::Touched { id: DaemonId(1) };
    assert_eq!(words(daemons.step(touched, now)), ["signal 10 15"]);
    // It is started again as after any end.
    let later = now + 5 * SECOND;
    assert_eq!(words(daemons.step(exited(10), later)), ["spawn 1"]);
}

#[derive(Debug, Clone)]
enum Happens {
    Configure(usize),
    Exit(usize),
    Seen(usize, Option<i32>),
    Touch(usize),
    Wait(u64),
    Refuse,
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        (0..4_usize).prop_map(Happens::Configure),
        (0..8_usize).prop_map(Happens::Exit),
        (0..8_usize, proptest::option::of(900..910)).prop_map(|(id, pid)| Happens::Seen(id, pid)),
        (0..8_usize).prop_map(Happens::Touch),
        (0..20_u64).prop_map(Happens::Wait),
        Just(Happens::Refuse),
    ]
}

proptest! {
    /// Whatever happens, a stop ends, no signal goes to a pid that was reaped, and no daemon
    /// lives twice.
    #[test]
    fn a_stop_always_ends(sequence in proptest::collection::vec(happens(), 0..60)) {
        let mut smart = daemon("smart");
        smart.pidfile = Some("/run/x.pid".into());
        let pool = [daemon("a"), daemon("b"), smart];
        let mut world = World::default();
        for what in sequence {
            world.happen(what, &pool);
        }
        world.step(Event::Stop);
        for _ in 0..100 {
            if world.daemons.is_done() {
                break;
            }
            world.now = world.daemons.deadline().unwrap_or(world.now).max(world.now);
            world.step(Event::Tick);
        }
        prop_assert!(world.daemons.is_done(), "{:#?}", world.daemons);
    }
}

struct World {
    daemons: Daemons,
    now: Instant,
    /// Children that live.
    alive: Vec<i32>,
    last_pid: i32,
    refuse: bool,
}

impl Default for World {
    fn default() -> Self {
        Self {
            daemons: Daemons::default(),
            now: crate::clock::now(),
            alive: Vec::new(),
            last_pid: 100,
            refuse: false,
        }
    }
}

impl World {
    fn happen(&mut self, what: Happens, pool: &[Daemon]) {
        let ids: Vec<DaemonId> = self.daemons.entries.keys().copied().collect();
        match what {
            Happens::Configure(count) => {
                self.step(configure(&pool[..count.min(pool.len())]));
            }
            Happens::Exit(index) => {
                if index < self.alive.len() {
                    let pid = self.alive.remove(index);
                    self.step(exited(pid));
                }
            }
            Happens::Seen(index, pid) => {
                if let Some(&id) = ids.get(index) {
                    self.step(Event::Seen { id, pid });
                }
            }
            Happens::Touch(index) => {
                if let Some(&id) = ids.get(index) {
                    self.step(Event::Touched { id });
                }
            }
            Happens::Wait(seconds) => {
                self.now += Duration::from_secs(seconds);
                self.step(Event::Tick);
            }
            Happens::Refuse => self.refuse = !self.refuse,
        }
    }

    fn step(&mut self, event: Event) {
        let mut queue = vec![event];
        while let Some(event) = queue.pop() {
            for action in self.daemons.step(event, self.now) {
                match action {
                    Action::Spawn { id } if self.refuse => {
                        let why = "no".to_owned();
                        queue.push(Event::SpawnFailed { id, why });
                        self.refuse = false;
                    }
                    Action::Spawn { id } => {
                        self.last_pid += 1;
                        self.alive.push(self.last_pid);
                        let pid = self.last_pid;
                        queue.push(Event::Spawned { id, pid });
                    }
                    Action::Signal { pid, signal } => {
                        assert!(self.alive.contains(&pid), "signal to {pid}, which is gone");
                        if signal == KILL {
                            self.alive.retain(|&it| it != pid);
                            queue.push(exited(pid));
                        }
                    }
                    Action::Notify { .. }
                    | Action::Look { .. }
                    | Action::StopApp { .. }
                    | Action::Note(_) => (),
                }
            }
        }
    }
}
