//! What a worker tells the operator of its requests: each kind of thing once, however often it
//! happens.

use std::sync::atomic::Ordering;
use std::time::Duration;

use imperator_core::counters;
use imperator_core::message::FromWorker;
use imperator_core::settings::Protocol;

use super::WorkerContext;
use crate::refusal::Refusal;
use crate::request::{Known, Request};
use crate::sending::Sending;

/// Kinds of notes beside the statuses, of which none is 0, 1 or 2 modulo 64 among ours.
const CUT: u16 = 0;
const MISSING: u16 = 1;
const STALLED: u16 = 2;
const DISK: u16 = 3;

/// Whoever let a file wait until it was cut.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Slow {
    /// It takes nothing.
    Client,
    /// No thread that waits for disks was free in time.
    Disk,
}

impl WorkerContext {
    /// Says once per name that a loader variable was ignored.
    pub(crate) fn report_ignored(&self, ignored: u16, names: impl Iterator<Item = &'static str>) {
        let fresh = ignored & !self.reported.fetch_or(ignored, Ordering::AcqRel);
        if fresh == 0 {
            return;
        }
        for name in names {
            let bit = crate::request::LOADER_VARS
                .iter()
                .position(|var| *var == name);
            if bit.is_some_and(|bit| fresh & (1 << bit) != 0) {
                self.tell(&FromWorker::IgnoredVar {
                    name: name.to_owned(),
                });
            }
        }
    }

    /// Counts a 4xx or 5xx of ours, and tells the operator once per reason kind.
    pub(crate) fn count_refusal(&self, refusal: &Refusal) {
        self.counters()
            .worker(counters::Worker::Refused)
            .fetch_add(1, Ordering::Relaxed);
        self.note_once(refusal.status % 64, || {
            let Refusal { status, reason } = refusal;
            format!("a request was answered {status}: {reason}")
        });
    }

    /// Tells the operator something the first time; `kind` is below 64.
    fn note_once(&self, kind: u16, text: impl FnOnce() -> String) {
        let bit = 1u64 << kind;
        if self.noted.fetch_or(bit, Ordering::AcqRel) & bit == 0 {
            self.tell(&FromWorker::Note { text: text() });
        }
    }

    /// Tells the operator, once each, that the app and its Content-Length disagree.
    pub(crate) fn note_length(&self, request: &Request, cut: u64, missing: u64) {
        let uri = request.known(Known::Uri).escape_ascii();
        if cut > 0 {
            self.note_once(CUT, || {
                format!("the app sent {cut} bytes more than its Content-Length: {uri}")
            });
        } else if missing > 0 {
            self.note_once(MISSING, || {
                format!("the app sent {missing} bytes less than its Content-Length: {uri}")
            });
        }
    }

    /// Tells the operator once that an answer was cut because its client took nothing.
    pub(crate) fn note_stalled(&self, request: &Request, patience: Duration) {
        let uri = request.known(Known::Uri).escape_ascii();
        self.note_once(STALLED, || {
            let seconds = patience.as_secs();
            let option = match request.protocol {
                Protocol::Uwsgi => "socket-timeout",
                Protocol::Http => "http-timeout",
            };
            format!("an answer was cut: its client took nothing for {seconds} s ({option}): {uri}")
        });
    }

    /// The same of a static file, whoever let it wait; counts it too.
    pub(crate) fn note_cut_file(&self, sending: &Sending, slow: Slow) {
        let counters = self.counters();
        let errors = counters.core(sending.core, counters::Core::WriteErrors);
        errors.fetch_add(1, Ordering::Relaxed);
        let (kind, why) = match slow {
            Slow::Client => (STALLED, "its client took nothing"),
            Slow::Disk => (DISK, "the disk gave nothing of it"),
        };
        self.note_once(kind, || {
            let seconds = sending.patience.as_secs();
            format!("a file was cut: {why} for {seconds} s: {}", sending.uri)
        });
    }
}
