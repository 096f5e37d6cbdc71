//! A file system that hangs, as a dead NFS server's does: every look at it waits in the kernel. Made by
//! mounting FUSE for a daemon that never says a word; that needs root and `/dev/fuse`.

use std::ffi::CString;
use std::os::fd::AsRawFd;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::support::{Empire, skip};
use super::{ask, empire, generation, ini, master, settled, wait_greeting};

/// Hangs until it is dropped.
struct Hung {
    at: PathBuf,
    /// The daemon's end: closed, it ends every wait.
    _daemon: std::fs::File,
}

impl Hung {
    /// Over this directory; why not, where it cannot be.
    fn over(at: PathBuf) -> Result<Self, String> {
        let daemon = std::fs::File::options()
            .read(true)
            .write(true)
            .open("/dev/fuse")
            .map_err(|error| format!("/dev/fuse: {error}"))?;
        let data = format!(
            "fd={},rootmode=40000,user_id=0,group_id=0,allow_other",
            daemon.as_raw_fd()
        );
        let data = CString::new(data).expect("no NUL");
        mount(
            "hung",
            &at,
            "fuse",
            MountFlags::NOSUID | MountFlags::NODEV,
            data.as_c_str(),
        )
        .map_err(|error| format!("mounting FUSE: {error}"))?;
        Ok(Self {
            at,
            _daemon: daemon,
        })
    }
}

impl Drop for Hung {
    fn drop(&mut self) {
        let _ = unmount(&self.at, UnmountFlags::DETACH);
    }
}

fn wait_logged(empire: &Empire, what: &str) {
    empire.wait_for(&format!("the log to say {what}"), |empire| {
        empire.log().contains(what).then_some(())
    });
}

#[test]
fn a_file_system_that_hangs_holds_neither_the_emperor_nor_a_master() {
    let touching = format!(
        "{}touch-reload = {{dir}}/away/touch\n",
        ini("touching", "touching")
    );
    let empire = empire(&[
        ("touching.ini", &touching),
        ("blog.ini", &ini("blog", "one")),
    ]);
    let folder = &empire.folder;
    folder.write("away/linked.ini", &ini("linked", "linked"));
    folder.write("away/touch", "");
    symlink(
        folder.join("away/linked.ini"),
        folder.join("vassals/linked.ini"),
    )
    .expect("a link");
    for name in ["touching", "blog", "linked"] {
        wait_greeting(&empire, name, name.replace("blog", "one").as_str());
    }
    let before = ["touching", "linked"].map(|name| settled(&empire, name));
    let hung = match Hung::over(folder.join("away")) {
        Ok(hung) => hung,
        Err(why) => return skip(&format!("a file system that hangs: {why}")),
    };
    wait_logged(&empire, "linked.ini: its file system does not answer");
    wait_logged(
        &empire,
        "away/touch was touched: its file system does not answer",
    );

    // The emperor sees what else changes; the master obeys; all serve.
    empire.write("blog.ini", &ini("blog", "two"));
    wait_greeting(&empire, "blog", "two");
    empire.command(&["reload", "touching"]);
    empire.wait_for("a second generation", |empire| {
        (generation(&empire.app("touching")) > generation(&before[0])).then_some(())
    });
    assert!(ask(&empire, "linked").is_some(), "{}", empire.report());
    let linked = settled(&empire, "linked");
    assert_eq!(master(&linked), master(&before[1]), "{}", empire.report());
    assert_eq!(
        generation(&linked),
        generation(&before[1]),
        "{}",
        empire.report()
    );

    // What is done to the files meanwhile counts when they can be seen again.
    let reloaded = settled(&empire, "touching");
    drop(hung);
    folder.touch("away/touch");
    folder.write("away/linked.ini", &ini("linked", "new"));
    wait_greeting(&empire, "linked", "new");
    empire.wait_for("the touch to count", |empire| {
        (generation(&empire.app("touching")) > generation(&reloaded)).then_some(())
    });
}
