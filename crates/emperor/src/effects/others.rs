//! Masters beside an app's own: heirs that shall take over, and those that retired.

use std::path::PathBuf;
use std::time::Instant;

use imperator_core::message::{FromMaster, ToMaster};
use imperator_process::image;
use tracing::{info, warn};

use super::{Effects, Kept, Master, flush, say};
use crate::plan::App;
use crate::seen::Seen;
use crate::supervisor::{Name, Order, Pid};

/// A master that shall take over, and what it has shown of itself.
pub struct Heir {
    pub master: Master,
    pub kept: Kept,
}

/// Somebody at the other end of a channel.
#[derive(Debug, Clone)]
pub enum Peer {
    /// An app's master.
    Own(Name),
    Heir(Name),
    Retired(Pid),
}

impl Effects {
    /// All masters that can be heard.
    pub fn peers(&self) -> impl Iterator<Item = (Peer, &Master)> {
        let own = self.masters.iter();
        let own = own.map(|(name, master)| (Peer::Own(name.clone()), master));
        let heirs = self.heirs.iter();
        let heirs = heirs.map(|(name, heir)| (Peer::Heir(name.clone()), &heir.master));
        let retired = self.retired.iter();
        let retired = retired.map(|(&pid, (_, master))| (Peer::Retired(pid), master));
        let all = own.chain(heirs).chain(retired);
        all.filter(|(_, master)| !master.hung_up)
    }

    /// Sends what a master did not take at once.
    pub fn flush(&mut self, peer: &Peer) {
        match peer {
            Peer::Own(name) => {
                if let Some(master) = self.masters.get_mut(name) {
                    flush(name, master);
                }
            }
            Peer::Heir(name) => {
                if let Some(heir) = self.heirs.get_mut(name) {
                    flush(name, &mut heir.master);
                }
            }
            Peer::Retired(pid) => {
                if let Some((name, master)) = self.retired.get_mut(pid) {
                    flush(name, master);
                }
            }
        }
    }

    /// What masters are started from: the file that this process runs on, also when another one lies
    /// in its place, which nobody has looked at.
    pub(super) fn program(&self) -> PathBuf {
        let on_disk = image::of(&self.executable).ok();
        if on_disk.is_some() && on_disk == self.build {
            return self.executable.clone();
        }
        match &self.empire.start_hook {
            // A shell stands in between.
            Some(_) => format!("/proc/{}/exe", std::process::id()).into(),
            None => image::OWN.into(),
        }
    }

    /// Starts a second master of this app on the sockets of the one that serves.
    ///
    /// # Errors
    /// One line that says what failed.
    pub fn spawn_heir(
        &mut self,
        name: &str,
        app: &App,
        seen: Option<Seen>,
        now: Instant,
    ) -> Result<Pid, String> {
        let master = self.launch(name, app, seen, true, now)?;
        let pid = master.pid;
        let kept = Kept {
            owner: self.kept.get(name).and_then(|kept| kept.owner.clone()),
            ..Kept::default()
        };
        self.heirs.insert(name.to_owned(), Heir { master, kept });
        Ok(pid)
    }

    /// The heir becomes the app's master, and the one before retires.
    pub fn promote(&mut self, name: &str) {
        let Some(Heir {
            mut master,
            mut kept,
        }) = self.heirs.remove(name)
        else {
            return;
        };
        let pid = master.pid;
        say(name, &mut master, ToMaster::Succeed);
        if let Some(old) = self.kept.remove(name) {
            kept.last_generation = kept.last_generation.max(old.last_generation);
            if kept.listeners.is_empty() {
                (kept.listeners, kept.files) = (old.listeners, old.files);
            }
        }
        self.kept.insert(name.to_owned(), kept);
        self.store_sockets(name);
        match self.masters.remove(name) {
            Some(mut old) => {
                info!(
                    "[emperor] the master of {name} (pid {pid}) takes over from pid {}",
                    old.pid
                );
                say(name, &mut old, ToMaster::Retire);
                self.retired.insert(old.pid, (name.to_owned(), old));
            }
            None => say(name, &mut master, ToMaster::Inherit),
        }
        self.masters.insert(name.to_owned(), master);
    }

    /// The heir is given up.
    pub fn dismiss(&mut self, name: &str) {
        if let Some(Heir { mut master, .. }) = self.heirs.remove(name) {
            warn!(
                "[emperor] the new master of {name} (pid {}) is given up, the one before serves on",
                master.pid
            );
            say(name, &mut master, ToMaster::StopNow);
            self.retired.insert(master.pid, (name.to_owned(), master));
        }
    }

    /// A reload of this app is for a new master, however it comes.
    pub fn tell_outdated(&mut self, name: &str) {
        if let Some(master) = self.masters.get_mut(name) {
            say(name, master, ToMaster::Outdated);
        }
    }

    pub fn order_heir(&mut self, name: &str, order: Order) {
        if let Some(heir) = self.heirs.get_mut(name) {
            say(name, &mut heir.master, order.message());
        }
    }

    /// A master that retired is late.
    pub fn press(&mut self, pid: Pid) {
        if let Some((name, master)) = self.retired.get_mut(&pid) {
            warn!("[emperor] an old master of {name} (pid {pid}) ends now");
            say(name, master, ToMaster::StopNow);
        }
    }

    /// What an heir said next.
    pub fn receive_of_heir(&mut self, name: &str) -> Option<FromMaster> {
        let heir = self.heirs.get_mut(name)?;
        heir.master.receive(name, &mut heir.kept)
    }

    /// Reads what a master that retired still says; tells whether its channel is closed.
    pub fn listen_to_retired(&mut self, pid: Pid) -> bool {
        let Some((name, master)) = self.retired.get_mut(&pid) else {
            return false;
        };
        let mut is_free = false;
        while let Some(message) = master.receive(name, &mut Kept::default()) {
            is_free |= message == FromMaster::Ceded;
        }
        let (name, hung_up) = (name.clone(), master.hung_up);
        if is_free {
            self.pass_estate(&name);
        }
        hung_up
    }

    /// A master that retired has ended.
    pub fn bury_retired(&mut self, pid: Pid) -> Option<Name> {
        let (name, _) = self.retired.remove(&pid)?;
        self.pass_estate(&name);
        Some(name)
    }

    fn pass_estate(&mut self, name: &str) {
        if let Some(master) = self.masters.get_mut(name) {
            say(name, master, ToMaster::Inherit);
        }
    }
}
