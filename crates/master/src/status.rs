//! How the app is, for the emperor and for SIGUSR1.

use std::sync::atomic::Ordering;
use std::time::Instant;

use imperator_core::counters::{Counters, Worker};
use imperator_core::message::{AppStatus, Failure, WorkerStatus};
use imperator_core::settings::Protocol;

use crate::app::App;
use crate::effects::sampling::is_busy;
use crate::effects::{Child, Effects};
use crate::generation::{Role, State};
use crate::sockets;

pub(crate) fn status(app: &App, effects: &Effects, now: Instant) -> AppStatus {
    let workers = app
        .processes()
        .iter()
        .filter_map(|(id, it)| {
            let Role::Worker(worker) = it.role else {
                return None;
            };
            let child = effects.children.get(id);
            let words = child.and_then(|child| child.counters.as_ref());
            let counters = words.and_then(|words| Counters::open(words.words()));
            let requests = counters.map(|it| it.worker(Worker::Requests).load(Ordering::Relaxed));
            Some(WorkerStatus {
                id: worker,
                pid: it.pid?,
                generation: it.generation,
                state: state(it.state).to_owned(),
                requests: requests.unwrap_or(0),
            })
        })
        .collect();
    let busy = effects.children.values().filter(|child| {
        let words = child.counters.as_ref().map(|it| it.words());
        words.and_then(Counters::open).is_some_and(is_busy)
    });
    let mold = app
        .processes()
        .values()
        .find(|it| it.role == Role::Mold && it.is_up() && app.serving() == Some(it.generation));
    let serving = app
        .serving()
        .and_then(|serving| effects.generations.get(&serving));
    let mut notes = effects.notes.clone();
    if effects.succession.is_outdated {
        let text = "its master is of an earlier version: the next reload that succeeds brings a new one, as does `imperator restart`";
        notes.push(text.to_owned());
    }
    let dropped = effects.log.dropped();
    if dropped > 0 {
        notes.push(format!(
            "{dropped} log lines were dropped: nobody read them in time"
        ));
    }
    let lost: u64 = effects.children.values().filter_map(lost_lines).sum();
    if lost > 0 {
        notes.push(format!(
            "{lost} request lines were dropped: the log pipe was full"
        ));
    }
    let dispensable = app.is_asleep()
        && app.processes().is_empty()
        && app.starting().is_none()
        && effects.is_idle();
    AppStatus {
        dispensable,
        state: app.state(),
        generation: app.serving(),
        next: app
            .starting()
            .or(app.serving().filter(|_| app.is_rolling())),
        workers,
        mold: mold.and_then(|it| it.pid),
        sockets: effects.shown_sockets(),
        failure: effects.failure.clone(),
        failed: effects.failing.filter(|_| effects.failure.is_some()),
        failures: app.failures(),
        retry_in_ms: app.retry_at().map(|at| {
            let wait = at.saturating_duration_since(now);
            u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
        }),
        files: effects.files.clone(),
        notes,
        python: serving.and_then(|ready| ready.python.clone()),
        strays: app.strays(),
        beside: effects.beside.lines(now),
        busy: u32::try_from(busy.count()).unwrap_or(u32::MAX),
        most: serving
            .filter(|ready| ready.settings.scaling.least.is_some())
            .map(|ready| ready.settings.processes),
        queue: effects.numbers.queue,
        mercy_ms: effects.newest().map(|ready| {
            let mercy = ready.settings.worker_reload_mercy + effects.beside.mercy();
            u64::try_from(mercy.as_millis()).unwrap_or(u64::MAX)
        }),
        queue_limit: effects.troubles.queue_limit,
        troubles: effects.all_troubles(),
        running: effects.troubles.running.clone(),
        occupied: effects.troubles.occupied,
        capacity: effects.troubles.capacity,
        starting_ms: app
            .starting()
            .and_then(|next| effects.chronicle.age_of(next)),
        doing: effects.doing(),
        stuck: effects.stuck(),
        rate_milli: effects.numbers.rate,
        memory: effects.numbers.memory,
        since: app.serving().and(effects.chronicle.since),
        dropped: dropped.saturating_add(lost),
        trouble: effects.chronicle.trouble(),
        heard: effects.chronicle.heard,
        heard_for: effects.chronicle.heard_for,
    }
}

/// Request lines that a worker could not write.
fn lost_lines(child: &Child) -> Option<u64> {
    let counters = Counters::open(child.counters.as_ref()?.words())?;
    Some(
        counters
            .worker(Worker::LogLinesDropped)
            .load(Ordering::Relaxed),
    )
}

