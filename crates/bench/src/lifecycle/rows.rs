//! The rows of the table: what happens to a server while clients ask it.

use std::fs;
use std::time::Duration;

use anyhow::{Context, ensure};
use nix::sys::signal::Signal;
use serde::Serialize;

use crate::clock::{pause, wait_for};
use crate::lifecycle::account::{Account, Kill, account, read_log};
use crate::lifecycle::ask::Style;
use crate::lifecycle::breakage::Breakage;
use crate::lifecycle::place::{PATIENCE, Place, Setup, touch};
use crate::lifecycle::processes;
use crate::lifecycle::servers::Server;
use crate::lifecycle::traffic::{Plan, Record, Traffic, under_load};

/// A short client asks so often.
const PACE: Duration = Duration::from_millis(10);
/// How long a bad deploy of another server stays before it is mended: it tells nobody, and some load
/// the code only when the longest request has ended.
const UNMENDED: Duration = Duration::from_secs(5);
/// Longer than the minute that the others give to a worker that does not go.
const PATIENCE_WITH_OTHERS: Duration = Duration::from_secs(75);
/// How long the ini directory is away from ours.
const AWAY: Duration = Duration::from_millis(300);
/// Between two answers of a load that goes on.
const SOME: u64 = 30;
const OTHERS: usize = 3;
/// How long server logs may lag behind.
const LOG_LAG: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    Reloads,
    Bad(Breakage),
    Kills,
    Recycling,
    EmperorKilled,
    EmperorUpgraded,
    MasterKilled,
    OthersEdited,
}

impl Event {
    pub fn name(self) -> String {
        match self {
            Self::Reloads => "reloads".into(),
            Self::Bad(breakage) => format!("bad deploys: {}", breakage.name()),
            Self::Kills => "kill -9 of a worker, one a second".into(),
            Self::Recycling => "workers recycled, every 50 requests".into(),
            Self::EmperorKilled => "emperor killed and restarted".into(),
            Self::EmperorUpgraded => "emperor upgraded".into(),
            Self::MasterKilled => "the app's master killed".into(),
            Self::OthersEdited => "edits of other apps' files".into(),
        }
    }

    /// Whether it can happen to this server.
    pub fn concerns(self, server: Server) -> bool {
        match self {
            Self::Reloads | Self::Kills => true,
            Self::Bad(breakage) => breakage.concerns(server),
            // Granian counts a worker's lifetime in time, not in requests.
            Self::Recycling => server != Server::Granian,
            Self::EmperorKilled | Self::EmperorUpgraded | Self::OthersEdited => {
                server.has_emperor()
            }
            Self::MasterKilled => server.has_emperor(),
        }
    }
}

/// One row: an event, so many times, to one server.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    pub server: Server,
    pub workers: usize,
    pub event: String,
    pub times: usize,
    pub seconds: f64,
    #[serde(flatten)]
    pub account: Account,
    /// So often the server had to be started afresh by hand.
    pub rescued: usize,
    /// What should not be: workers that changed, a deploy that was not seen.
    pub strange: Vec<String>,
}

impl Row {
    /// What the issue demands of ours.
    pub fn is_clean(&self) -> bool {
        let killed = if self.account.cut > 0 {
            self.times as u64
        } else {
            0
        };
        self.account.unexplained() == 0
            && self.account.agrees(killed)
            && self.rescued == 0
            && self.strange.is_empty()
    }
}

#[derive(Default)]
struct Happened {
    rescued: usize,
    kills: Vec<Kill>,
    strange: Vec<String>,
}

/// Starts the server, and lets `event` happen `times` times under load.
///
/// # Errors
/// When the server does not start, or what the harness does itself fails.
pub fn run(setup: Setup, event: Event, times: usize) -> Result<(Row, Place), anyhow::Error> {
    let setup = Setup {
        max_requests: (event == Event::Recycling).then_some(50),
        // Only who hangs is waited for; on a busy machine an import may take its time.
        ready_timeout: if event == Event::Bad(Breakage::Hang) {
            3
        } else {
            30
        },
        ..setup
    };
    let mut place = Place::start(setup)?;
    let plan = plan(&place);
    let ids = place.ids.clone();
    let (happened, records) = under_load(&plan, &ids, |traffic| {
        let happened = happen(&mut place, traffic, event, times)?;
        if !traffic.wait_for_more(100, PATIENCE) {
            anyhow::bail!("nobody is answered any more:\n{}", place.last_words());
        }
        Ok((happened, traffic.elapsed()))
    });
    let (happened, elapsed) = happened?;
    wait_for_log(&place, &records);
    let app = fs::read_to_string(place.path("app/app.log")).context("app.log")?;
    let row = Row {
        server: place.setup.server,
        workers: place.setup.workers,
        event: event.name(),
        times,
        seconds: elapsed.as_secs_f64(),
        account: account(&records, &happened.kills, &app, &place.log()),
        rescued: happened.rescued,
        strange: happened.strange,
    };
    Ok((row, place))
}

