//! What the allocator does with memory that is given back.

use std::ffi::c_long;

use libmimalloc_sys::{mi_option_set, mi_option_t};

/// `mi_option_purge_delay` (mimalloc.h): milliseconds before free pages go back to the system.
const PURGE_DELAY: mi_option_t = 15;
const AT_ONCE: c_long = 0;

/// Keeps what the process holds close to what it uses: free pages go back to the system at once, and there are no pages of 2 MiB, of which
/// a used byte makes all resident. For what runs for years beside others on a small machine; a capture file is read faster without.
pub fn hold_little() {
    // SAFETY: it sets a number that the allocator reads whenever it frees pages.
    unsafe { mi_option_set(PURGE_DELAY, AT_ONCE) };
    // SAFETY: no pointer is passed. A kernel without large pages refuses, and has none.
    unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) };
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
    }
}
