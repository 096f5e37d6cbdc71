//! A closed loop: each of N threads sends a request, checks the answer, and sends the next.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::answer::{Answer, BUFFER, Failure, read_answer};
use crate::clock::{brake, now, pause};
use crate::cpu;
use crate::histogram::Histogram;
use crate::target::{Protocol, Target};

/// More clients than this only measure the machine's scheduler.
pub const MAX_CONNECTIONS: usize = 1024;
/// So many failures are described one by one.
const DESCRIBED: usize = 5;

#[derive(Debug, Clone)]
pub struct Plan {
    pub target: Target,
    /// The whole request, see `request::Kind::encode`.
    pub message: Vec<u8>,
    pub connections: usize,
    pub duration: Duration,
    /// Ends earlier, after so many requests.
    pub requests: Option<u64>,
    /// The longest wait for a connection, a write or a read.
    pub timeout: Duration,
    pub status: u16,
    /// `None`: the first good answer decides, and all others must have its length.
    pub length: Option<u64>,
    /// HTTP only: one connection for many requests.
    pub keep_alive: bool,
    /// What a client waits between an answer and its next request.
    pub pace: Duration,
    /// Process trees whose CPU time is the server's.
    pub server: Vec<i32>,
}

#[derive(Debug, Clone)]
pub struct Outcome {
    /// Answered as they should be.
    pub answered: u64,
    pub failures: BTreeMap<Failure, u64>,
    /// The first few failures: seconds since the start, and what happened.
    pub described: Vec<(f64, String)>,
    pub elapsed: Duration,
    /// Of the answered requests, from before connect to the last byte.
    pub latencies: Histogram,
    /// Bytes of bodies.
    pub received: u64,
    /// `None` without a server process to look at.
    pub server_cpu: Option<cpu::Usage>,
    pub client_cpu: Duration,
}

impl Outcome {
    pub fn failed(&self) -> u64 {
        self.failures.values().sum()
    }

    pub fn per_second(&self) -> f64 {
        self.answered as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// CPU time of the server for one answered request.
    pub fn cpu_per_request(&self) -> Option<Duration> {
        self.per_request(self.server_cpu?.total())
    }

    /// The part of it that is not the kernel's.
    pub fn user_per_request(&self) -> Option<Duration> {
        self.per_request(self.server_cpu?.user)
    }

    fn per_request(&self, time: Duration) -> Option<Duration> {
        let nanos = time.as_nanos().checked_div(self.answered.into())?;
        Some(Duration::from_nanos(u64::try_from(nanos).ok()?))
    }
}

struct Shared<'a> {
    plan: &'a Plan,
    stop: &'a AtomicBool,
    started: AtomicU64,
    length: OnceLock<u64>,
    sum: OnceLock<u64>,
    begin: Instant,
    end: Instant,
}

#[derive(Default)]
struct Tally {
    failures: BTreeMap<Failure, u64>,
    described: Vec<(f64, String)>,
    latencies: Histogram,
    received: u64,
}

/// Runs until the plan's time or count is over, or `stop` is set.
pub fn run(plan: &Plan, stop: &AtomicBool) -> Outcome {
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    let server_before = cpu::of_trees(&plan.server);
    let client_before = cpu::of_process(own);
    let begin = now();
    let shared = Shared {
        plan,
        stop,
        started: AtomicU64::new(0),
        length: plan.length.map_or_else(OnceLock::new, OnceLock::from),
        sum: OnceLock::new(),
        begin,
        end: begin + plan.duration,
    };
    let mut total = Tally::default();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..plan.connections.clamp(1, MAX_CONNECTIONS))
            .map(|_| scope.spawn(|| client(&shared)))
            .collect();
        for client in clients {
            let tally = client
                .join()
                .expect("a client thread has no panic of its own");
            total.add(tally);
        }
    });
    let elapsed = now() - begin;
    let server_cpu =
        (!plan.server.is_empty()).then(|| cpu::of_trees(&plan.server).since(server_before));
    total.described.sort_by(|a, b| a.0.total_cmp(&b.0));
    total.described.truncate(DESCRIBED);
    Outcome {
        answered: total.latencies.count(),
        failures: total.failures,
        described: total.described,
        elapsed,
        latencies: total.latencies,
        received: total.received,
        server_cpu,
        client_cpu: cpu::of_process(own).saturating_sub(client_before),
    }
}

impl Tally {
    fn add(&mut self, other: Self) {
        for (failure, count) in other.failures {
            *self.failures.entry(failure).or_default() += count;
        }
        self.described.extend(other.described);
        self.latencies.merge(&other.latencies);
        self.received += other.received;
    }
}

