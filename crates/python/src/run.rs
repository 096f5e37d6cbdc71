//! What a mold or worker does from its first to its last breath.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use imperator_core::message::{FromWorker, Setup, ToWorker, VERSION, fd};
use imperator_process::channel::Channel;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::line::Line;
use crate::load::Mounted;
use crate::mold::Birth;
use crate::{
    errors, hooks, interpreter, load, log, modules, mold, overdue, place, stray, title, uwsgi,
    virtualenv, worker,
};

/// uWSGI: UWSGI_FAILED_APP_CODE.
const FAILED_APP: i32 = 22;

/// Returns the exit code; the interpreter then ends as after any script, with its atexit hooks.
pub(crate) fn run(py: Python<'_>) -> i32 {
    // SAFETY: BOOT calls this once, and nothing else owns the channel's number.
    let channel = match unsafe { imperator_process::fds::inherit(fd::CHANNEL) } {
        Ok(channel) => Channel::from(channel),
        Err(_) => {
            log::line("this module is loaded by a master of Imperator, never by hand");
            return 1;
        }
    };
    let line = Line::new(channel);
    line.say(&FromWorker::Hello {
        version: VERSION,
        python: version(py),
    });
    let Some((order, mut fds)) = py.detach(|| line.hear()) else {
        return 1;
    };
    let mut setup = match order {
        ToWorker::Setup(setup) => *setup,
        // Its generation failed or the app stops, before this process had begun.
        ToWorker::Drain | ToWorker::Finish => return 0,
        ToWorker::Fork { .. }
        | ToWorker::Pause
        | ToWorker::Resume
        | ToWorker::Heard
        | ToWorker::Overdue
        | ToWorker::Workers { .. } => {
            log::line("the master's first word is no setup");
            return 1;
        }
    };
    // Nobody reads the stacks of an import that is only a trial.
    let expected = setup.listeners.len() + usize::from(setup.worker.is_some());
    if fds.len() != expected && fds.len() != expected + 1 {
        log::line("the master's setup came without its descriptors");
        return 1;
    }
    let stacks = match fds.len() > expected {
        true => fds.pop(),
        false => None,
    };
    let counters = setup.worker.map(|_| fds.remove(0));
    title::set(&setup);
    // Before the app is imported: its own handlers replace ours, not the reverse.
    let mut signals = match imperator_worker::signals::install() {
        Ok(signals) => signals,
        Err(error) => {
            log::line(&format!("cannot catch signals: {error}"));
            return 1;
        }
    };

    let mut ours: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
    ours.push(line.as_fd());
    stray::guard(&ours);
    // While it loads, they go to the app's log.
    let registered = overdue::write_stacks(py, 2);
    if let Err(error) = registered.and_then(|()| tell_where_it_crashes(py)) {
        log::line(&errors::traceback(py, &error));
    }
    let apps = load_apps(py, &setup, &line);
    imperator_process::memory::give_back();
    let birth = match (setup.worker, counters) {
        (Some(worker), Some(counters)) => Birth {
            worker,
            first: setup.first,
            unproven: setup.unproven,
            line,
            counters,
            stacks,
        },
        (None, _) | (_, None) => {
            // What the interpreter holds now is shared with every worker.
            if let Err(error) = mold::freeze(py) {
                log::line(&errors::traceback(py, &error));
            }
            match mold::serve(py, line) {
                Some(birth) => {
                    if let Err(error) = signals.renew() {
                        log::line(&format!("cannot catch signals: {error}"));
                        log::end(py, 1);
                    }
                    birth
                }
                None => log::end(py, 0),
            }
        }
    };
    setup.worker = Some(birth.worker);
    title::set(&setup);
    let mut note = |text| birth.line.say(&FromWorker::Note { text });
    if let Err(summary) = place::take(&setup.settings.limits, birth.worker, &mut note) {
        let traceback = String::new();
        birth.line.say(&FromWorker::LoadFailed {
            summary,
            traceback,
            error: None,
        });
        log::end(py, FAILED_APP);
    }
    hooks::before_accept(py, &setup, &birth);
    let skips_atexit = setup.settings.limits.skip_atexit;
    let code = worker::run(py, setup, birth, fds, signals, apps);
    if skips_atexit {
        log::end(py, code);
    }
    code
}

