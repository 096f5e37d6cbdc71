//! What is measured: scenes, who plays in them, and the budgets on what they show. No process here.

use crate::request::Kind;

use super::verdict::Budget;

/// A server that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    Ours,
    Uwsgi,
    /// Accept, receive, send, close.
    Floor,
    Gunicorn,
    Granian,
    ModWsgi,
}

impl Side {
    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Uwsgi => "uWSGI",
            Self::Floor => "floor",
            Self::Gunicorn => "gunicorn",
            Self::Granian => "Granian",
            Self::ModWsgi => "mod_wsgi",
        }
    }
}

/// How requests reach the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The uwsgi protocol on a Unix socket.
    Uwsgi,
    /// HTTP/1.1 on TCP, with keep-alive where the server has it.
    Http,
    /// nginx in front: `uwsgi_pass`, or `proxy_pass` for who speaks HTTP only.
    Nginx,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Name {
    Plain,
    Logged,
    OneWorker,
    ManyWorkers,
    Nginx,
    Http,
    Django,
}

/// One way of running the servers.
#[derive(Debug, Clone)]
pub struct Scene {
    pub name: Name,
    pub title: &'static str,
    pub way: Way,
    pub processes: usize,
    pub threads: usize,
    pub logs: bool,
    pub module: &'static str,
    pub connections: usize,
    pub sides: &'static [Side],
    /// With how long each is measured, in units of `--seconds`.
    pub kinds: Vec<(Kind, f64)>,
}

/// All scenes. `work`: to how much the app counts in a millisecond on this machine.
pub fn scenes(work: usize) -> Vec<Scene> {
    use Side::{Floor, Granian, Gunicorn, ModWsgi, Ours, Uwsgi};
    let scene = |name, title, sides, kinds| Scene {
        name,
        title,
        way: Way::Uwsgi,
        processes: 1,
        threads: 1,
        logs: false,
        module: "bench_app",
        connections: 16,
        sides,
        kinds,
    };
    let hello = |length| vec![(Kind::Hello, length)];
    vec![
        Scene {
            // The floor answers everything alike, so only `hello` is asked of it.
            kinds: [
                (Kind::Hello, 2.5),
                (Kind::Bytes(10 * 1024), 1.0),
                (Kind::Bytes(64 * 1024), 2.0),
                (Kind::Headers(30), 1.0),
                (Kind::Post(10 * 1024), 1.0),
            ]
            .to_vec(),
            ..scene(
                Name::Plain,
                "uwsgi protocol, Unix socket, 1 process",
                &[Ours, Uwsgi, Floor],
                Vec::new(),
            )
        },
        Scene {
            logs: true,
            ..scene(
                Name::Logged,
                "the same with a line per request in the log",
                &[Ours, Uwsgi],
                hello(1.5),
            )
        },
        Scene {
            connections: 1,
            ..scene(
                Name::OneWorker,
                "1 worker, 1 connection at a time",
                &[Ours],
                hello(1.0),
            )
        },
        Scene {
            processes: 32,
            connections: 1,
            ..scene(
                Name::ManyWorkers,
                "32 workers, 1 connection at a time",
                &[Ours],
                hello(1.0),
            )
        },
        Scene {
            way: Way::Nginx,
            processes: 2,
            threads: 4,
            ..scene(
                Name::Nginx,
                "behind nginx, 2 processes of 4 threads: 1 ms of work, 5 ms of waiting",
                &[Ours, Uwsgi, Gunicorn],
                // So many requests that the slowest hundredth is more than a handful.
                vec![(Kind::Work(work), 5.0)],
            )
        },
        Scene {
            way: Way::Http,
            ..scene(
                Name::Http,
                "HTTP/1.1 on TCP, 1 worker",
                &[Ours, Uwsgi, Granian, Gunicorn, ModWsgi],
                hello(2.0),
            )
        },
        Scene {
            processes: 4,
            module: "bench_django",
            ..scene(
                Name::Django,
                "Django, 4 processes, after some load",
                &[Ours, Uwsgi],
                hello(1.0),
            )
        },
    ]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    Cpu,
    User,
    PerSecond,
    P99,
    /// PSS of every process of the server.
    Memory,
}

