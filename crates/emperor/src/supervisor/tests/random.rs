//! A simulated world: masters that start, report, die, hang, and end when told or killed.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Act {
    Found(u8, Option<u8>),
    Gone(u8),
    Changed(u8),
    Touched(u8),
    Adopt(u8),
    /// The oldest unanswered spawn is answered.
    Answer(bool),
    Report(u8, bool, bool),
    Outdated(u8),
    /// The oldest wish for an heir is answered.
    AnswerHeir(bool),
    HeirReport(u8, bool),
    HeirDie(u8),
    /// The oldest master that retired ends.
    RetiredDie,
    Dispensable(u8),
    Called(u8),
    HangUp(u8),
    Die(u8),
    /// A process that was told to end does so.
    Obey(u8),
    Retry(Option<u8>),
    Halt(u8),
    ReloadAll,
    PauseAll,
    Wait(u16),
}

fn act() -> impl Strategy<Value = Act> {
    let app = 0_u8..6;
    prop_oneof![
        4 => (app.clone(), proptest::option::of(app.clone())).prop_map(|(a, b)| Act::Found(a, b)),
        2 => app.clone().prop_map(Act::Gone),
        2 => app.clone().prop_map(Act::Changed),
        2 => app.clone().prop_map(Act::Touched),
        1 => app.clone().prop_map(Act::Adopt),
        6 => any::<bool>().prop_map(Act::Answer),
        6 => (app.clone(), any::<bool>(), any::<bool>()).prop_map(|(a, s, c)| Act::Report(a, s, c)),
        3 => app.clone().prop_map(Act::Outdated),
        5 => any::<bool>().prop_map(Act::AnswerHeir),
        4 => (app.clone(), any::<bool>()).prop_map(|(a, s)| Act::HeirReport(a, s)),
        1 => app.clone().prop_map(Act::HeirDie),
        2 => Just(Act::RetiredDie),
        2 => app.clone().prop_map(Act::Dispensable),
        2 => app.clone().prop_map(Act::Called),
        1 => app.clone().prop_map(Act::HangUp),
        3 => app.clone().prop_map(Act::Die),
        3 => app.clone().prop_map(Act::Obey),
        1 => proptest::option::of(app.clone()).prop_map(Act::Retry),
        1 => app.prop_map(Act::Halt),
        1 => Just(Act::ReloadAll),
        1 => Just(Act::PauseAll),
        6 => (0_u16..20_000).prop_map(Act::Wait),
    ]
}

struct World {
    supervisor: Supervisor,
    now: Instant,
    next_pid: Pid,
    /// Living masters: name, and whether told to end.
    alive: BTreeMap<Pid, (Name, bool)>,
    asked: Vec<Name>,
    heirs: BTreeMap<Name, Pid>,
    asked_heirs: Vec<Name>,
    retired: BTreeMap<Pid, Name>,
}

impl World {
    fn pid_of(&self, app: u8) -> Option<Pid> {
        let name = name(app);
        let mine = |(pid, (owner, _)): (&Pid, &(Name, bool))| (*owner == name).then_some(*pid);
        self.alive.iter().find_map(mine)
    }

    fn step(&mut self, event: Event) {
        for action in self.supervisor.step(event, self.now) {
            match action {
                Action::Spawn(name) => {
                    assert!(
                        self.alive.values().all(|(owner, _)| *owner != name),
                        "two masters for {name}"
                    );
                    assert!(!self.asked.contains(&name), "two spawns for {name}");
                    self.asked.push(name);
                }
                Action::Order(name, order) => {
                    let master = self.alive.values_mut().find(|(owner, _)| *owner == name);
                    let (_, told) = master.expect("orders go to living masters");
                    *told |= matches!(order, Order::Stop | Order::Retire | Order::StopNow);
                }
                Action::Succeed(name) => {
                    let own = self.alive.values().filter(|(owner, _)| *owner == name);
                    assert_eq!(own.count(), 1, "an heir of one that lives");
                    assert!(!self.heirs.contains_key(&name), "two heirs of {name}");
                    self.asked_heirs.push(name);
                }
                Action::Promote(name) => {
                    let heir = self.heirs.remove(&name).expect("an heir");
                    let old = self.alive.iter().find(|(_, (owner, _))| *owner == name);
                    if let Some(old) = old.map(|(&pid, _)| pid) {
                        self.alive.remove(&old);
                        self.retired.insert(old, name.clone());
                    }
                    self.alive.insert(heir, (name, false));
                }
                Action::Dismiss(name) => {
                    let heir = self.heirs.remove(&name).expect("an heir");
                    self.retired.insert(heir, name);
                }
                Action::OrderHeir(name, _) => assert!(self.heirs.contains_key(&name)),
                Action::Press(pid) => assert!(self.retired.contains_key(&pid)),
                Action::Kill(name, pid) => {
                    let own = self.alive.get(&pid).map(|(owner, _)| owner);
                    let killed = own.or(self.retired.get(&pid));
                    assert_eq!(killed.expect("kills only what lives"), &name);
                }
                Action::Doze(_) | Action::Release(_) => (),
                Action::Forget(name) => {
                    assert!(!self.asked.contains(&name));
                }
            }
        }
        let starting = self.asked.len();
        assert!(starting <= 2, "{starting} starts at once");
        if let Some(deadline) = self.supervisor.deadline() {
            assert!(deadline > self.now, "a deadline in the past does nothing");
        }
    }

