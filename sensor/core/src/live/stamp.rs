//! Whose clock tells when a packet came: the adapter's, where it stamps packets and goes right, otherwise the system's.
//!
//! The kernel gives the adapter's stamp where there is one and says so, and its own where there is none
//! (Documentation/networking/packet_mmap.rst, PACKET_TIMESTAMP).

use super::abi;

/// An adapter's clock that is further from the system's is not believed: 5 s in nanoseconds. One that runs on TAI is 37 s ahead.
pub const CLOCK_NS: i64 = 5_000_000_000;

/// When a packet came, as the ring tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Nanoseconds since 1970.
    ts: i64,
    /// Whether the adapter's own clock told it.
    is_hardware: bool,
}

impl Stamp {
    /// From a frame's header: its status, seconds and nanoseconds.
    #[inline]
    pub fn new(status: u32, seconds: u32, nanoseconds: u32) -> Self {
        let ts = i64::from(seconds).saturating_mul(1_000_000_000).saturating_add(i64::from(nanoseconds));
        Self { ts, is_hardware: status & abi::TP_STATUS_TS_RAW_HARDWARE != 0 }
    }

    /// The time of the packet where the system's clock is at `now`; None where an adapter's clock told it that is not believed.
    #[inline]
    pub fn believed(self, now: i64) -> Option<i64> {
        let is_far = self.is_hardware && self.ts.saturating_sub(now).saturating_abs() > CLOCK_NS;
        (!is_far).then_some(self.ts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000_000_000;

    #[test]
    fn an_adapters_stamp_is_taken_within_five_seconds_of_the_systems_clock() {
        let at = |seconds| Stamp::new(abi::TP_STATUS_USER | abi::TP_STATUS_TS_RAW_HARDWARE, seconds, 7);
        assert_eq!(at(1_700_000_000).believed(NOW), Some(NOW + 7));
        assert_eq!(at(1_700_000_000 - 5).believed(NOW), Some(NOW - CLOCK_NS + 7));
        assert_eq!(at(1_700_000_000 + 5).believed(NOW), None, "7 ns too far");
        assert_eq!(at(1_700_000_000 - 6).believed(NOW), None);
        assert_eq!(at(1_700_000_000 + 37).believed(NOW), None, "TAI");
        assert_eq!(at(1_000).believed(NOW), None, "a clock that counts from its start");
    }

    #[test]
    fn the_systems_stamp_is_taken_however_old_it_is() {
        let software = abi::TP_STATUS_USER | 1 << 29;
        for status in [abi::TP_STATUS_USER, software] {
            assert_eq!(Stamp::new(status, 1_000, 7).believed(NOW), Some(1_000_000_000_007));
        }
    }
}
