//! A worker in this process with a Rust app behind real sockets, its master's end of the channel,
//! and clients for both protocols. Each wait has a deadline.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use imperator_core::address::Address;
use imperator_core::counters;
use imperator_core::message::{FromWorker, Held, Pem, Setup, ToWorker, VERSION};
use imperator_core::packet::encode;
use imperator_core::settings::logs::{Logs, RequestLines};
use imperator_core::settings::{Protocol, Settings};
use imperator_process::channel::{Channel, Received};
use imperator_worker::signals::Signals;
use imperator_worker::{App, Exchange, Interpreter, Parts, WorkerContext, serve};

/// No wait in these tests is longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

type Answer = dyn Fn(&Arc<Exchange>, &dyn Interpreter) + Send + Sync;

/// An interpreter without a lock, and an app made of a closure.
#[derive(Clone)]
pub(crate) struct RustApp(pub(crate) Arc<Answer>);

impl Interpreter for RustApp {
    fn unlocked(&self, wait: &mut (dyn FnMut() + Send)) {
        wait();
    }
}

impl App for RustApp {
    fn call(&self, exchange: &Arc<Exchange>) {
        (self.0)(exchange, self);
    }
}

/// One worker that runs in threads of this test.
pub(crate) struct Worker {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) context: Arc<WorkerContext>,
    pub(crate) master: Option<Channel>,
    log: std::fs::File,
    /// The sockets as the master keeps them.
    pub(crate) listeners: Vec<OwnedFd>,
    threads: Vec<JoinHandle<()>>,
    heard: Vec<FromWorker>,
}

impl Worker {
    /// `listen`: file names in the test's own directory.
    pub(crate) fn start(
        listen: &[(Protocol, &str)],
        settings: impl FnOnce(&mut Settings),
        app: impl Fn(&Arc<Exchange>, &dyn Interpreter) + Send + Sync + 'static,
    ) -> Self {
        let (dir, sockets) = Self::bind(listen);
        Self::start_on(dir, sockets, settings, app)
    }

    pub(crate) fn bind(
        listen: &[(Protocol, &str)],
    ) -> (tempfile::TempDir, Vec<(Protocol, Address, OwnedFd)>) {
        let dir = tempfile::tempdir().unwrap();
        let sockets = listen
            .iter()
            .map(|(protocol, name)| {
                let path = dir.path().join(name);
                let listener = UnixListener::bind(&path).unwrap();
                (*protocol, Address::Unix(path), OwnedFd::from(listener))
            })
            .collect();
        (dir, sockets)
    }

    pub(crate) fn start_on(
        dir: tempfile::TempDir,
        sockets: Vec<(Protocol, Address, OwnedFd)>,
        change: impl FnOnce(&mut Settings),
        app: impl Fn(&Arc<Exchange>, &dyn Interpreter) + Send + Sync + 'static,
    ) -> Self {
        Self::run(Signals::none(), dir, sockets, Vec::new(), change, app)
    }

