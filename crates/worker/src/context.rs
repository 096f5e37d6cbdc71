//! One worker: what it was set up with, and how its threads and the master hear of each other.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use imperator_core::message::{FromWorker, Setup};
use imperator_core::settings::Settings;
use imperator_process::channel::Channel;

use crate::signals::Signals;

/// What a worker is built from, after the last fork.
pub struct Parts {
    /// As it came from the master; for a forked worker with `worker` filled in.
    pub setup: Setup,
    /// One per entry of `setup.listeners`.
    pub listeners: Vec<OwnedFd>,
    /// The memfd that came with `Setup` or `Fork`.
    pub counters: OwnedFd,
    /// This worker's own channel to the master.
    pub channel: Channel,
    /// `None`: request lines are dropped.
    pub request_log: Option<OwnedFd>,
    pub signals: Signals,
}

/// One worker, shared by its threads.
pub struct WorkerContext {
    setup: Setup,
}

impl WorkerContext {
    /// Maps the counters and starts the I/O thread. Call it in the process that serves, after the
    /// app is loaded: no thread of ours may exist at a fork.
    ///
    /// # Errors
    /// What mapping the counters or starting the thread says.
    pub fn start(parts: Parts) -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self { setup: parts.setup }))
    }

    pub fn settings(&self) -> &Settings {
        &self.setup.settings
    }

    /// The worker's number, from 1.
    pub fn id(&self) -> u32 {
        self.setup.worker.unwrap_or(0)
    }

    /// Says something to the master; a master that is gone hears nothing.
    pub fn tell(&self, _message: &FromWorker) {}

    /// Asks the master for a replacement; the worker goes on until told. Only the first call is
    /// heard.
    pub fn ask_to_drain(&self, _why: &str) {}

    /// Whether the worker no longer accepts: an app may ask.
    pub fn is_draining(&self) -> bool {
        todo!()
    }
}