/// Python's own report of a crash: the stack of the thread that a fatal signal hits.
fn tell_where_it_crashes(py: Python<'_>) -> PyResult<()> {
    let options = PyDict::new(py);
    options.set_item("file", 2)?;
    options.set_item("all_threads", false)?;
    py.import("faulthandler")?
        .call_method("enable", (), Some(&options))?;
    Ok(())
}

/// Imports the apps and tells the master; ends the process when they cannot be served.
fn load_apps(py: Python<'_>, setup: &Setup, line: &Line) -> Vec<Mounted> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a measurement for the report, no decision"
    )]
    let start = Instant::now();
    let mut notes = Vec::new();
    let mut traced = Vec::new();
    let entered = virtualenv::enter(py, &setup.settings, &setup.cwd);
    if let Ok(Err(stranger)) = entered {
        let virtualenv::Stranger { why, hint } = stranger;
        let (python, hint) = (String::new(), Some(hint));
        line.say(&FromWorker::Unfit { python, why, hint });
        log::end(py, FAILED_APP);
    }
    let prepared = entered
        .and_then(|_| interpreter::prepare(py, &setup.settings))
        .and_then(|()| stray::watch(py))
        .and_then(|()| uwsgi::install(py, setup));
    let loaded = match prepared {
        Ok(()) => load::all(py, &setup.settings, &setup.cwd, &mut |failure| {
            log::line(&format!(
                "{}left out: {}",
                failure.traceback, failure.summary
            ));
            notes.push(failure.summary);
            traced.extend(failure.files);
        }),
        Err(error) => Err(load::Failure {
            summary: format!("cannot prepare the interpreter: {error}"),
            traceback: errors::traceback(py, &error),
            files: Vec::new(),
            error: None,
        }),
    };
    stray::end_if_stray(py);
    if let Some(autoreload) = &setup.settings.interpreter.autoreload {
        if let Err(failure) = &loaded {
            traced.extend(failure.files.iter().cloned());
        }
        modules::tell(py, autoreload, &traced, &mut |message| line.say(message));
    }
    let threads = match &loaded {
        Ok(_) => mold::python_threads(py).unwrap_or_default(),
        Err(_) => Vec::new(),
    };
    match loaded {
        Ok(apps) => {
            let native = mold::native_threads(threads.len());
            if native > 0 && setup.worker.is_none() {
                notes.push(format!(
                    "{native} native threads run after loading (numeric libraries start such pools): \
                     forked workers are without them; set lazy-apps if they hang"
                ));
            }
            if setup.worker.is_none() && threads.is_empty() {
                notes.extend(shared(&stray::guarded()));
            }
            hooks::after_load(py, setup, line);
            line.say(&FromWorker::Loaded {
                threads,
                notes,
                seconds: start.elapsed().as_secs_f64(),
            });
            apps
        }
        Err(failure) => {
            line.say(&FromWorker::LoadFailed {
                summary: failure.summary,
                traceback: failure.traceback,
                error: failure.error.map(|error| *error),
            });
            log::end(py, FAILED_APP)
        }
    }
}

/// What every worker would share with the others, answers to each other's questions included.
fn shared(ours: &[std::os::fd::RawFd]) -> Option<String> {
    let held = imperator_process::held::shared_by_forks(ours);
    (!held.is_empty()).then(|| {
        format!(
            "the app holds {} after loading, and all workers share it: open it in each worker \
             (@postfork, or at the first request), close it before the fork, or set lazy-apps",
            held.join(", ")
        )
    })
}

fn version(py: Python<'_>) -> String {
    let version = py.version_info();
    format!("{}.{}.{}", version.major, version.minor, version.patch)
}
