//! How a master takes an app over from another one that still serves, and how it hands it on: an heir
//! of a newer version, the next emperor's master after a restart, nobody while the app sleeps.
//!
//! An heir shares the listening sockets and takes nothing that can be in one hand only: pidfiles,
//! FIFOs, stats, daemons, crons, the socket on which emperors find it.

use std::time::Instant;

use crate::effects::Effects;

#[derive(Debug, Default)]
pub(crate) struct Succession {
    /// Another master has what can be in one hand only.
    pub is_heir: bool,
    /// The emperor runs on another file, and a reload is for a master of that.
    pub is_outdated: bool,
    /// This one gives that away, and has not told yet that it is free.
    is_ceding: bool,
    /// It leaves all that for another master.
    has_ceded: bool,
}

impl Effects {
    /// What can be in one hand only is let go; the sockets and their files stay.
    pub(crate) fn cede(&mut self, now: Instant) {
        if self.succession.is_heir {
            return;
        }
        self.succession.is_ceding = true;
        self.succession.has_ceded = true;
        self.stats.close();
        crate::pidfile::remove(self.pidfile.take().as_deref());
        // Goes on once the last worker is gone.
        self.end_beside(now);
    }

    /// Whether what was ceded is free; told once.
    pub(crate) fn has_just_ceded(&mut self) -> bool {
        let is_free = self.succession.is_ceding && self.beside.is_done();
        if is_free {
            self.succession.is_ceding = false;
        }
        is_free
    }

    /// Nothing but the sockets needs a master while the app sleeps.
    pub(crate) fn is_idle(&self) -> bool {
        self.beside.is_idle()
            && self.pidfile.is_none()
            && self.stats.listener().is_none()
            && self.touched.is_empty()
            && !self.succession.is_heir
    }

    /// The other master is gone, or has let everything go.
    pub(crate) fn inherit(&mut self, now: Instant) {
        if !std::mem::take(&mut self.succession.is_heir) {
            return;
        }
        let configured = self.configured.take();
        self.drop_sockets_of_nobody();
        match (self.serving, configured) {
            (Some(serving), _) => {
                self.configure(serving);
                self.begin_beside(serving, true, now);
            }
            (None, Some(configured)) => {
                self.configure(configured);
                if self.generations.len() == 1 {
                    self.keep_sockets_of(configured);
                }
            }
            (None, None) => (),
        }
    }

    /// The app is unwanted: nobody shall find its sockets any more.
    pub(crate) fn unlink_sockets(&mut self) {
        let vacuum = self.newest().is_none_or(|it| it.settings.vacuum);
        if self.succession.is_heir {
            self.sockets.unlink_own();
        } else if vacuum && !self.succession.has_ceded {
            self.sockets.unlink();
        }
        self.stats.close();
    }
}