pub fn plan(place: &Place) -> Plan {
    let mut clients = vec![(Style::Short, place.front()); 4];
    clients.extend(vec![(Style::Kept, place.keeper()); 2]);
    clients.extend(vec![(Style::Slow, place.front()); 2]);
    clients.push((Style::Upload, place.front()));
    clients.push((Style::Stream, place.front()));
    Plan {
        clients,
        pace: PACE,
    }
}

fn wait_for_log(place: &Place, records: &[Record]) {
    let _ = wait_for(LOG_LAG, || {
        let log = read_log(&place.log());
        let all = records
            .iter()
            .all(|record| record.failed.is_some() || log.contains(&record.id));
        all.then_some(())
    });
}

fn happen(
    place: &mut Place,
    traffic: &Traffic<'_>,
    event: Event,
    times: usize,
) -> Result<Happened, anyhow::Error> {
    let mut happened = Happened::default();
    ensure!(
        traffic.wait_version(place.version, PATIENCE) && traffic.wait_for_more(SOME, PATIENCE),
        "no load at the start:\n{}",
        place.last_words()
    );
    match event {
        Event::Reloads => {
            for _ in 0..times {
                renew(place, traffic, &mut happened)?;
            }
        }
        Event::Bad(breakage) => {
            for _ in 0..times {
                bad_deploy(place, traffic, breakage, &mut happened)?;
            }
        }
        Event::Kills => kill_workers(place, traffic, times, &mut happened)?,
        Event::Recycling => {
            let goal = times + 1;
            // One worker goes at a time, and the next must be up before.
            let patience = PATIENCE * u32::try_from(1 + times / 10).unwrap_or(1);
            let seen = wait_for(patience, || (traffic.processes() >= goal).then_some(()));
            if seen.is_none() {
                let seen = traffic.processes();
                happened
                    .strange
                    .push(format!("only {seen} workers were seen"));
            }
        }
        Event::EmperorKilled => {
            for _ in 0..times {
                place.kill_server();
                pause(Duration::from_secs(1));
                place.start_server()?;
                governs(place, traffic, &mut happened)?;
            }
        }
        Event::EmperorUpgraded => {
            for _ in 0..times {
                if place.setup.server == Server::Ours {
                    place.install_again()?;
                    let output = place.imperator(&["upgrade"])?;
                    if !output.status.success() {
                        let text = String::from_utf8_lossy(&output.stderr).into_owned();
                        happened.strange.push(format!("imperator upgrade: {text}"));
                    }
                } else {
                    place.stop_server();
                    place.start_server()?;
                }
                governs(place, traffic, &mut happened)?;
            }
        }
        Event::MasterKilled => {
            for _ in 0..times {
                kill_master(place, traffic, &mut happened);
                governs(place, traffic, &mut happened)?;
            }
        }
        Event::OthersEdited => edit_others(place, traffic, times, &mut happened)?,
    }
    Ok(happened)
}

/// A good deploy, until every client hears it.
fn renew(
    place: &mut Place,
    traffic: &Traffic<'_>,
    happened: &mut Happened,
) -> Result<(), anyhow::Error> {
    place.deploy(None)?;
    let version = place.version;
    let patience = if place.setup.server == Server::Ours {
        PATIENCE
    } else {
        PATIENCE_WITH_OTHERS
    };
    let heard = wait_for(patience, || {
        if traffic.wait_version(version, Duration::from_millis(200)) {
            return Some(true);
        }
        place.server_ended().then_some(false)
    });
    if heard == Some(true) {
        return Ok(());
    }
    happened.rescued += 1;
    if place.setup.server == Server::Ours {
        let what = if heard.is_none() {
            "was not heard"
        } else {
            "found no server"
        };
        happened
            .strange
            .push(format!("version {version} {what}:\n{}", place.last_words()));
    }
    place.rescue()?;
    ensure!(
        traffic.wait_version(version, PATIENCE),
        "not even a new start helps:\n{}",
        place.last_words()
    );
    Ok(())
}

