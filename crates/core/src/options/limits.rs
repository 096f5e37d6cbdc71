//! Rows: as whom, where, within which limits and under which names the app's processes run.

use super::Support::{Differs, Full, Later};
use super::{Draft, Given, Invalid, Opt, Value, ignored, opt, values};

const OWN_MASTER: &str = "the master keeps the rights it was started with, and runs no app code";

pub(super) static OPTIONS: &[Opt] = &[
    opt(
        "add-gid",
        Value::Text,
        Full,
        "a group of the app; such groups stand in for its user's own",
        |draft, given| {
            let group = Draft::some_text(given)?;
            draft.settings.limits.add_gids.push(group);
            Ok(())
        },
    ),
    opt(
        "auto-procname",
        Value::Flag,
        Differs("where it is not set, ps shows the app's name too"),
        "give processes names that ps shows",
        |draft, given| {
            let wanted = draft.flag(given);
            draft.settings.auto_procname = wanted;
            draft.settings.titles.auto = wanted;
            Ok(())
        },
    )
    .default("true")
    .was("false"),
    later_cgroup("cgroup", "put the app into this control group"),
    later_cgroup("cgroup-dir-mode", "mode of a control group's directory"),
    later_cgroup("cgroup-opt", "write a value into the control group"),
    opt(
        "chdir",
        Value::Path,
        Full,
        "directory that the app is loaded and runs in",
        set!(chdir, path),
    ),
    opt(
        "chdir2",
        Value::Path,
        Differs("a directory that is not there fails the generation"),
        "directory that workers change into when the app is loaded",
        set!(limits.chdir2, path),
    ),
    opt(
        "cpu-affinity",
        Value::Number,
        Full,
        "bind each worker to this many processors",
        |draft, given| {
            let count = draft.number32(given)?;
            draft.settings.limits.cpu_affinity = Some(count).filter(|&count| count > 0);
            Ok(())
        },
    ),
    opt(
        "drop-after-apps",
        Value::Flag,
        Later("let the app's user read what it needs while it is loaded"),
        "load the app with the rights of the start",
        super::nothing,
    ),
    ignored(
        "drop-after-init",
        Value::Flag,
        "drop privileges when sockets are bound",
        "sockets are bound before that, by the master",
    ),
    opt(
        "force-cwd",
        Value::Path,
        Differs("from the start; uWSGI goes there at its first reload"),
        "stands in for the directory of the start",
        set!(limits.force_cwd, path),
    ),
    opt(
        "gid",
        Value::Text,
        Full,
        "group, by name or number, that the app runs as",
        set!(gid, text),
    ),
    opt(
        "honour-stdin",
        Value::Flag,
        Differs("for pipes and files; a terminal is not for processes in groups of their own"),
        "leave the standard input to the app",
        set!(limits.honour_stdin, flag),
    ),
    opt(
        "immediate-gid",
        Value::Text,
        Differs("is gid: sockets are still bound by the master"),
        "group, before anything else is done",
        set!(gid, text),
    )
    .immediate(),
    opt(
        "immediate-uid",
        Value::Text,
        Differs("is uid: sockets are still bound by the master"),
        "user, before anything else is done",
        set!(uid, text),
    )
    .immediate(),
    ignored(
        "ksm",
        Value::Number,
        "let the kernel merge equal pages, every so many cycles",
        "workers of a mold share their pages anyway",
    ),
    opt(
        "limit-as",
        Value::Mebibytes,
        Differs("confines the app's processes, not the master"),
        "limit of address space, in MiB",
        set!(limits.address_space, mebibytes),
    ),
    opt(
        "limit-nproc",
        Value::Number,
        Differs("confines the app's processes, not the master"),
        "limit of processes of the app's user",
        set!(limits.processes, some),
    ),
    ignored(
        "lock-engine",
        Value::Text,
        "how locks between processes work",
        "there are no locks between processes",
    ),
    ignored(
        "master-as-root",
        Value::Flag,
        "keep the master's rights",
        OWN_MASTER,
    ),
    opt(
        "max-fd",
        Value::Number,
        Differs("confines the app's processes; the master has what it needs"),
        "limit of open files",
        set!(limits.open_files, some),
    ),
    opt(
        "never-swap",
        Value::Flag,
        Full,
        "keep the memory of workers resident",
        set!(limits.never_swap, flag),
    ),
    opt(
        "no-initgroups",
        Value::Flag,
        Full,
        "leave out the supplementary groups of the app's user",
        set!(limits.no_initgroups, flag),
    ),
    opt(
        "prio",
        Value::Number,
        Full,
        "nice value of the app's processes",
        |draft, given| {
            let (text, negative) = match given.text.trim_start().strip_prefix('-') {
                Some(rest) => (rest, true),
                None => (given.text, false),
            };
            let number =
                i32::try_from(draft.number(&Given { text, ..*given })?).unwrap_or(i32::MAX);
            draft.settings.limits.priority = Some(if negative { -number } else { number });
            Ok(())
        },
    ),
    opt(
        "procname",
        Value::Text,
        Full,
        "the name of all processes in ps",
        set!(titles.all, text),
    ),
    opt(
        "procname-append",
        Value::Text,
        Full,
        "text behind the names of processes",
        set!(titles.append, text),
    ),
    opt(
        "procname-master",
        Value::Text,
        Full,
        "the name of the master in ps",
        set!(titles.master, text),
    ),
    opt(
        "procname-prefix",
        Value::Text,
        Full,
        "text before the names of processes",
        set!(titles.prefix, text),
    ),
    opt(
        "procname-prefix-spaced",
        Value::Text,
        Full,
        "text and a space before the names of processes",
        |draft, given| {
            let prefix = format!("{} ", Draft::some_text(given)?);
            draft.settings.titles.prefix = Some(prefix);
            Ok(())
        },
    ),
    opt(
        "reaper",
        Value::Flag,
        Full,
        "reap children that the app does not wait for, after each request",
        set!(limits.reaper, flag),
    )
    .short('r'),
    opt(
        "skip-atexit",
        Value::Flag,
        Full,
        "end workers without their atexit functions",
        set!(limits.skip_atexit, flag),
    ),
    ignored(
        "skip-atexit-teardown",
        Value::Flag,
        "end workers without taking the interpreter down",
        "a teardown that hangs ends at the worker's mercy",
    ),
    opt(
        "thread-stacksize",
        Value::Kibibytes,
        Full,
        "stack of each thread in KiB",
        |draft, given| {
            let bytes = draft.some(given)?.map(|kib| kib.saturating_mul(1024));
            draft.settings.limits.thread_stack = bytes;
            Ok(())
        },
    )
    .aka(&[
        "thread-stack-size",
        "threads-stack-size",
        "threads-stacksize",
    ]),
    opt(
        "uid",
        Value::Text,
        Full,
        "user, by name or number, that the app runs as",
        set!(uid, text),
    ),
    opt(
        "umask",
        Value::Mode,
        Differs("a value that is no mode is refused; in uWSGI it is 000"),
        "permissions that new files do not get",
        umask,
    )
    .immediate(),
];

const fn later_cgroup(name: &'static str, help: &'static str) -> Opt {
    opt(
        name,
        Value::Text,
        Later("set MemoryMax=, CPUQuota= and the like in the unit"),
        help,
        super::nothing,
    )
}

fn umask(draft: &mut Draft, given: &Given<'_>) -> Result<(), Invalid> {
    // Four digits are read here, unlike in chmod-socket.
    let text = match given.text.strip_prefix('0') {
        Some(three) if three.len() == 3 => three,
        Some(_) | None => given.text,
    };
    let mode = (text != "1").then(|| values::mode(text).ok()).flatten();
    let Some(mode) = mode else {
        let text = format!("\"{}\" is no mode of three octal digits", given.text);
        return Err(Invalid::with_hint(text, "write 022, for example"));
    };
    draft.settings.limits.umask = Some(mode);
    Ok(())
}
