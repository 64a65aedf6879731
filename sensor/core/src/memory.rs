//! What the allocator does with memory that is given back.

use std::ffi::c_long;
use std::sync::atomic::{AtomicBool, Ordering};

use libmimalloc_sys::{mi_collect, mi_option_set, mi_option_t};

/// `mi_option_purge_delay` (mimalloc.h): milliseconds before free pages go back to the system.
const PURGE_DELAY: mi_option_t = 15;
const AT_ONCE: c_long = 0;
/// Longer than it takes to fill the tables anew where they fill before their time.
const SOON: c_long = 500;

/// Whether free pages are kept now.
static IS_KEEPING: AtomicBool = AtomicBool::new(false);

/// Keeps what the process holds close to what it uses: free pages go back to the system at once, and there are no pages of 2 MiB, of which
/// a used byte makes all resident. For what runs for years beside others on a small machine; a capture file is read faster without.
pub fn hold_little() {
    // SAFETY: it sets a number that the allocator reads whenever it frees pages.
    unsafe { mi_option_set(PURGE_DELAY, AT_ONCE) };
    // SAFETY: no pointer is passed. A kernel without large pages refuses, and has none.
    unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) };
}

/// Whether free pages are kept for a moment. What one cut gives back the next one needs: where cuts follow one another fast, a tenth of the
/// time would go into getting its pages from the system again.
pub fn keep_for_the_next(is_busy: bool) {
    if IS_KEEPING.swap(is_busy, Ordering::Relaxed) == is_busy {
        return;
    }
    if !is_busy {
        // What waits to be given back would wait for ever once nothing is to wait.
        // SAFETY: any thread may ask for it.
        unsafe { mi_collect(true) };
    }
    // SAFETY: it sets a number that the allocator reads whenever it frees pages.
    unsafe { mi_option_set(PURGE_DELAY, if is_busy { SOON } else { AT_ONCE }) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use libmimalloc_sys::mi_option_get;

    #[test]
    fn the_option_is_the_one_that_is_meant() {
        // SAFETY: it reads a number.
        let delay = || unsafe { mi_option_get(PURGE_DELAY) };
        assert_eq!(delay(), 1_000, "the default of the delay, and of no other option");
        hold_little();
        assert_eq!(delay(), AT_ONCE);
        for (is_busy, expected) in [(true, SOON), (false, AT_ONCE)] {
            keep_for_the_next(is_busy);
            assert_eq!(delay(), expected);
        }
    }
}
