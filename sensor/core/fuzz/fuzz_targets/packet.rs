//! Any bytes as a packet of any link layer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::packet::{Decoder, LinkType, Packet};
use wire::protocol::identity::tcp_stack::tell;

fuzz_target!(|data: &[u8]| {
    let Some((&link, data)) = data.split_first() else { return };
    let links = [0, 1, 12, 101, 108, 113, 228, 229, 276];
    let link = LinkType(links[usize::from(link) % links.len()]);
    let mut decoder = Decoder::default();
    // Twice: fragments meet themselves.
    for ts in 0..2 {
        let packet = Packet { ts, link, original_length: data.len() as u32 + 7, data };
        let _ = decoder.decode(&packet);
        let _ = decoder.reassembled();
        // How a connection is opened tells the stack: at most 40 options and 17 quirks, each a few letters.
        if let Some(opening) = decoder.take_opening() {
            tell(&opening, Some(1_460), &mut |_, text| {
                assert!(text.len() <= 512 && text.bytes().all(|byte| byte.is_ascii_graphic()))
            });
        }
    }
    assert!(decoder.bytes() < 16 * 1024 * 1024);
});