fn state(state: State) -> &'static str {
    match state {
        State::Starting { .. } => "starting",
        State::Up { .. } | State::Leaving { .. } => "accepting",
        State::Draining { .. } | State::Killed { .. } => "draining",
    }
}

/// What changes at every look says nothing new.
pub(crate) fn is_news(old: &AppStatus, new: &AppStatus) -> bool {
    let plain = |status: &AppStatus| {
        let mut status = status.clone();
        status.retry_in_ms = status.retry_in_ms.map(|_| 0);
        (status.busy, status.queue, status.dropped) = (0, None, 0);
        (status.rate_milli, status.memory) = (None, None);
        (status.starting_ms, status.occupied, status.capacity) = (None, 0, 0);
        status.running.clear();
        status.doing.clear();
        for trouble in &mut status.troubles {
            *trouble = Failure::default().of(trouble.cause);
        }
        status.workers.iter_mut().for_each(|it| it.requests = 0);
        // A flood would report each of its lines.
        status
            .notes
            .retain(|note| !note.contains(" were dropped: "));
        status
    };
    plain(old) != plain(new)
}

/// A few lines for SIGUSR1.
pub(crate) fn readable(name: &str, status: &AppStatus) -> String {
    let state = serde_json::to_value(status.state).ok();
    let state = state.as_ref().and_then(|it| it.as_str()).unwrap_or("?");
    let mut text = format!("status of {name}: {state}");
    if let Some(generation) = status.generation {
        text.push_str(&format!(", generation {generation}"));
    }
    if let Some(next) = status.next {
        text.push_str(&format!(", generation {next} starts"));
    }
    if let Some(python) = &status.python {
        text.push_str(&format!(", Python {python}"));
    }
    for socket in &status.sockets {
        text.push_str(&format!("\n  socket {socket}"));
    }
    for worker in &status.workers {
        let WorkerStatus {
            id,
            pid,
            generation,
            state,
            requests,
        } = worker;
        text.push_str(&format!(
            "\n  worker {id} pid {pid} generation {generation} {state}, {requests} requests"
        ));
    }
    for line in &status.beside {
        text.push_str(&format!("\n  {line}"));
    }
    if let Some(most) = status.most {
        let all = status.workers.len();
        text.push_str(&format!("\n  {all} workers of at most {most}"));
    }
    if let Some(queue) = status.queue {
        let busy = status.busy;
        text.push_str(&format!(
            "\n  {busy} workers busy, {queue} connections wait"
        ));
    }
    if let Some(failure) = &status.failure {
        text.push_str(&format!("\n  failure: {}", failure.summary));
    }
    if let Some(wait) = status.retry_in_ms {
        text.push_str(&format!("\n  next try in {:.1} s", wait as f64 / 1000.0));
    }
    for note in &status.notes {
        text.push_str(&format!("\n  note: {note}"));
    }
    text
}

impl Effects {
    /// The bound sockets, as a person reads them.
    pub(crate) fn shown_sockets(&self) -> Vec<String> {
        let listens = self.newest().map(|ready| ready.settings.listens.as_slice());
        let scheme = |protocol| match protocol {
            Protocol::Uwsgi => "uwsgi",
            Protocol::Http => "http",
        };
        listens
            .unwrap_or_default()
            .iter()
            .filter_map(|listen| {
                let listener = self.sockets.get(&listen.address)?;
                let scheme = match listen.tls {
                    Some(_) => "https",
                    None => scheme(listen.protocol),
                };
                Some(sockets::shown(scheme, &listen.address, listener.local()))
            })
            .collect()
    }

    /// All sockets with their protocol, as the emperor keeps them.
    pub(crate) fn held(&self) -> Vec<(imperator_core::message::Held, std::os::fd::BorrowedFd<'_>)> {
        use std::os::fd::AsFd;
        let protocol = |address: &_| {
            let mut newest = self.generations.values().rev();
            newest.find_map(|ready| {
                let mut listens = ready.settings.listens.iter();
                listens
                    .find(|it| it.address == *address)
                    .map(|it| it.protocol)
            })
        };
        self.sockets
            .iter()
            .map(|(address, listener)| {
                let held = imperator_core::message::Held {
                    protocol: protocol(address).unwrap_or(Protocol::Uwsgi),
                    address: address.clone(),
                };
                (held, listener.fd.as_fd())
            })
            .collect()
    }
}