    pub(crate) fn run(
        signals: Signals,
        dir: tempfile::TempDir,
        sockets: Vec<(Protocol, Address, OwnedFd)>,
        tls: Vec<Option<Pem>>,
        change: impl FnOnce(&mut Settings),
        app: impl Fn(&Arc<Exchange>, &dyn Interpreter) + Send + Sync + 'static,
    ) -> Self {
        let mut settings = Settings {
            logs: Logs {
                requests: RequestLines {
                    disabled: true,
                    ..RequestLines::default()
                },
                ..Logs::default()
            },
            ..Settings::default()
        };
        change(&mut settings);
        let cores = settings.threads as usize;
        let held = sockets
            .iter()
            .map(|(protocol, address, _)| Held {
                protocol: *protocol,
                address: address.clone(),
            })
            .collect();
        let listeners: Vec<OwnedFd> = sockets.into_iter().map(|(_, _, socket)| socket).collect();
        for listener in &listeners {
            imperator_process::fds::set_nonblocking(listener, true).unwrap();
        }
        let (here, there) = Channel::pair().unwrap();
        here.set_nonblocking(true).unwrap();
        let log_path = dir.path().join("request.log");
        let log = std::fs::File::create(&log_path).unwrap();
        let context = WorkerContext::start(Parts {
            setup: Setup {
                version: VERSION,
                name: "test".to_owned(),
                generation: 1,
                worker: Some(1),
                settings,
                listeners: held,
                tls,
                mercy: Duration::from_secs(600),
                cwd: "/".into(),
                first: true,
                loads_first: true,
                unproven: false,
            },
            listeners: listeners
                .iter()
                .map(|listener| listener.try_clone().unwrap())
                .collect(),
            counters: imperator_process::shared::create("test", counters::words(cores)).unwrap(),
            channel: there,
            request_log: Some(log.try_clone().unwrap().into()),
            signals,
            stacks: None,
        })
        .unwrap();
        let app = RustApp(Arc::new(app));
        let threads = (0..cores)
            .map(|core| {
                let (context, app) = (Arc::clone(&context), app.clone());
                std::thread::Builder::new()
                    .spawn(move || serve(&context, core, &app))
                    .unwrap()
            })
            .collect();
        let mut worker = Self {
            dir,
            context,
            master: Some(here),
            log: std::fs::File::open(log_path).unwrap(),
            listeners,
            threads,
            heard: Vec::new(),
        };
        worker.wait_for_message("Accepting", |said| *said == FromWorker::Accepting);
        worker
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn connect(&self, name: &str) -> UnixStream {
        let stream = UnixStream::connect(self.path(name)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends bytes, says nothing more, and reads to the end.
    pub(crate) fn talk(&self, name: &str, bytes: &[u8]) -> String {
        let mut stream = self.connect(name);
        stream.write_all(bytes).unwrap();
        read_all(&mut stream)
    }

    pub(crate) fn tell(&self, message: &ToWorker) {
        self.master.as_ref().unwrap().send(message, &[]).unwrap();
    }

    #[track_caller]
    pub(crate) fn wait_for_message(
        &mut self,
        what: &str,
        wanted: impl Fn(&FromWorker) -> bool,
    ) -> FromWorker {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.heard.iter().position(&wanted) {
                return self.heard.remove(at);
            }
            match self.master.as_ref().unwrap().receive().unwrap() {
                Received::Message(message, _) => self.heard.push(message),
                Received::Closed => panic!("the worker closed its channel; waited for {what}"),
                Received::Empty => std::thread::yield_now(),
            }
            assert!(
                Instant::now() < deadline,
                "waited for {what}; heard {:?}",
                self.heard
            );
        }
    }

    /// Whether something was said, looking at what is there now.
    pub(crate) fn has_said(&mut self, wanted: impl Fn(&FromWorker) -> bool) -> bool {
        while let Received::Message(message, _) = self.master.as_ref().unwrap().receive().unwrap() {
            self.heard.push(message);
        }
        self.heard.iter().any(wanted)
    }

    pub(crate) fn count(&self, word: counters::Worker) -> u64 {
        let counters = self.context.counters();
        counters
            .worker(word)
            .load(std::sync::atomic::Ordering::Relaxed)
    }

    #[track_caller]
    pub(crate) fn wait_until(&self, what: &str, mut is_so: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so(self) {
            assert!(Instant::now() < deadline, "waited until {what}");
            std::thread::yield_now();
        }
    }

    #[track_caller]
    pub(crate) fn wait_until_ended(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while self.threads.iter().any(|thread| !thread.is_finished()) {
            assert!(Instant::now() < deadline, "the app threads did not end");
            std::thread::yield_now();
        }
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
    }

    /// The request log so far.
    pub(crate) fn log(&mut self) -> String {
        let mut text = String::new();
        std::io::Seek::rewind(&mut self.log).unwrap();
        self.log.read_to_string(&mut text).unwrap();
        text
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.master = None;
        if !std::thread::panicking() {
            self.wait_until_ended();
        }
        self.context.dismiss();
    }
}

/// A gate that tests open by hand.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub(crate) fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    #[track_caller]
    pub(crate) fn pass(&self) {
        let open = self.0.0.lock().unwrap();
        let (open, _) = self
            .0
            .1
            .wait_timeout_while(open, PATIENCE, |open| !*open)
            .unwrap();
        assert!(*open, "the gate stayed shut");
    }
}

pub(crate) fn read_all(stream: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    if let Err(error) = stream.read_to_end(&mut bytes) {
        panic!("{error} after {}", bytes.escape_ascii());
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A uwsgi packet.
pub(crate) fn packet(vars: &[(&str, &str)]) -> Vec<u8> {
    packet_of(0, vars)
}

pub(crate) fn packet_of(modifier1: u8, vars: &[(&str, &str)]) -> Vec<u8> {
    let mut packet = Vec::new();
    encode(modifier1, vars.iter().copied(), &mut packet).unwrap();
    packet
}

/// What nginx sends for a GET.
pub(crate) fn get(uri: &str) -> Vec<u8> {
    packet(&vars("GET", uri))
}

pub(crate) fn vars<'a>(method: &'a str, uri: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("QUERY_STRING", ""),
        ("REQUEST_METHOD", method),
        ("REQUEST_URI", uri),
        ("PATH_INFO", uri),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("REMOTE_ADDR", "1.2.3.4"),
        ("SERVER_NAME", "localhost"),
        ("SERVER_PORT", "80"),
    ]
}

pub(crate) fn post(uri: &str, length: usize) -> Vec<u8> {
    let length = length.to_string();
    let mut vars = vars("POST", uri);
    vars.push(("CONTENT_LENGTH", &length));
    packet(&vars)
}

/// `200 OK` with a short text.
pub(crate) fn ok(exchange: &Exchange, interpreter: &dyn Interpreter, text: &str) {
    exchange
        .start(b"200 OK", &[(b"Content-Type", b"text/plain")], false)
        .unwrap();
    let _ = exchange.write_last(interpreter, text.as_bytes());
}

/// Reads the whole body.
pub(crate) fn body(exchange: &Exchange, interpreter: &dyn Interpreter) -> Vec<u8> {
    let mut bytes = Vec::new();
    while exchange.read(interpreter, &mut bytes, 1 << 20).unwrap() > 0 {}
    bytes
}

/// The request as text, one variable a line.
pub(crate) fn shown(exchange: &Exchange) -> String {
    exchange
        .vars()
        .map(|(key, value)| format!("{}={}\n", key.escape_ascii(), value.escape_ascii()))
        .collect()
}
