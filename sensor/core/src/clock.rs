//! How far the clock of this machine is from the right time, as far as the kernel knows: what a time service last told it.

use pyo3::prelude::*;

const NANOSECONDS_OF_MICROSECOND: i64 = 1_000;

/// Offset that is still being corrected and greatest error, both in nanoseconds (adjtimex(2)); None where nobody keeps the clock.
#[pyfunction]
pub fn clock_offset() -> Option<(i64, i64)> {
    // SAFETY: every field of the structure may be zero; mode 0 asks and changes nothing.
    let mut state: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the structure is whole, and lives as long as the call.
    let answer = unsafe { libc::adjtimex(&raw mut state) };
    if answer < 0 { None } else { told(&state) }
}

fn told(state: &libc::timex) -> Option<(i64, i64)> {
    if state.status & libc::STA_UNSYNC != 0 {
        return None;
    }
    let unit = if state.status & libc::STA_NANO == 0 { NANOSECONDS_OF_MICROSECOND } else { 1 };
    Some((state.offset.saturating_mul(unit), state.maxerror.saturating_mul(NANOSECONDS_OF_MICROSECOND)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(status: i32) -> libc::timex {
        // SAFETY: every field of the structure may be zero.
        let mut state: libc::timex = unsafe { std::mem::zeroed() };
        (state.status, state.offset, state.maxerror) = (status, -250, 1_500);
        state
    }

    #[test]
    fn an_offset_is_told_in_nanoseconds_and_only_of_a_clock_that_is_kept() {
        assert_eq!(told(&state(libc::STA_UNSYNC)), None);
        assert_eq!(told(&state(libc::STA_PLL)), Some((-250_000, 1_500_000)));
        assert_eq!(told(&state(libc::STA_PLL | libc::STA_NANO)), Some((-250, 1_500_000)));
    }
}
