//! The master's loop: one thread, one poll(2). Feeds events to `app.rs`, carries out its actions.

mod emperor;
mod outdated;
mod signals;

use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use imperator_core::history::What;
use imperator_core::message::AppStatus;
use imperator_core::settings::hooks::Phase;
use imperator_process::poll::{Interest, PollSet};
use imperator_process::signals::SignalSet;

use crate::app::App;
use crate::clock;
use crate::control::{Control, Holding};
use crate::effects::Effects;
use crate::event::{Event, ProcessId};
use crate::modules::Found;
use crate::{stats, status};

use self::outdated::Left;

/// How often touched files are looked for.
const SECOND: Duration = Duration::from_secs(1);

/// An emperor that was too busy to hear something is told again.
const TELL_AGAIN: Duration = Duration::from_millis(100);

pub(crate) struct Master {
    pub app: App,
    pub effects: Effects,
    pub control: Control,
    pub signals: SignalSet,
    pub(crate) queue: VecDeque<Event>,
    reported: Option<AppStatus>,
    stop_signals: u32,
    next_second: Instant,
    last_look: Instant,
    next_sample: Instant,
    next_memory: Instant,
    is_slim: bool,
    pub(crate) left: Left,
}

/// What one turn found, by name instead of by index.
#[derive(Default)]
struct Woken {
    children: Vec<ProcessId>,
    app_log: bool,
    request_log: bool,
    resolver: bool,
    control: bool,
    stats: bool,
    beside: bool,
    sinks: bool,
    /// A connection waits for an app that sleeps.
    called: bool,
    modules: bool,
}

impl Master {
    pub(crate) fn new(app: App, effects: Effects, control: Control, signals: SignalSet) -> Self {
        let now = clock::now();
        Self {
            app,
            effects,
            control,
            signals,
            queue: VecDeque::from([Event::Begin]),
            reported: None,
            stop_signals: 0,
            next_second: now,
            last_look: now,
            next_sample: now,
            next_memory: now,
            is_slim: false,
            left: Left::default(),
        }
    }

    /// Serves until the app is unwanted; returns the exit code.
    pub(crate) fn run(&mut self) -> i32 {
        loop {
            while let Some(event) = self.queue.pop_front() {
                let now = clock::now();
                if self.leaves_to_emperor(&event, now) {
                    continue;
                }
                if event == Event::StopNow {
                    self.effects.end_beside_now(now);
                }
                let before = self.app.starting();
                for action in self.app.step(event, now) {
                    let failed = self.effects.tell_before(&action);
                    self.queue.extend(self.effects.carry_out(action, now));
                    self.effects.tell_failure(failed);
                }
                // A reload may have to wait for the one that is on its way.
                let begun = self
                    .app
                    .starting()
                    .filter(|_| self.app.starting() != before);
                self.effects.chronicle.heard_for(begun);
            }
            self.tell();
            if self.effects.has_just_ceded() {
                self.control.ceded();
            }
            if self.control.has_lost_emperor() {
                self.lose_emperor();
                let phase = Phase::EmperorLost;
                let now = clock::now();
                self.effects.start_phase("hook-emperor-lost", phase, now);
            }
            if self.effects.ended && self.effects.end_beside(clock::now()) {
                break;
            }
            self.slim_while_asleep();
            match self.wait() {
                Ok(woken) => self.hear(&woken),
                // Only a bug or want of memory: say so, and do not turn in a hot circle.
                Err(error) => {
                    self.effects.note(format!("poll failed: {error}"));
                    return 1;
                }
            }
        }
        self.end()
    }

    /// A sleeping app costs as little as can be: what its start needed is given back.
    fn slim_while_asleep(&mut self) {
        let sleeps = self.app.is_asleep() && self.app.processes().is_empty();
        if sleeps && !self.is_slim && self.app.starting().is_none() {
            imperator_process::memory::slim();
        }
        self.is_slim = sleeps;
    }

    fn end(&mut self) -> i32 {
        self.effects.log.read_app();
        self.effects.log.read_requests();
        let why = self.effects.stop_reason.clone();
        let why = why.unwrap_or_else(|| "stopped".to_owned());
        self.effects.log.note(&why);
        self.effects.chronicle.tell(What::Stopped, &why);
        self.serve_guests();
        crate::pidfile::remove(self.effects.pidfile.as_deref());
        self.control.goodbye(&why);
        0
    }

