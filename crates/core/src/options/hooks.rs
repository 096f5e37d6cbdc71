//! Rows: what is done around the app's life, `hook-*`, `exec-*` and what belongs to them.

use std::time::Duration;

use super::Support::{Differs, Full};
use super::{Draft, Given, Invalid, Opt, Value, ignored, opt};
use crate::action::Action;
use crate::settings::hooks::{Hook, Kind, Phase};
use crate::settings::outside::Touch;
use crate::signals::{self, Who};

pub(super) static OPTIONS: &[Opt] = &[
    opt(
        "binsh",
        Value::Path,
        Full,
        "shell for the commands of hooks, when it is there",
        |draft, given| {
            let path = Draft::path(given)?;
            draft.settings.hooks.shells.push(path);
            Ok(())
        },
    ),
    opt("call-as-root", Value::Text, CALL, CALLED, |draft, given| {
        call(draft, Phase::AsRoot, given)
    }),
    opt("call-as-user", Value::Text, CALL, CALLED, |draft, given| {
        call(draft, Phase::AsUser, given)
    }),
    opt(
        "call-as-user-atexit",
        Value::Text,
        CALL,
        CALLED,
        |draft, given| call(draft, Phase::AsUserAtexit, given),
    ),
    opt("call-asap", Value::Text, CALL, CALLED, |draft, given| {
        call(draft, Phase::Asap, given)
    }),
    opt("call-in-jail", Value::Text, CALL, CALLED, |draft, given| {
        call(draft, Phase::InJail, given)
    }),
    opt(
        "call-post-app",
        Value::Text,
        CALL,
        CALLED,
        |draft, given| call(draft, Phase::PostApp, given),
    ),
    opt(
        "call-post-jail",
        Value::Text,
        CALL,
        CALLED,
        |draft, given| call(draft, Phase::PostJail, given),
    ),
    opt("call-pre-app", Value::Text, CALL, CALLED, |draft, given| {
        call(draft, Phase::PreApp, given)
    }),
    opt(
        "call-pre-jail",
        Value::Text,
        CALL,
        CALLED,
        |draft, given| call(draft, Phase::PreJail, given),
    ),
    opt(
        "exec-as-root",
        Value::Text,
        START,
        "command before the rights of root are dropped",
        |draft, given| exec(draft, Phase::AsRoot, given),
    ),
    opt(
        "exec-as-user",
        Value::Text,
        START,
        "command as the app's user, before the app is loaded",
        |draft, given| exec(draft, Phase::AsUser, given),
    ),
    opt(
        "exec-as-user-atexit",
        Value::Text,
        ATEXIT,
        "command as the app's user at the end",
        |draft, given| exec(draft, Phase::AsUserAtexit, given),
    ),
    opt(
        "exec-asap",
        Value::Text,
        START,
        "command before everything else",
        |draft, given| exec(draft, Phase::Asap, given),
    ),
    opt(
        "exec-in-jail",
        Value::Text,
        START,
        "command before the rights of root are dropped",
        |draft, given| exec(draft, Phase::InJail, given),
    ),
    opt(
        "exec-post-app",
        Value::Text,
        APP,
        "command after the app is loaded",
        |draft, given| exec(draft, Phase::PostApp, given),
    ),
    opt(
        "exec-post-jail",
        Value::Text,
        START,
        "command after a jail was entered; only with jailed",
        |draft, given| exec(draft, Phase::PostJail, given),
    ),
    opt(
        "exec-pre-app",
        Value::Text,
        APP,
        "command before the app is loaded",
        |draft, given| exec(draft, Phase::PreApp, given),
    ),
    opt(
        "exec-pre-jail",
        Value::Text,
        START,
        "command before a jail would be entered",
        |draft, given| exec(draft, Phase::PreJail, given),
    ),
    opt(
        "file-write",
        Value::Pair,
        START,
        "write a line to a file before the start, FILE=TEXT",
        |draft, given| match given.text.split_once('=') {
            Some((file, text)) if !file.is_empty() && !file.contains(' ') => {
                let action = format!("writen:{file} {text}");
                add(draft, Phase::Files, Kind::Hook, action, given);
                Ok(())
            }
            Some(_) | None => Err(Invalid::with_hint(
                format!("\"{}\" is no file and text", given.text),
                "write file-write = FILE=TEXT",
            )),
        },
    ),
    opt(
        "hook-accepting",
        Value::Text,
        WORKER,
        "action of each worker when it begins to accept",
        |draft, given| hook(draft, Phase::Accepting, given),
    ),
    opt(
        "hook-accepting-once",
        Value::Text,
        WORKER,
        "action of each worker when it accepts for the first time",
        |draft, given| hook(draft, Phase::AcceptingOnce, given),
    ),
    opt(
        "hook-accepting1",
        Value::Text,
        WORKER,
        "action of worker 1 when it begins to accept",
        |draft, given| hook(draft, Phase::Accepting1, given),
    ),
    opt(
        "hook-accepting1-once",
        Value::Text,
        WORKER,
        "action of worker 1 when it accepts for the first time",
        |draft, given| hook(draft, Phase::Accepting1Once, given),
    ),
    ignored(
        "hook-as-gateway",
        Value::Text,
        "action in each gateway",
        "there are no gateways: workers serve HTTP themselves",
    ),
    ignored(
        "hook-as-mule",
        Value::Text,
        "action in each mule",
        "there are no mules",
    ),
    opt(
        "hook-as-root",
        Value::Text,
        START,
        "action before the rights of root are dropped",
        |draft, given| hook(draft, Phase::AsRoot, given),
    ),
    opt(
        "hook-as-user",
        Value::Text,
        START,
        "action as the app's user, before the app is loaded",
        |draft, given| hook(draft, Phase::AsUser, given),
    ),
    opt(
        "hook-as-user-atexit",
        Value::Text,
        ATEXIT,
        "action as the app's user at the end",
        |draft, given| hook(draft, Phase::AsUserAtexit, given),
    ),
    opt(
        "hook-asap",
        Value::Text,
        START,
        "action before everything else",
        |draft, given| hook(draft, Phase::Asap, given),
    ),
    opt(
        "hook-emperor-lost",
        Value::Text,
        Differs("the app serves on: another emperor adopts it"),
        "action of an app whose emperor is gone",
        |draft, given| hook(draft, Phase::EmperorLost, given),
    ),
    opt(
        "hook-emperor-reload",
        Value::Text,
        BESIDE,
        "action of an app that its emperor reloads",
        |draft, given| hook(draft, Phase::EmperorReload, given),
    ),
    opt(
        "hook-emperor-stop",
        Value::Text,
        BESIDE,
        "action of an app that its emperor stops",
        |draft, given| hook(draft, Phase::EmperorStop, given),
    ),
    opt(
        "hook-in-jail",
        Value::Text,
        START,
        "action before the rights of root are dropped",
        |draft, given| hook(draft, Phase::InJail, given),
    ),
    opt(
        "hook-master-start",
        Value::Text,
        Differs("runs when a generation begins to serve; a failure is told, the app serves on"),
        "action of the master once the app serves",
        |draft, given| hook(draft, Phase::MasterStart, given),
    ),
    opt(
        "hook-post-app",
        Value::Text,
        APP,
        "action after the app is loaded",
        |draft, given| hook(draft, Phase::PostApp, given),
    ),
    opt(
        "hook-post-fork",
        Value::Text,
        WORKER,
        "action of each new worker",
        |draft, given| hook(draft, Phase::PostFork, given),
    ),
    opt(
        "hook-post-jail",
        Value::Text,
        START,
        "action after a jail was entered; only with jailed",
        |draft, given| hook(draft, Phase::PostJail, given),
    ),
    opt(
        "hook-pre-app",
        Value::Text,
        APP,
        "action before the app is loaded",
        |draft, given| hook(draft, Phase::PreApp, given),
    ),
    opt(
        "hook-pre-jail",
        Value::Text,
        START,
        "action before a jail would be entered",
        |draft, given| hook(draft, Phase::PreJail, given),
    ),
    opt(
        "hook-timeout",
        Value::Seconds,
        Full,
        "how long the hooks of one start may take",
        |draft, given| {
            let limit = draft.seconds(given)?;
            draft.settings.hooks.timeout = limit.max(Duration::from_secs(1));
            Ok(())
        },
    )
    .default("600")
    .ours(),
    opt(
        "hook-touch",
        Value::Text,
        BESIDE,
        "action when a file is touched, FILE ACTION",
        |draft, given| {
            let Some((file, action)) = given.text.split_once(' ') else {
                return Err(Invalid::with_hint(
                    format!("\"{}\" names no action", given.text),
                    "write hook-touch = FILE ACTION",
                ));
            };
            check(draft, action);
            let touch = Touch::Hook(action.to_owned());
            draft.settings.outside.touches.push((file.into(), touch));
            Ok(())
        },
    ),
    opt(
        "jailed",
        Value::Flag,
        Full,
        "something else confines the app: post-jail hooks run",
        set!(hooks.jailed, flag),
    ),
    opt(
        "mount-as-root",
        Value::Text,
        START,
        MOUNT,
        |draft, given| mount(draft, Phase::AsRoot, given),
    ),
    opt("mount-asap", Value::Text, START, MOUNT, |draft, given| {
        mount(draft, Phase::Asap, given)
    }),
    opt(
        "mount-in-jail",
        Value::Text,
        START,
        MOUNT,
        |draft, given| mount(draft, Phase::InJail, given),
    ),
    opt(
        "mount-post-jail",
        Value::Text,
        START,
        MOUNT,
        |draft, given| mount(draft, Phase::PostJail, given),
    ),
    opt(
        "mount-pre-jail",
        Value::Text,
        START,
        MOUNT,
        |draft, given| mount(draft, Phase::PreJail, given),
    ),
    opt(
        "umount-as-root",
        Value::Text,
        START,
        UMOUNT,
        |draft, given| umount(draft, Phase::AsRoot, given),
    ),
    opt("umount-asap", Value::Text, START, UMOUNT, |draft, given| {
        umount(draft, Phase::Asap, given)
    }),
    opt(
        "umount-in-jail",
        Value::Text,
        START,
        UMOUNT,
        |draft, given| umount(draft, Phase::InJail, given),
    ),
    opt(
        "umount-post-jail",
        Value::Text,
        START,
        UMOUNT,
        |draft, given| umount(draft, Phase::PostJail, given),
    ),
    opt(
        "umount-pre-jail",
        Value::Text,
        START,
        UMOUNT,
        |draft, given| umount(draft, Phase::PreJail, given),
    ),
    opt(
        "wait-for-fs",
        Value::Path,
        START,
        "wait until this exists before anything is done as root",
        |draft, given| wait(draft, Phase::Waits, "wait_for_fs", given),
    )
    // All three wait for anything of that name in the original.
    .aka(&["wait-for-dir", "wait-for-file"]),
    opt(
        "wait-for-fs-timeout",
        Value::Seconds,
        Full,
        "how long to wait for files and directories",
        |draft, given| {
            draft.settings.hooks.fs_timeout = timeout(draft, given)?;
            Ok(())
        },
    )
    .default("60"),
    opt(
        "wait-for-mountpoint",
        Value::Path,
        START,
        "wait until this is mounted before anything is done as root",
        |draft, given| wait(draft, Phase::Waits, "wait_for_mountpoint", given),
    ),
    opt(
        "wait-for-socket",
        Value::Address,
        START,
        "wait until somebody listens here before the app is loaded",
        |draft, given| wait(draft, Phase::Sockets, "wait_for_socket", given),
    ),
    opt(
        "wait-for-socket-timeout",
        Value::Seconds,
        Full,
        "how long to wait for sockets",
        |draft, given| {
            draft.settings.hooks.socket_timeout = timeout(draft, given)?;
            Ok(())
        },
    )
    .default("60"),
];

