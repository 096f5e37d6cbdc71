//! The signal mask around a fork: a handler of the parent must not run in the child.

use std::mem::MaybeUninit;

/// All signals are blocked in this thread until [`SignalMask::restore`] or drop.
pub struct SignalMask {
    before: libc::sigset_t,
}

impl SignalMask {
    /// Blocks every signal in the calling thread.
    pub fn block_all() -> Self {
        let mut all = MaybeUninit::uninit();
        // SAFETY: sigfillset(3) fills the set that it is given; a valid pointer is all it needs.
        unsafe { libc::sigfillset(all.as_mut_ptr()) };
        let mut before = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: both sets are valid memory; `all` was filled above; SIG_SETMASK cannot fail.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) };
        Self {
            // SAFETY: pthread_sigmask wrote the old mask.
            before: unsafe { before.assume_init() },
        }
    }

    /// Cannot fail: the mask came from the kernel.
    pub fn restore(self) {
        drop(self);
    }
}

impl Drop for SignalMask {
    fn drop(&mut self) {
        // SAFETY: `before` is a mask that pthread_sigmask returned.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.before, std::ptr::null_mut()) };
    }
}

/// Unblocks every signal: the last act of a child's set-up. Async-signal-safe.
pub(crate) fn unblock_all() {
    let mut none = MaybeUninit::uninit();
    // SAFETY: sigemptyset(3) fills the set that it is given.
    unsafe { libc::sigemptyset(none.as_mut_ptr()) };
    // SAFETY: `none` was filled above; the old mask is not asked for.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut()) };
}
