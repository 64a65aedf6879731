//! Any bytes as a capture file: every step goes forward, and none is out of the input.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::capture::{Opening, Step, open};

fuzz_target!(|data: &[u8]| {
    let Opening::Capture(mut capture, mut at) = open(data) else { return };
    while let Some(rest) = data.get(at..).filter(|rest| !rest.is_empty()) {
        match capture.next(rest) {
            Step::Packet(_, used) | Step::Skip(used) => {
                assert!(used > 0 && used <= rest.len());
                at += used;
            }
            Step::NeedMore(needed) => {
                assert!(needed > rest.len());
                return;
            }
            Step::Broken(_) => return,
        }
    }
});