const START: super::Support =
    Differs("runs for each generation, with the rights of the master's start");
const APP: super::Support =
    Differs("runs once for each generation, in a process of its own, beside the serving one");
const WORKER: super::Support = Differs("runs before the worker accepts; a failure fails its start");
const ATEXIT: super::Support =
    Differs("runs when the last process of a generation has ended, and at the end");
const BESIDE: super::Support = Differs("runs in a process of its own, beside the master");
const CALL: super::Support =
    Differs("knows the functions that the letters of master-fifo stand for");
const CALLED: &str = "call a function of the server";
const MOUNT: &str = "mount a file system, FS WHAT WHERE [FLAGS]";
const UMOUNT: &str = "unmount a file system, WHERE [FLAGS]";

fn hook(draft: &mut Draft, phase: Phase, given: &Given<'_>) -> Result<(), Invalid> {
    let action = Draft::some_text(given)?;
    check(draft, &action);
    add(draft, phase, Kind::Hook, action, given);
    Ok(())
}

/// As the original, which finds out when it gets there; what a signal is to mean is needed now.
fn check(draft: &mut Draft, action: &str) {
    match Action::parse(action) {
        Ok(Action::Signal(number, command)) => {
            let handled = signals::handled(Who::Master).contains(&number);
            if !handled || number == signals::CHLD {
                let text = format!("has no effect: no master hears the signal {number}");
                draft.warn(text, "take one of docs/signals.md");
            }
            draft.settings.hooks.signals.push((number, command));
        }
        Ok(_) => (),
        Err(why) => {
            let hint = "see docs/options.md for what hooks can do, or use exec:COMMAND";
            draft.warn(format!("cannot be done: {why}"), hint);
        }
    }
}