    /// Tells the emperor what changed.
    fn tell(&mut self) {
        if self.effects.sockets_changed {
            self.effects.sockets_changed = !self.hold();
        }
        let now = clock::now();
        let status = status::status(&self.app, &self.effects, now);
        let is_news = self
            .reported
            .as_ref()
            .is_none_or(|old| status::is_news(old, &status));
        if is_news {
            let told = self.control.report(&status);
            self.reported = Some(status).filter(|_| told);
        }
        self.serve_guests();
    }

    /// Lines, and what happened, to whom it concerns.
    fn serve_guests(&mut self) {
        let Effects { chronicle, log, .. } = &mut self.effects;
        self.control.tell_news(chronicle);
        self.control.show_lines(&log.kept);
    }

    fn hold(&mut self) -> bool {
        let holding = Holding {
            listeners: self.effects.held(),
            logs: [
                self.effects.log.app.read.as_fd(),
                self.effects.log.requests.read.as_fd(),
            ],
        };
        self.control.hold(&holding)
    }

    fn wait(&mut self) -> std::io::Result<Woken> {
        let now = clock::now();
        let timeout = self
            .deadline()
            .map(|deadline| deadline.saturating_duration_since(now));
        let effects = &self.effects;
        let mut poll = PollSet::new();
        poll.add(self.signals.as_fd(), Interest::Read);
        let app_log = poll.add(effects.log.app.read.as_fd(), Interest::Read);
        let rests = effects.log.rests_until.is_some();
        let requests = (!rests).then_some(effects.log.requests.read.as_fd());
        let request_log = requests.map(|fd| poll.add(fd, Interest::Read));
        let resolver = effects
            .resolving
            .as_ref()
            .map(|it| poll.add(it.as_fd(), Interest::Read));
        let listener = self.control.listener();
        let mut control: Vec<_> = listener
            .map(|fd| poll.add(fd, Interest::Read))
            .into_iter()
            .collect();
        let peers = self.control.peers();
        control.extend(peers.map(|(fd, interest)| poll.add(fd, interest)));
        let mut served: Vec<_> = effects
            .stats
            .listener()
            .map(|fd| poll.add(fd, Interest::Read))
            .into_iter()
            .collect();
        served.extend(
            effects
                .stats
                .clients()
                .map(|(fd, interest)| poll.add(fd, interest)),
        );
        let sinks: Vec<_> = effects
            .log
            .blocked()
            .map(|fd| poll.add(fd, Interest::Write))
            .collect();
        let children: Vec<_> = effects
            .children
            .iter()
            .filter(|(_, child)| child.is_open)
            .map(|(&id, child)| (id, poll.add(child.channel.as_fd(), Interest::Read)))
            .collect();
        let sleeps = self.app.is_asleep();
        let listeners = effects.sockets.iter().filter(|_| sleeps);
        let called: Vec<_> = listeners
            .map(|(_, listener)| poll.add(listener.fd.as_fd(), Interest::Read))
            .collect();
        let beside: Vec<_> = effects
            .beside
            .fds()
            .map(|fd| poll.add(fd, Interest::Read))
            .collect();
        let modules = effects.modules.fd();
        let modules = modules.map(|fd| poll.add(fd, Interest::Read));
        poll.wait(timeout)?;
        let any = |indexes: &[usize]| indexes.iter().any(|&index| poll.is_ready(index));
        Ok(Woken {
            app_log: poll.is_ready(app_log),
            // Whatever else woke us may be about a request: its line comes first.
            request_log: request_log.is_none_or(|index| poll.is_ready(index)),
            resolver: resolver.is_some_and(|index| poll.is_ready(index)),
            control: any(&control),
            stats: any(&served),
            beside: any(&beside),
            sinks: any(&sinks),
            called: any(&called),
            modules: modules.is_some_and(|index| poll.is_ready(index)),
            children: children
                .into_iter()
                .filter(|&(_, index)| poll.is_ready(index))
                .map(|(id, _)| id)
                .collect(),
        })
    }

