//! What a started program finds: descriptors, environment, group, limits, identity; and how a step
//! that fails is named.

use std::io::Read;
use std::os::fd::AsFd;

use imperator_process::privileges::{self, Identity};
use imperator_process::spawn::{Group, Plan, SpawnError, Step, spawn};

/// Runs a shell script by `plan`; its output.
fn run<'a>(script: &str, change: impl FnOnce(&mut Plan<'a>)) -> Result<String, SpawnError> {
    let (mut read, write) = std::io::pipe().unwrap();
    let mut plan = Plan::new("/bin/sh");
    plan.args = vec!["-c".into(), script.into()];
    change(&mut plan);
    let mut plan: Plan<'_> = plan;
    plan.fds.push((write.as_fd(), 1));
    let pid = spawn(&plan)?;
    drop(plan);
    drop(write);
    let mut text = String::new();
    read.read_to_string(&mut text).unwrap();
    let pid = rustix::process::Pid::from_raw(pid);
    rustix::process::waitpid(pid, rustix::process::WaitOptions::empty()).unwrap();
    Ok(text)
}

#[test]
fn only_what_is_passed_on_is_open() {
    let file = std::fs::File::open("/dev/null").unwrap();
    let passed = [(file.as_fd(), 5), (file.as_fd(), 3), (file.as_fd(), 0)];
    let text = run("ls /proc/self/fd | tr '\\n' ' '", |plan| {
        plan.fds.extend(passed)
    });
    let text = text.unwrap();
    let mut fds: Vec<u32> = text
        .split_whitespace()
        .map(|it| it.parse().unwrap())
        .collect();
    fds.sort_unstable();
    // 4 is the directory that ls reads.
    assert_eq!(fds, [0, 1, 2, 3, 4, 5]);
}

#[test]
fn nothing_is_inherited_from_the_environment() {
    let text = run("env | sort", |plan| {
        plan.env = vec![("A".into(), "b".into())]
    })
    .unwrap();
    let lines: Vec<_> = text
        .lines()
        .filter(|line| !line.starts_with(['_', 'P', 'S', 'O']))
        .collect();
    assert_eq!(lines, ["A=b"]);
}

#[test]
fn a_child_leads_its_own_group_or_session() {
    let own = run("echo $$; ps -o pgid= -p $$ | tr -d ' '", |_| ()).unwrap();
    let lines: Vec<_> = own.lines().collect();
    assert_eq!(lines[0], lines[1]);
    let session = run("echo $$; ps -o sid= -p $$ | tr -d ' '", |plan| {
        plan.group = Group::Session
    });
    let session = session.unwrap();
    let lines: Vec<_> = session.lines().collect();
    assert_eq!(lines[0], lines[1]);
}

#[test]
fn limits_umask_and_directory_are_as_planned() {
    let text = run("ulimit -n; umask; pwd", |plan| {
        plan.nofile = Some(77);
        plan.umask = Some(0o27);
        plan.chdir = Some("/proc".into());
    });
    assert_eq!(text.unwrap(), "77\n0027\n/proc\n");
}

#[test]
fn no_signal_is_blocked_or_ignored() {
    let text = run("grep -E 'Sig(Blk|Ign)' /proc/self/status", |_| ()).unwrap();
    for line in text.lines() {
        let (_, bits) = line.split_once('\t').unwrap();
        let bits = u64::from_str_radix(bits, 16).unwrap();
        // 32 and 33 are the C library's own; nobody else can set them.
        assert_eq!(bits & !(0b11 << 31), 0, "{line}");
    }
}

#[test]
fn an_identity_is_taken_with_its_groups_and_for_good() {
    if !privileges::is_root() {
        return;
    }
    let text = run(
        "id -u; id -g; id -G; grep CapEff /proc/self/status",
        |plan| {
            plan.identity = Some(Identity {
                uid: 54321,
                gid: 54322,
                groups: vec![54322, 54323],
                name: None,
                home: None,
            });
        },
    );
    assert_eq!(
        text.unwrap(),
        "54321\n54322\n54322 54323\nCapEff:\t0000000000000000\n"
    );
}

#[test]
fn a_failed_step_is_named_with_its_object() {
    let error = run("true", |plan| plan.program = "/no/such/program".into()).unwrap_err();
    assert_eq!((error.step, error.errno), (Step::Exec, libc::ENOENT));
    let error = run("true", |plan| plan.chdir = Some("/no/such/place".into())).unwrap_err();
    assert_eq!(error.step, Step::Chdir);
    assert_eq!(
        error.to_string(),
        "cannot change into directory /no/such/place: No such file or directory (os error 2)"
    );
}
