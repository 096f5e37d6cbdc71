//! The stats server: one JSON document per connection, in the original's shape, without the
//! requests' variables (they hold cookies).

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::Ordering;
use std::time::Instant;

use imperator_core::address::Address;
use imperator_core::counters::{Core, Counters, Worker};
use imperator_core::settings::logs::StatsLook;
use imperator_process::documents::Documents;
use imperator_process::poll::Interest;
use serde_json::{Value, json};

use crate::app::App;
use crate::effects::{Child, Effects};
use crate::sockets::{Listener, Look, Sockets};

const BACKLOG: u32 = 64;

#[derive(Debug, Default)]
pub(crate) struct Stats {
    sockets: Sockets,
    documents: Documents,
    look: StatsLook,
}

impl Stats {
    /// # Errors
    /// A text that says why there is no stats server.
    pub(crate) fn configure(
        &mut self,
        address: Option<&Address>,
        look: StatsLook,
    ) -> Result<(), String> {
        self.look = look;
        self.documents.http = look.http;
        self.sockets.retain(|open| Some(open) == address);
        let wanted: Vec<_> = address.into_iter().cloned().collect();
        self.sockets
            .bind_missing(&wanted, BACKLOG, Look::default())
            .map_err(|error| format!("no stats server: {error}; hint: {}", error.hint()))
    }

    pub(crate) fn close(&mut self) {
        self.sockets.retain(|_| false);
    }

    pub(crate) fn listener(&self) -> Option<BorrowedFd<'_>> {
        let listener = self.sockets.iter().next();
        let room = self.documents.has_room();
        listener.filter(|_| room).map(|(_, it)| it.fd.as_fd())
    }

    pub(crate) fn clients(&self) -> impl Iterator<Item = (BorrowedFd<'_>, Interest)> {
        self.documents.readers()
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.documents.deadline()
    }

    /// Takes the readers that wait.
    pub(crate) fn accept(&mut self, now: Instant, text: impl Fn(StatsLook) -> Vec<u8>) {
        if let Some((_, listener)) = self.sockets.iter().next() {
            let look = self.look;
            self.documents
                .accept(listener.fd.as_fd(), now, || text(look));
        }
    }

    pub(crate) fn write(&mut self, now: Instant) {
        self.documents.write(now);
    }
}

/// The document (uwsgi: core/master_utils.c, uwsgi_master_generate_stats).
pub(crate) fn document(app: &App, effects: &Effects, look: StatsLook) -> Vec<u8> {
    let sockets: Vec<_> = effects
        .sockets
        .iter()
        .map(|(address, listener)| socket(effects, address, listener))
        .collect();
    let queue = |key: &str| sockets.iter().filter_map(|it| it[key].as_u64()).max();
    let busy = app.is_paused();
    let mut workers: Vec<(u32, Value)> = effects
        .children
        .iter()
        .filter(|(id, _)| app.processes().get(id).is_some_and(|it| it.holds_slot()))
        .filter_map(|(_, child)| Some((child.worker?, worker(effects, child, busy, look)?)))
        .collect();
    let most = effects.newest().map_or(0, |it| it.settings.processes);
    let empty = app.empty_places(most);
    workers.extend(empty.into_iter().map(|id| (id, cheap(effects, id))));
    workers.sort_by_key(|(id, _)| *id);
    let workers: Vec<_> = workers.into_iter().map(|(_, worker)| worker).collect();
    let mut document = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "listen_queue": queue("queue").unwrap_or(0),
        "listen_queue_errors": 0,
        "signal_queue": 0,
        "load": queue("queue").unwrap_or(0),
        "pid": std::process::id(),
        "uid": nix::unistd::getuid().as_raw(),
        "gid": nix::unistd::getgid().as_raw(),
        "cwd": effects.origin.cwd,
        "locks": [],
        "sockets": sockets,
        "workers": workers,
    });
    let (daemons, crons) = effects.beside.numbers(crate::clock::now());
    if let Some(fields) = document.as_object_mut() {
        let lists = [("daemons", daemons), ("crons", crons)];
        for (name, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
            fields.insert(name.to_owned(), list.into());
        }
    }
    let text = match look.minified {
        true => serde_json::to_vec(&document),
        false => serde_json::to_vec_pretty(&document),
    };
    let mut text = text.unwrap_or_default();
    text.push(b'\n');
    text
}

