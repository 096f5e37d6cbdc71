//! Who answers a request: one atomic word, taken once, by the app or by its deadline.

use std::sync::atomic::{AtomicU8, Ordering};

const NOBODY: u8 = 0;
/// The app, or what answers in its place: the head is on its way.
const APP: u8 = 1;
/// The request ran past its deadline before anything was sent.
const DEADLINE: u8 = 2;

/// Whoever takes it may send the head of the answer; nobody else sends a byte.
#[derive(Debug, Default)]
pub(crate) struct Claim(AtomicU8);

impl Claim {
    pub(crate) fn clear(&mut self) {
        *self.0.get_mut() = NOBODY;
    }

    /// For the app. True again for whoever has it.
    pub(crate) fn take(&self) -> bool {
        let taken = self
            .0
            .compare_exchange(NOBODY, APP, Ordering::AcqRel, Ordering::Acquire);
        taken.is_ok() || taken == Err(APP)
    }

    /// For the deadline; true once.
    pub(crate) fn take_late(&self) -> bool {
        self.0
            .compare_exchange(NOBODY, DEADLINE, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// Whether the deadline has it.
    pub(crate) fn is_late(&self) -> bool {
        self.0.load(Ordering::Acquire) == DEADLINE
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn the_first_one_has_it_in_either_order() {
        let mut claim = Claim::default();
        assert!(claim.take() && claim.take());
        assert!(!claim.take_late() && !claim.is_late());
        claim.clear();
        assert!(claim.take_late() && claim.is_late());
        assert!(!claim.take() && !claim.take_late());
    }

    #[test]
    fn of_two_at_once_one_has_it() {
        for _ in 0..200 {
            let (claim, barrier) = (Claim::default(), Barrier::new(2));
            let (app, late) = std::thread::scope(|scope| {
                let app = scope.spawn(|| {
                    barrier.wait();
                    claim.take()
                });
                barrier.wait();
                let late = claim.take_late();
                (app.join().unwrap(), late)
            });
            assert!(app != late);
        }
    }
}
