//! systemd's store of descriptors, when it is too small.

use super::container::Container;
use super::support::{Load, wait_for};
use super::{VASSALS, answers, settle, socket, vassal, wait_for_store};

/// One app too many for `FileDescriptorStoreMax=`.
pub(crate) fn small_store(system: &Container) {
    let drop_in = "/run/systemd/system/imperator.service.d/small.conf";
    system.write(drop_in, "[Service]\nFileDescriptorStoreMax=3\n");
    system.must(&["systemctl", "daemon-reload"]);
    system.must(&["systemctl", "restart", "imperator"]);
    settle(system);
    wait_for_store(system, 3);
    vassal(system, "extra", "wsgi-file = /srv/app.py");
    answers(system, "extra");
    wait_for(
        "a word about it",
        || system.report(),
        || {
            let journal = system.journal();
            let told = journal.contains("systemd keeps no more than 3 sockets");
            (told && journal.contains("raise FileDescriptorStoreMax=")).then_some(())
        },
    );
    let load = Load::uwsgi(socket(system, "dropped"), 2, "/");
    load.wait_for_more(20);
    system.must(&["systemctl", "restart", "imperator"]);
    load.wait_for_more(20);
    load.stop().must_be_clean(40, || system.report());
    answers(system, "extra");
    wait_for_store(system, 3);
    system.remove(&format!("{VASSALS}/extra.ini"));
    system.remove(drop_in);
    system.must(&["systemctl", "daemon-reload"]);
    system.must(&["systemctl", "restart", "imperator"]);
    settle(system);
}
