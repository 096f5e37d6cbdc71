//! A request that runs past its deadline: the answer in the app's place, and whether an exception may
//! be raised in the thread that is in it.

use std::io::IoSlice;
use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};

use super::Exchange;
use crate::refusal::Refusal;
use crate::{socket, sys};

/// No exception may be raised for this request.
pub(super) const OUTSIDE: u8 = 0;
/// The app has it.
const INSIDE: u8 = 1;
/// One was raised.
const RAISED: u8 = 2;

impl Exchange {
    /// The deadline's answer, a 504, unless the head of another one is on its way. The app may go
    /// on; what it writes goes nowhere. Only with this exchange in the locked list of those that
    /// run: so its connection is open.
    pub(crate) fn answer_late(&self, reason: String) {
        // Whoever sees the claim waits for the bytes.
        let mut late = self.late();
        if !self.claim.take_late() {
            return;
        }
        let Some(socket) = sys::lent(self.socket.load(Ordering::Acquire)) else {
            return;
        };
        let refusal = Refusal::new(504, reason);
        let bytes = refusal.bytes(&self.worker.dress, self.request.head_only);
        let mut parts = [IoSlice::new(&bytes)];
        let _ = socket::send(socket, &mut &mut parts[..]);
        let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Write);
        *late = Some(bytes);
    }

    pub(super) fn late(&self) -> MutexGuard<'_, Option<Vec<u8>>> {
        self.late.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The app begins: from now on an exception may be raised in it. With the interpreter held, as
    /// for the two below: so none of them comes between the steps of another.
    pub fn enter_app(&self) {
        self.place.store(INSIDE, Ordering::Release);
    }

    /// Whether an exception may be raised now; true once.
    pub fn mark_raised(&self) -> bool {
        self.place
            .compare_exchange(INSIDE, RAISED, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// Whether the app is inside, and an exception was raised for it.
    pub fn is_raised(&self) -> bool {
        self.place.load(Ordering::Acquire) == RAISED
    }

    /// The app has ended. True: an exception was raised, and may still be on its way.
    pub fn leave_app(&self) -> bool {
        let was = self.place.load(Ordering::Acquire);
        self.place.store(OUTSIDE, Ordering::Release);
        was == RAISED
    }
}