    fn deadline(&self) -> Option<Instant> {
        let effects = &self.effects;
        let second = effects.wants_seconds().then_some(self.next_second);
        let look = match effects.look_now {
            true => Some(self.last_look),
            false => effects.look_interval().map(|it| self.last_look + it),
        };
        let sample = effects.wants_samples().then_some(self.next_sample);
        let memory = effects.memory_interval().map(|_| self.next_memory);
        let resolving = effects.resolving.as_ref().map(|it| it.deadline);
        let owes = self.reported.is_none()
            || effects.sockets_changed
            || self.control.owes(&effects.log.kept);
        let again = owes.then(|| clock::now() + TELL_AGAIN);
        self.app
            .deadline()
            .into_iter()
            .chain(second)
            .chain(look)
            .chain(sample)
            .chain(memory)
            .chain(resolving)
            .chain(again)
            .chain(self.left.until)
            .chain(effects.log.rests_until)
            .chain(effects.stats.deadline())
            .chain(effects.beside.deadline())
            .chain(effects.modules.deadline())
            .min()
    }

    fn hear(&mut self, woken: &Woken) {
        let now = clock::now();
        // Output first: a failure quotes it.
        if woken.app_log {
            self.effects.log.read_app();
        }
        if woken.request_log {
            self.effects.log.read_requests();
        }
        if woken.modules {
            self.effects.modules.told(now);
        }
        if woken.sinks {
            self.effects.log.flush();
        }
        for &id in &woken.children {
            self.queue.extend(self.effects.hear(id));
        }
        let late = self
            .effects
            .resolving
            .as_ref()
            .is_some_and(|it| it.deadline <= now);
        if woken.resolver || late {
            self.queue.extend(self.effects.continue_resolving(now));
        }
        if woken.control {
            self.hear_emperor();
        }
        for signal in self.signals.take() {
            self.hear_signal(signal);
        }
        if woken.stats || self.effects.stats.deadline().is_some_and(|at| at <= now) {
            let mut stats = std::mem::take(&mut self.effects.stats);
            stats.accept(now, |look| stats::document(&self.app, &self.effects, look));
            stats.write(now);
            self.effects.stats = stats;
        }
        if woken.called {
            self.effects.log.note("a connection wakes the app");
            self.queue.push_back(Event::Wake);
        }
        let due = self.effects.beside.deadline().is_some_and(|at| at <= now);
        if woken.beside || due {
            self.queue.extend(self.effects.hear_beside(now));
        }
        self.hear_clock(now);
        if self.left.until.is_some_and(|at| at <= now) {
            self.reload_without_emperor();
        }
        self.effects.tell_alarms();
        self.obey_all(now);
        if self.app.deadline().is_some_and(|at| at <= now) {
            self.queue.push_back(Event::Tick);
        }
    }

    fn hear_clock(&mut self, now: Instant) {
        if self.effects.wants_seconds() && self.next_second <= now {
            self.next_second = now + SECOND;
            if let Some(file) = self.effects.touched.check() {
                let event = self.reload_for(&format!("{} was touched", file.display()));
                self.queue.push_back(event);
            }
            self.effects.check_touches(now);
            self.effects.look_for_full_queues();
        }
        if self.effects.wants_samples() && self.next_sample <= now {
            self.next_sample = now + SECOND;
            if let Some(busy) = self.app.take_busyness() {
                self.effects.tell_busyness(busy);
            }
            let sample = self.effects.sample();
            self.queue.push_back(Event::Sample(sample));
        }
        if let Some(interval) = self.effects.memory_interval()
            && self.next_memory <= now
        {
            self.next_memory = now + interval;
            self.queue.extend(self.effects.look_for_evil());
        }
        match self.effects.modules.check(now) {
            Some(Found::Changed(file)) => {
                let text = format!("{} changed: reload", file.display());
                self.effects.log.note(&text);
                self.effects.chronicle.asked("py-autoreload");
                self.queue.push_back(Event::Reload);
            }
            Some(Found::Restless(file)) => self.effects.note(format!(
                "{} changes each time when the app is loaded: py-autoreload waits for it now, 4 s and \
                 ever longer; if the app writes it, name it in py-auto-reload-ignore, or write it \
                 elsewhere",
                file.display()
            )),
            None => (),
        }
        let interval = self.effects.look_interval();
        let is_due = interval.is_some_and(|it| self.last_look + it <= now);
        if self.effects.look_now || is_due {
            self.last_look = now;
            self.queue.extend(self.effects.look_at_workers());
        }
    }

    pub(crate) fn stop_for(&mut self, why: &str) {
        self.effects
            .stop_reason
            .get_or_insert_with(|| why.to_owned());
    }
}