fn client(shared: &Shared<'_>) -> Tally {
    let mut tally = Tally::default();
    let mut buffer = vec![0; BUFFER];
    let mut open: Option<File> = None;
    loop {
        let before = now();
        if before >= shared.end || shared.stop.load(Ordering::Relaxed) {
            return tally;
        }
        if let Some(limit) = shared.plan.requests
            && shared.started.fetch_add(1, Ordering::Relaxed) >= limit
        {
            return tally;
        }
        match exchange(shared, &mut open, &mut buffer) {
            Ok(answer) => {
                tally.latencies.add(now() - before);
                tally.received += answer.length;
                if !shared.plan.pace.is_zero() {
                    pause(shared.plan.pace);
                }
            }
            Err((failure, what)) => {
                open = None;
                *tally.failures.entry(failure).or_default() += 1;
                if tally.described.len() < DESCRIBED {
                    tally
                        .described
                        .push(((before - shared.begin).as_secs_f64(), what));
                }
                brake();
            }
        }
    }
}

fn exchange(
    shared: &Shared<'_>,
    open: &mut Option<File>,
    buffer: &mut [u8],
) -> Result<Answer, (Failure, String)> {
    if let Some(kept) = open.take() {
        match exchange_on(kept, shared, open, buffer) {
            // A server may close a kept connection at any time between two requests; then a client
            // asks again on a new one (RFC 9112, 9.3.1), and only that answer counts.
            Err((Failure::NoAnswer | Failure::Reset, _)) => (),
            other => return other,
        }
    }
    let connection = shared
        .plan
        .target
        .connect(shared.plan.timeout)
        .map_err(|errno| (Failure::of_connect(errno), format!("connect: {errno}")))?;
    exchange_on(connection, shared, open, buffer)
}

fn exchange_on(
    mut connection: File,
    shared: &Shared<'_>,
    open: &mut Option<File>,
    buffer: &mut [u8],
) -> Result<Answer, (Failure, String)> {
    let plan = shared.plan;
    let sent = connection.write_all(&plan.message);
    // A server may answer (413, 400) without reading all: its answer says more than our EPIPE.
    let until_close = plan.target.protocol == Protocol::Uwsgi;
    let answer = match (read_answer(&mut connection, buffer, until_close), sent) {
        (Ok(answer), _) => answer,
        (Err(_), Err(error)) => {
            return Err((Failure::of_io(&error), format!("send: {error}")));
        }
        (Err(failure), Ok(())) => return Err((failure, format!("read: {failure:?}"))),
    };
    if answer.status != plan.status {
        let what = format!("status {} instead of {}", answer.status, plan.status);
        return Err((Failure::WrongStatus, what));
    }
    let wanted = *shared.length.get_or_init(|| answer.length);
    if answer.length != wanted {
        let what = format!("{} bytes instead of {wanted}", answer.length);
        return Err((Failure::WrongLength, what));
    }
    if answer.sum != *shared.sum.get_or_init(|| answer.sum) {
        let what = "another body than that of the first answer".to_owned();
        return Err((Failure::WrongBody, what));
    }
    if answer.keeps_open && plan.keep_alive {
        *open = Some(connection);
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::request::Kind;

    /// Answers connection after connection with the given texts, each after the whole request.
    fn serve(listener: &UnixListener, answers: &[&str], request: usize) {
        for answer in answers {
            let (mut connection, _) = listener.accept().unwrap();
            let mut message = vec![0; request];
            connection.read_exact(&mut message).unwrap();
            connection.write_all(answer.as_bytes()).unwrap();
        }
    }

    #[test]
    fn each_answer_is_checked_and_each_failure_counted_by_kind() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("app.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let target: Target = format!("uwsgi:{}", path.display()).parse().unwrap();
        let message = Kind::Post(5).encode(Protocol::Uwsgi, None).unwrap();
        let answers = [
            "HTTP/1.1 200 OK\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\n\r\nhell",
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
            "HTTP/1.1 502 Bad Gateway\r\n\r\nhello",
            "",
        ];
        let plan = Plan {
            target,
            message,
            connections: 1,
            duration: Duration::from_secs(20),
            requests: Some(answers.len() as u64),
            timeout: Duration::from_secs(10),
            status: 200,
            length: None,
            keep_alive: false,
            pace: Duration::ZERO,
            server: Vec::new(),
        };
        let outcome = std::thread::scope(|scope| {
            scope.spawn(|| serve(&listener, &answers, plan.message.len()));
            run(&plan, &AtomicBool::new(false))
        });
        assert_eq!(outcome.answered, 2);
        let counted: Vec<(Failure, u64)> = outcome.failures.into_iter().collect();
        let expected = [
            (Failure::NoAnswer, 1),
            (Failure::ShortAnswer, 1),
            (Failure::WrongStatus, 1),
            (Failure::WrongLength, 1),
        ];
        assert_eq!(counted, expected);
        drop(listener);
        let refused = run(&plan, &AtomicBool::new(false));
        assert_eq!(refused.failures, [(Failure::ConnectRefused, 6)].into());
    }
}