/// What one side showed in one scene with one kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Series {
    pub scene: Name,
    pub side: Side,
    pub kind: Kind,
}

/// One line of the table of budgets.
#[derive(Debug, Clone)]
pub struct Row {
    pub work: &'static str,
    pub metric: Metric,
    pub ours: Series,
    pub peer: Series,
    pub budget: Budget,
}

/// The budgets.
pub fn rows(work: usize) -> Vec<Row> {
    use Budget::{AtLeast, AtMost};
    use Side::{Floor, Granian, Uwsgi};
    let row = |work, metric, scene, kind, side, budget| Row {
        work,
        metric,
        ours: Series {
            scene,
            side: Side::Ours,
            kind,
        },
        peer: Series { scene, side, kind },
        budget,
    };
    let cpu = |text, kind| row(text, Metric::Cpu, Name::Plain, kind, Uwsgi, AtMost(0.85));
    let (hello, working) = (Kind::Hello, Kind::Work(work));
    vec![
        row(
            "hello: CPU, of uWSGI",
            Metric::Cpu,
            Name::Plain,
            hello,
            Uwsgi,
            AtMost(0.80),
        ),
        row(
            "hello: CPU, of the floor",
            Metric::Cpu,
            Name::Plain,
            hello,
            Floor,
            AtMost(1.12),
        ),
        row(
            "hello: user CPU alone, of uWSGI",
            Metric::User,
            Name::Plain,
            hello,
            Uwsgi,
            AtMost(0.45),
        ),
        cpu("10 KB answer: CPU, of uWSGI", Kind::Bytes(10 * 1024)),
        cpu("64 KB answer: CPU, of uWSGI", Kind::Bytes(64 * 1024)),
        cpu("30 request headers: CPU, of uWSGI", Kind::Headers(30)),
        cpu("10 KB POST: CPU, of uWSGI", Kind::Post(10 * 1024)),
        row(
            "2 × 4 behind nginx: requests per second, of uWSGI",
            Metric::PerSecond,
            Name::Nginx,
            working,
            Uwsgi,
            AtLeast(1.0),
        ),
        row(
            "2 × 4 behind nginx: p99, of uWSGI",
            Metric::P99,
            Name::Nginx,
            working,
            Uwsgi,
            AtMost(0.9),
        ),
        row(
            "HTTP/1.1 keep-alive: requests per second, of Granian",
            Metric::PerSecond,
            Name::Http,
            hello,
            Granian,
            AtLeast(1.0),
        ),
        row(
            "HTTP/1.1 keep-alive: requests per second, of uWSGI's http-socket",
            Metric::PerSecond,
            Name::Http,
            hello,
            Uwsgi,
            AtLeast(3.5),
        ),
        row(
            "Django, 4 processes: PSS, of uWSGI",
            Metric::Memory,
            Name::Django,
            hello,
            Uwsgi,
            AtMost(1.0),
        ),
        row(
            "hello, 1 process: PSS, of uWSGI",
            Metric::Memory,
            Name::Plain,
            hello,
            Uwsgi,
            AtMost(0.75),
        ),
        row(
            "hello, logging on: CPU, of uWSGI",
            Metric::Cpu,
            Name::Logged,
            hello,
            Uwsgi,
            AtMost(0.80),
        ),
        Row {
            peer: Series {
                scene: Name::OneWorker,
                side: Side::Ours,
                kind: hello,
            },
            ..row(
                "hello, 32 idle workers: CPU, of ours with one",
                Metric::Cpu,
                Name::ManyWorkers,
                hello,
                Side::Ours,
                AtMost(1.3),
            )
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_budget_looks_at_something_that_is_measured() {
        let scenes = scenes(1000);
        for row in rows(1000) {
            for series in [row.ours, row.peer] {
                let scene = scenes.iter().find(|scene| scene.name == series.scene);
                let scene = scene.expect("a scene of that name");
                assert!(scene.sides.contains(&series.side), "{}", row.work);
                let is_asked = scene.kinds.iter().any(|(kind, _)| *kind == series.kind);
                assert!(is_asked, "{}", row.work);
            }
        }
    }
}