fn socket(effects: &Effects, address: &Address, listener: &Listener) -> Value {
    let settings = effects.newest().map(|ready| &ready.settings);
    let mut listens = settings.iter().flat_map(|it| &it.listens);
    let proto = listens
        .find(|it| it.address == *address)
        .map(|it| it.protocol);
    let queue = effects.kernel.waiting(listener);
    json!({
        "name": listener.local().map_or_else(|| address.to_string(), |it| it.to_string()),
        "proto": proto,
        "queue": queue.unwrap_or(0),
        "max_queue": settings.map_or(0, |it| it.backlog.min(crate::sockets::somaxconn())),
        "shared": 0,
        "can_offload": 0,
    })
}

fn worker(effects: &Effects, child: &Child, is_paused: bool, look: StatsLook) -> Option<Value> {
    let id = child.worker?;
    let pid = child.pid?;
    let counters = Counters::open(child.counters.as_ref()?.words())?;
    let of = |word| counters.worker(word).load(Ordering::Relaxed);
    let settings = &effects.generations.get(&child.generation)?.settings;
    let ready = effects.generations.get(&child.generation)?;
    let cores: Vec<_> = (0..counters.cores())
        .map(|core| core_of(counters, core))
        .collect();
    let is_busy = cores.iter().any(|core| core["in_request"] == 1);
    let status = match (is_paused, is_busy) {
        (true, _) => "pause",
        (false, true) => "busy",
        (false, false) => "idle",
    };
    let (rss, vsz) = memory(pid).unwrap_or((0, 0));
    let apps: Vec<_> = settings
        .mounts
        .iter()
        .enumerate()
        .map(|(index, mount)| {
            json!({
                "id": index,
                "modifier1": 0,
                "mountpoint": mount.prefix,
                "startup_time": ready.load_seconds.round(),
                "requests": if index == 0 { of(Worker::Requests) } else { 0 },
                "exceptions": if index == 0 { of(Worker::Exceptions) } else { 0 },
                "chdir": settings.chdir.clone().unwrap_or_default(),
            })
        })
        .collect();
    let mut document = json!({
        "id": id,
        "pid": pid,
        "accepting": of(Worker::Accepting).min(1),
        "requests": of(Worker::Requests),
        "delta_requests": of(Worker::Requests),
        "exceptions": of(Worker::Exceptions),
        "harakiri_count": effects.harakiris.get(&id).copied().unwrap_or(0),
        "signals": 0,
        "signal_queue": 0,
        "status": status,
        "rss": rss,
        "vsz": vsz,
        "running_time": of(Worker::RunningMicros),
        "last_spawn": child.born,
        "respawn_count": effects.respawns.get(&id).copied().unwrap_or(0),
        "tx": of(Worker::TxBytes),
        "avg_rt": of(Worker::AvgMicros),
        "apps": apps,
    });
    if !look.no_cores {
        document["cores"] = cores.into();
    }
    Some(document)
}

fn core_of(counters: Counters<'_>, core: usize) -> Value {
    let of = |word| counters.core(core, word).load(Ordering::Relaxed);
    let in_request = u8::from(of(Core::StartMillis) != 0);
    let mut value = json!({
        "id": core,
        "requests": of(Core::Requests),
        "static_requests": of(Core::StaticRequests),
        "routed_requests": 0,
        "offloaded_requests": 0,
        "write_errors": of(Core::WriteErrors),
        "read_errors": of(Core::ReadErrors),
        "in_request": in_request,
        "vars": [],
        "req_info": {},
    });
    if in_request == 1 {
        value["req_info"] = json!({"request_start": of(Core::StartEpoch)});
    }
    value
}

/// A place where no worker is wanted now.
fn cheap(effects: &Effects, id: u32) -> Value {
    json!({
        "id": id,
        "pid": 0,
        "accepting": 0,
        "requests": 0,
        "delta_requests": 0,
        "exceptions": 0,
        "harakiri_count": effects.harakiris.get(&id).copied().unwrap_or(0),
        "signals": 0,
        "signal_queue": 0,
        "status": "cheap",
        "rss": 0,
        "vsz": 0,
        "running_time": 0,
        "last_spawn": 0,
        "respawn_count": effects.respawns.get(&id).copied().unwrap_or(0),
        "tx": 0,
        "avg_rt": 0,
        "apps": [],
        "cores": [],
    })
}

/// Resident and virtual bytes.
pub(crate) fn memory(pid: i32) -> Option<(u64, u64)> {
    let statm = procfs::process::Process::new(pid).ok()?.statm().ok()?;
    let page = procfs::page_size();
    Some((statm.resident * page, statm.size * page))
}
