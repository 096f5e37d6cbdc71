//! Sleep without any process, over the end and the replacement of the emperor that watches the socket.

use std::fs;

use super::container::Container;
use super::support::{uwsgi_get, wait_for};
use super::{UNIT, kill, socket, vassal};

/// Unlike one that is on demand, an app with `idle` alone is loaded by each start: so it shows who
/// starts it. It stays asleep over emperors that are killed, upgraded and restarted.
pub(crate) fn over_emperors(system: &Container, asleep: &dyn Fn() -> Option<()>) {
    let app = "import os\nopen('/srv/loads', 'a').write('x')\nexec(open('/srv/app.py').read())\n";
    system.write("/srv/counted.py", app);
    system.write("/srv/loads", "");
    let loads = || fs::read_to_string(system.path("/srv/loads")).map_or(0, |it| it.len());
    vassal(system, "sleeper", "wsgi-file = /srv/counted.py\nidle = 2");
    let wait_asleep = |what: &str| wait_for(what, || system.report(), asleep);
    let slept = |what: &str, before: usize| {
        wait_for(
            what,
            || system.report(),
            || {
                let journal = system.journal();
                let again = journal.matches("sleeper sleeps on until").count();
                (again > before).then_some(())
            },
        );
    };
    wait_for(
        "the app to be loaded",
        || system.report(),
        || (loads() == 1).then_some(()),
    );
    wait_asleep("the loaded app to sleep");

    let emperor = system.main_pid();
    let told = system.journal().matches("sleeper sleeps on until").count();
    kill(system, "KILL", emperor);
    slept("the next emperor to watch it", told);
    wait_asleep("the app to sleep on after a kill");

    let text = fs::read_to_string(system.path(UNIT)).expect("the unit");
    let line = text.lines().find_map(|it| it.strip_prefix("ExecStart="));
    let program = line.and_then(|it| it.split_whitespace().next());
    let program = program.expect("ExecStart=");
    let emperor = system.main_pid();
    let file = || system.must(&["readlink", &format!("/proc/{emperor}/exe")]);
    for how in [
        &["imperator", "upgrade"][..],
        &["systemctl", "reload", "imperator"],
    ] {
        let next = format!("{program}.next");
        // The same program, and another file.
        system.must(&[
            "sh",
            "-c",
            &format!("cp {program} {next}; echo >> {next}; mv {next} {program}"),
        ]);
        system.must(how);
        wait_for(
            "the emperor to run on the new file",
            || system.report(),
            || (!file().contains("(deleted)")).then_some(()),
        );
        assert_eq!(system.main_pid(), emperor, "the same process");
        wait_asleep("the app to sleep on after an upgrade");
    }

    let told = system.journal().matches("sleeper sleeps on until").count();
    system.must(&["systemctl", "restart", "imperator"]);
    slept("the restarted emperor to watch it", told);
    wait_asleep("the app to sleep on after a restart");
    assert_eq!(loads(), 1, "{}", system.report());
    let reply = uwsgi_get(socket(system, "sleeper"), "/").expect("an answer");
    assert_eq!((reply.status, loads()), (200, 2), "{}", system.report());
    wait_asleep("the app to sleep at last");
}
