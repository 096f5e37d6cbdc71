//! What routes and the app say of a request beside its answer: whether it is logged, what is
//! added to it.

use std::sync::{Arc, PoisonError};

use super::Exchange;
use crate::additions::Additions;
use crate::errors::WriteError;

impl Exchange {
    /// Whether this request gets a line in the log, whatever the settings say.
    pub fn log_it(&self, wanted: bool) {
        if let Ok(mut answer) = self.answer.try_lock() {
            answer.notes.wanted = Some(wanted);
        }
    }

    /// What `%(name)` of log-format shows of this request.
    pub fn set_log_var(&self, name: &[u8], value: &[u8]) {
        if let Ok(mut answer) = self.answer.try_lock() {
            answer.notes.set(name, value);
        }
    }

    /// Empty when nobody has set it.
    pub fn log_var(&self, name: &[u8]) -> Vec<u8> {
        let answer = self.answer.try_lock();
        answer.map_or_else(|_| Vec::new(), |answer| answer.notes.get(name).to_vec())
    }

    /// Ends the answer for the client; the app goes on. What it still writes goes nowhere.
    pub fn disconnect(&self) {
        if let Ok(mut answer) = self.answer.try_lock() {
            answer.end(&self.worker, self.asked(), self.patience());
            if let Some(connection) = &answer.connection {
                let all = rustix::net::Shutdown::Both;
                let _ = rustix::net::shutdown(&connection.socket, all);
            }
            answer.broken = Some(WriteError::Gone);
        }
    }

    /// The header lines of this request's answer, to be changed.
    pub(crate) fn additions(&mut self) -> &mut Additions {
        let answer = self.answer.get_mut();
        let answer = answer.unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(answer.response.additions.get_or_insert_default())
    }

    /// Forgets an answer of which nothing was sent; whether it could be forgotten.
    pub(crate) fn forget_answer(&mut self) -> bool {
        let answer = self.answer.get_mut();
        let answer = answer.unwrap_or_else(PoisonError::into_inner);
        if answer.response.is_committed() {
            return false;
        }
        answer.response.clear();
        true
    }

    /// Whether SCRIPT_NAME and PATH_INFO are already those of the app that the request is for
    /// (`manage-script-name`).
    pub fn is_mounted(&self) -> bool {
        self.is_mounted
    }
}
