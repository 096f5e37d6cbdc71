//! Sockets that outlive masters: in this process, and in systemd's store, where they outlive it, too.

use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::PathBuf;

use imperator_core::address::Address;
use imperator_core::message::Held;
use tracing::info;

use super::{Effects, Kept};
use crate::runtime::AppRecord;

impl Effects {
    /// An app has other sockets than before.
    pub(super) fn store_sockets(&mut self, name: &str) {
        let Some(kept) = self.kept.get(name) else {
            return;
        };
        let stored = self.store.keep(name, &kept.listeners);
        let (owner, last) = (kept.owner.clone(), kept.last_generation);
        self.runtime.amend(name, |record| {
            record.stored = stored;
            record.owner = owner;
            record.last_generation = last;
        });
    }

    /// All that is there is to be stored: systemd has told how much it keeps.
    pub fn store_all(&mut self) {
        let names: Vec<_> = self.kept.keys().cloned().collect();
        for name in names {
            self.store_sockets(&name);
        }
    }

    /// Whether nobody is refused while the app has no master and the emperor dies.
    pub fn is_stored(&self, name: &str) -> bool {
        let kept = self.kept.get(name);
        kept.is_some_and(|kept| self.store.has_all(name, &kept.listeners))
    }

    /// Nobody shall connect to this app any more.
    pub fn release(&mut self, name: &str) {
        self.store.forget(name);
        self.runtime.amend(name, |record| record.stored.clear());
        let Some(kept) = self.kept.get_mut(name) else {
            return;
        };
        kept.listeners.clear();
        let files = std::mem::take(&mut kept.files);
        // A master removes its own; one that went to let its app sleep has left them. What a tenant
        // names is not for us to remove.
        if kept.owner.is_none() {
            for (path, file) in files {
                if file_at(&path) == Some(file) {
                    let _ = std::fs::remove_file(path);
                }
            }
        }
    }

    /// The sockets that systemd has kept for an app without a master. Tells whether that is all of
    /// them.
    pub fn take_stored(
        &mut self,
        record: &AppRecord,
        mut fd: impl FnMut(&str) -> Option<OwnedFd>,
    ) -> bool {
        let mut listeners = Vec::new();
        for stored in &record.stored {
            if let Some(fd) = fd(&stored.key) {
                use std::os::fd::AsFd;
                self.store.know(&record.name, &stored.key, fd.as_fd());
                listeners.push((stored.held.clone(), fd));
            }
        }
        if listeners.is_empty() {
            return false;
        }
        let are_all = listeners.len() == record.stored.len();
        info!(
            "[emperor] {}: systemd has kept {} sockets of it",
            record.name,
            listeners.len()
        );
        let kept = self.kept.entry(record.name.clone()).or_default();
        *kept = Kept {
            files: files(&listeners),
            listeners,
            last_generation: record.last_generation,
            owner: record.owner.clone(),
            ..Kept::default()
        };
        are_all
    }
}

/// The files of the Unix sockets among them.
pub(super) fn files(listeners: &[(Held, OwnedFd)]) -> Vec<(PathBuf, (u64, u64))> {
    let unix = listeners
        .iter()
        .filter_map(|(held, _)| match &held.address {
            Address::Unix(path) => Some((path.clone(), file_at(path)?)),
            Address::Abstract(_) | Address::Tcp(_) => None,
        });
    unix.collect()
}

fn file_at(path: &std::path::Path) -> Option<(u64, u64)> {
    let it = path.symlink_metadata().ok()?;
    it.file_type().is_socket().then(|| (it.dev(), it.ino()))
}