    fn end(&mut self, pid: Pid) {
        self.alive.remove(&pid);
        self.step(Event::Ended(pid));
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Found(app, after) => self.step(Event::Found {
                name: name(app),
                after: after.map(name),
            }),
            Act::Gone(app) => self.step(Event::Gone(name(app))),
            Act::Changed(app) => self.step(Event::Changed(name(app))),
            Act::Touched(app) => self.step(Event::Touched(name(app))),
            Act::Adopt(app) => {
                // Adoption precedes all spawns of that name.
                if self.pid_of(app).is_none() && !self.asked.contains(&name(app)) {
                    let pid = self.fresh(name(app));
                    self.step(Event::Adopted(name(app), pid));
                }
            }
            Act::Answer(well) => self.answer(well),
            Act::Report(app, serving, changing) => self.step(Event::Reported {
                name: name(app),
                state: if serving {
                    AppState::Serving
                } else {
                    AppState::Failing
                },
                changing,
                mercy: None,
            }),
            Act::Outdated(app) => self.step(Event::Outdated(name(app))),
            Act::AnswerHeir(well) => self.answer_heir(well),
            Act::HeirReport(app, serving) => self.step(Event::HeirReported(
                name(app),
                if serving {
                    AppState::Serving
                } else {
                    AppState::Failing
                },
            )),
            Act::HeirDie(app) => {
                if let Some(pid) = self.heirs.remove(&name(app)) {
                    self.step(Event::Ended(pid));
                }
            }
            Act::RetiredDie => {
                if let Some((pid, _)) = self.retired.pop_first() {
                    self.step(Event::Ended(pid));
                }
            }
            Act::Dispensable(app) => self.step(Event::Dispensable(name(app))),
            Act::Called(app) => self.step(Event::Called(name(app))),
            Act::HangUp(app) => {
                if let Some(pid) = self.pid_of(app) {
                    self.step(Event::HungUp(pid));
                }
            }
            Act::Die(app) => {
                if let Some(pid) = self.pid_of(app) {
                    self.end(pid);
                }
            }
            Act::Obey(app) => {
                if let Some(pid) = self.pid_of(app)
                    && self.alive[&pid].1
                {
                    self.end(pid);
                }
            }
            Act::Retry(app) => self.step(Event::Retry(app.map(name))),
            Act::Halt(app) => self.step(Event::Halt(name(app))),
            Act::ReloadAll => self.step(Event::ReloadAll),
            Act::PauseAll => self.step(Event::PauseAll),
            Act::Wait(millis) => {
                self.now += Duration::from_millis(u64::from(millis));
                self.step(Event::Tick);
            }
        }
    }

    fn answer(&mut self, well: bool) {
        if self.asked.is_empty() {
            return;
        }
        let name = self.asked.remove(0);
        if well {
            let pid = self.fresh(name.clone());
            self.step(Event::Spawned(name, pid));
        } else {
            self.step(Event::SpawnFailed(name));
        }
    }

    fn answer_heir(&mut self, well: bool) {
        if self.asked_heirs.is_empty() {
            return;
        }
        let name = self.asked_heirs.remove(0);
        if well {
            self.next_pid += 1;
            self.heirs.insert(name.clone(), self.next_pid);
            self.step(Event::HeirSpawned(name, self.next_pid));
        } else {
            self.step(Event::HeirFailed(name));
        }
    }

    fn fresh(&mut self, name: Name) -> Pid {
        self.next_pid += 1;
        self.alive.insert(self.next_pid, (name, false));
        self.next_pid
    }
}

fn name(app: u8) -> Name {
    format!("app{app}")
}

proptest! {
    #[test]
    fn whatever_happens_each_app_has_one_master_and_a_stop_ends(
        acts in proptest::collection::vec(act(), 0..200),
        deaf in any::<bool>(),
        leaves in any::<bool>(),
    ) {
        let mut world = World {
            supervisor: Supervisor::new(2),
            now: Instant::now(),
            next_pid: 100,
            alive: BTreeMap::new(),
            asked: Vec::new(),
            heirs: BTreeMap::new(),
            asked_heirs: Vec::new(),
            retired: BTreeMap::new(),
        };
        for act in acts {
            world.act(act);
        }
        world.step(if leaves { Event::Leave } else { Event::Stop });
        // `deaf`: nobody obeys, so only deadlines bring the end.
        for _ in 0..200 {
            if world.supervisor.is_finished() {
                break;
            }
            world.answer(true);
            world.answer_heir(true);
            if !deaf {
                world.act(Act::RetiredDie);
            }
            let told = world.alive.iter().find(|(_, (_, told))| *told && !deaf);
            if let Some(pid) = told.map(|(pid, _)| *pid) {
                world.end(pid);
            } else if let Some(deadline) = world.supervisor.deadline() {
                world.now = deadline;
                world.step(Event::Tick);
            }
        }
        prop_assert!(world.supervisor.is_finished(), "{:?}", world.supervisor);
    }
}