fn exec(draft: &mut Draft, phase: Phase, given: &Given<'_>) -> Result<(), Invalid> {
    let command = Draft::some_text(given)?;
    add(draft, phase, Kind::Exec, format!("exec:{command}"), given);
    Ok(())
}

fn call(draft: &mut Draft, phase: Phase, given: &Given<'_>) -> Result<(), Invalid> {
    let action = format!("call:{}", Draft::some_text(given)?);
    check(draft, &action);
    add(draft, phase, Kind::Call, action, given);
    Ok(())
}

fn mount(draft: &mut Draft, phase: Phase, given: &Given<'_>) -> Result<(), Invalid> {
    let action = format!("mount:{}", Draft::some_text(given)?);
    check(draft, &action);
    add(draft, phase, Kind::Mount, action, given);
    Ok(())
}

fn umount(draft: &mut Draft, phase: Phase, given: &Given<'_>) -> Result<(), Invalid> {
    let action = format!("umount:{}", Draft::some_text(given)?);
    add(draft, phase, Kind::Umount, action, given);
    Ok(())
}

fn wait(draft: &mut Draft, phase: Phase, name: &str, given: &Given<'_>) -> Result<(), Invalid> {
    let action = format!("{name}:{}", Draft::some_text(given)?);
    add(draft, phase, Kind::Hook, action, given);
    Ok(())
}

fn timeout(draft: &mut Draft, given: &Given<'_>) -> Result<Duration, Invalid> {
    let limit = draft.seconds(given)?;
    // 0 is the original's default.
    Ok(if limit.is_zero() {
        Duration::from_secs(60)
    } else {
        limit
    })
}

fn add(draft: &mut Draft, phase: Phase, kind: Kind, action: String, given: &Given<'_>) {
    draft.settings.hooks.all.push(Hook {
        phase,
        kind,
        action,
        place: given.place.clone(),
    });
}