fn bad_deploy(
    place: &mut Place,
    traffic: &Traffic<'_>,
    breakage: Breakage,
    happened: &mut Happened,
) -> Result<(), anyhow::Error> {
    let ours = place.setup.server == Server::Ours;
    place.deploy(Some(breakage))?;
    if !ours {
        pause(UNMENDED);
    } else if breakage.fails() {
        let told = wait_for(PATIENCE, || {
            (place.app_status("life")["condition"] == "serving-old").then_some(())
        });
        if told.is_none() {
            let what = format!("{}: the status does not tell it", breakage.name());
            happened
                .strange
                .push(format!("{what}\n{}", place.last_words()));
        }
    } else {
        pause(AWAY);
    }
    if ours {
        if !traffic.wait_for_more(SOME, PATIENCE) {
            let what = format!("{}: nobody is answered", breakage.name());
            happened.strange.push(what);
        }
        let serving = traffic.processes_of(place.version);
        if serving.len() > place.setup.workers {
            happened.strange.push(format!(
                "{}: version {} was served by {serving:?}, more than {} workers",
                breakage.name(),
                place.version,
                place.setup.workers
            ));
        }
    }
    renew(place, traffic, happened)
}

fn kill_workers(
    place: &mut Place,
    traffic: &Traffic<'_>,
    times: usize,
    happened: &mut Happened,
) -> Result<(), anyhow::Error> {
    let mut next = traffic.elapsed();
    for _ in 0..times {
        if let Some(pid) = traffic.last_process() {
            let before = traffic.elapsed();
            processes::send(pid, Signal::SIGKILL);
            happened.kills.push(before..=traffic.elapsed());
        }
        next += Duration::from_secs(1);
        pause(next.saturating_sub(traffic.elapsed()));
        // Granian takes two kills in a row for an app that cannot run, and ends.
        if place.server_ended() {
            happened.rescued += 1;
            place.rescue()?;
            ensure!(
                traffic.wait_for_more(SOME, PATIENCE),
                "not even a new start helps:\n{}",
                place.last_words()
            );
        }
    }
    Ok(())
}

/// The emperor of now sees a deploy.
fn governs(
    place: &mut Place,
    traffic: &Traffic<'_>,
    happened: &mut Happened,
) -> Result<(), anyhow::Error> {
    let up = match place.setup.server {
        Server::Ours => wait_for(PATIENCE, || place.is_governed().then_some(())).is_some(),
        Server::Uwsgi
        | Server::UwsgiLazy
        | Server::UwsgiChain
        | Server::UwsgiEmperor
        | Server::Gunicorn
        | Server::Granian => traffic.wait_for_more(SOME, PATIENCE),
    };
    if !up {
        let what = "does not serve again";
        happened
            .strange
            .push(format!("{what}\n{}", place.last_words()));
    }
    renew(place, traffic, happened)
}

fn kill_master(place: &Place, traffic: &Traffic<'_>, happened: &mut Happened) {
    let master = if place.setup.server == Server::Ours {
        place.app_status("life")["pid"].as_i64()
    } else {
        // The vassal's master is the parent of its workers.
        traffic.last_process().and_then(|pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let (_, rest) = stat.rsplit_once(") ")?;
            rest.split(' ').nth(1)?.parse().ok()
        })
    };
    match master.and_then(|pid| i32::try_from(pid).ok()) {
        Some(pid) => processes::send(pid, Signal::SIGKILL),
        None => happened.strange.push("no master to kill".into()),
    }
}

fn edit_others(
    place: &Place,
    traffic: &Traffic<'_>,
    times: usize,
    happened: &mut Happened,
) -> Result<(), anyhow::Error> {
    place.write("other.py", include_str!("../../apps/bench_app.py"))?;
    let before = traffic.processes();
    for edit in 0..times {
        let number = edit % OTHERS;
        let name = format!("vassals/other{number}.ini");
        let good = place.other_config(number, edit);
        match edit / OTHERS % 5 {
            0 | 3 => place.write(&name, &good)?,
            1 => touch(&place.path(&name))?,
            2 => place.write(&name, &format!("{good}module = no_such_app\n"))?,
            _ => fs::remove_file(place.path(&name))?,
        }
        let _ = traffic.wait_for_more(SOME, PATIENCE);
    }
    let after = traffic.processes();
    if after > before.max(place.setup.workers) {
        let what = format!("{after} workers answered, {before} before the first edit");
        happened.strange.push(what);
    }
    Ok(())
}
