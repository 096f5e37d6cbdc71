//! A worker without a language, for measuring the request path alone:
//! `cargo run --release -p imperator-worker --example hello -- /tmp/hello.sock uwsgi 1`
//! (socket, `uwsgi` or `http`, threads). It ends with SIGTERM.

use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

use imperator_core::address::Address;
use imperator_core::counters;
use imperator_core::message::{Held, Setup, VERSION};
use imperator_core::settings::logs::{Logs, RequestLines};
use imperator_core::settings::{Protocol, Settings};
use imperator_process::channel::Channel;
use imperator_worker::{App, Exchange, Interpreter, Parts, WorkerContext, serve};

#[derive(Clone, Copy)]
struct Hello;

impl Interpreter for Hello {
    fn unlocked(&self, wait: &mut (dyn FnMut() + Send)) {
        wait();
    }
}

impl App for Hello {
    fn call(&self, exchange: &Arc<Exchange>) {
        let headers: &[(&[u8], &[u8])] = &[(b"Content-Type", b"text/plain")];
        if exchange.start(b"200 OK", headers, false).is_ok() {
            // A client that is gone is counted by the worker.
            let _ = exchange.write_last(self, b"Hello, world!\n");
        }
    }
}

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().unwrap_or_else(|| "hello.sock".to_owned());
    let protocol = match arguments.next().as_deref() {
        Some("http") => Protocol::Http,
        Some(_) | None => Protocol::Uwsgi,
    };
    let threads = arguments.next().and_then(|text| text.parse().ok());
    let settings = Settings {
        threads: threads.unwrap_or(1),
        logs: Logs {
            requests: RequestLines {
                disabled: true,
                ..RequestLines::default()
            },
            ..Logs::default()
        },
        http_keepalive: Some(Duration::from_secs(60)),
        ..Settings::default()
    };
    let cores = settings.threads as usize;
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path)?;
    listener.set_nonblocking(true)?;
    let (_master, channel) = Channel::pair()?;
    let worker = WorkerContext::start(Parts {
        setup: Setup {
            version: VERSION,
            name: "hello".to_owned(),
            generation: 1,
            worker: Some(1),
            settings,
            listeners: vec![Held {
                protocol,
                address: Address::Unix(path.into()),
            }],
            tls: Vec::new(),
            mercy: Duration::from_secs(5),
            cwd: "/".into(),
            first: true,
            loads_first: true,
            unproven: false,
        },
        listeners: vec![listener.into()],
        counters: imperator_process::shared::create("hello", counters::words(cores))?,
        channel,
        request_log: None,
        signals: imperator_worker::signals::install()?,
        stacks: None,
    })?;
    std::thread::scope(|scope| {
        for core in 1..cores {
            let worker = &worker;
            std::thread::Builder::new()
                .spawn_scoped(scope, move || serve(worker, core, &Hello))
                .expect("a thread can be made");
        }
        serve(&worker, 0, &Hello);
    });
    Ok(())
}
