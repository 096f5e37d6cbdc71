//! What the emperor tells systemd (sd_notify(3)). Without `NOTIFY_SOCKET` all of it does nothing.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;

/// STATUS= is sent at most this often.
const STATUS_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub struct Systemd {
    /// Somebody listens.
    is_there: bool,
    ready: bool,
    reloading: bool,
    status: String,
    sent_status: String,
    /// When to look again whether the status is another one.
    status_at: Option<Instant>,
    /// Half of WATCHDOG_USEC.
    watchdog: Option<Duration>,
    watchdog_at: Option<Instant>,
}

impl Systemd {
    pub fn new(now: Instant) -> Self {
        let watchdog = sd_notify::watchdog_enabled().map(|interval| interval / 2);
        Self {
            is_there: std::env::var_os("NOTIFY_SOCKET").is_some(),
            ready: false,
            reloading: false,
            status: String::new(),
            sent_status: String::new(),
            status_at: None,
            watchdog,
            watchdog_at: watchdog.map(|_| now),
        }
    }

    /// As under the binary before.
    pub fn resume(&mut self, ready: bool, reloading: bool) {
        self.ready = ready;
        self.reloading = reloading;
    }

    /// All apps that were there at start serve or have failed once.
    pub fn ready(&mut self) {
        if !std::mem::replace(&mut self.ready, true) {
            tell(&[NotifyState::Ready]);
        }
    }

    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// Both in one datagram: systemd takes a RELOADING=1 without its time for a mistake.
    pub fn reloading(&mut self) {
        if let Ok(time) = NotifyState::monotonic_usec_now() {
            self.reloading = true;
            tell(&[NotifyState::Reloading, time]);
        }
    }

    pub fn reloaded(&mut self) {
        if std::mem::replace(&mut self.reloading, false) {
            tell(&[NotifyState::Ready]);
        }
    }

    pub fn is_reloading(&self) -> bool {
        self.reloading
    }

    pub fn stopping(&mut self) {
        tell(&[NotifyState::Stopping]);
    }

    /// Whether a status would be sent now: at most one a second, and only where somebody listens.
    pub fn wants_status(&self, now: Instant) -> bool {
        self.is_there && self.status_at.is_none_or(|at| at <= now)
    }

    /// The line that `systemctl status` shows; people grep its first half, which is the original's
    /// for one vassal, too.
    pub fn status(&mut self, governed: usize, failing: usize, now: Instant) {
        self.status_at = Some(now + STATUS_EVERY);
        self.status = match failing {
            0 => format!("The Emperor is governing {governed} vassals"),
            failing => {
                format!("The Emperor is governing {governed} vassals, {failing} failing")
            }
        };
    }

    /// Sends what is due. Called by the loop itself, so that a stuck loop is seen.
    pub fn turn(&mut self, now: Instant) {
        if self.watchdog_at.is_some_and(|at| at <= now) {
            tell(&[NotifyState::Watchdog]);
            self.watchdog_at = self.watchdog.map(|interval| now + interval);
        }
        if self.status != self.sent_status {
            tell(&[NotifyState::Status(&self.status)]);
            self.sent_status.clone_from(&self.status);
        }
    }

    pub fn deadline(&self) -> Option<Instant> {
        let status = self.status_at.filter(|_| self.is_there);
        self.watchdog_at.into_iter().chain(status).min()
    }
}

fn tell(states: &[NotifyState<'_>]) {
    // Nobody listens, or systemd restarts: not our trouble.
    let _ = sd_notify::notify(states);
}

/// Variables that are for the emperor alone and never reach what it starts.
pub fn is_private(variable: &str) -> bool {
    matches!(
        variable,
        "NOTIFY_SOCKET"
            | "WATCHDOG_USEC"
            | "WATCHDOG_PID"
            | "LISTEN_FDS"
            | "LISTEN_PID"
            | "LISTEN_FDNAMES"
            | "IMPERATOR_STATE"
    )
}
