//! The TCP/IP stack behind a connection's opening: its fingerprint, and the system that is known to open connections so.
//!
//! Everybody may set these values otherwise, and many devices share a stack: a fingerprint always stands, a system is named only where a
//! published source says that it opens connections this way, and with little confidence.

use crate::packet::Opening;
use crate::record::table::Attribute;

/// Name of the source in column `device.source`.
pub const SOURCE: &str = "tcp stack";

/// One stack: what it is called, its initial time to live, whether it forbids fragments, orders of options, and where that is published.
struct Stack {
    os: &'static str,
    initial_hop_limit: u8,
    forbids_fragments: bool,
    layouts: &'static [&'static str],
    /// Whether the window has to be a multiple of the maximum segment: for stacks with a layout that others have too.
    has_whole_segments: bool,
}

const STACKS: [Stack; 5] = [
    // OpenBSD pf.os, Windows (2000 to 10); MS-KB 224829: option order of Windows 2000 and later; time to live 128.
    Stack {
        os: "Windows",
        initial_hop_limit: 128,
        forbids_fragments: true,
        layouts: &["mss,nop,nop,sok", "mss,nop,ws,nop,nop,sok", "mss,nop,ws,nop,nop,ts,nop,nop,sok", "mss,nop,ws,sok,ts"],
        has_whole_segments: false,
    },
    // Linux, net/ipv4/tcp_output.c, tcp_options_write; OpenBSD pf.os, Linux 2.2 to 4; net/ip.h: IPDEFTTL.
    Stack {
        os: "Linux",
        initial_hop_limit: 64,
        forbids_fragments: true,
        layouts: &["mss,sok,ts,nop,ws", "mss,sok,ts", "mss,nop,nop,sok,nop,ws"],
        has_whole_segments: false,
    },
    // OpenBSD pf.os, FreeBSD 7 and later.
    Stack {
        os: "FreeBSD",
        initial_hop_limit: 64,
        forbids_fragments: true,
        layouts: &["mss,nop,ws,sok,ts"],
        has_whole_segments: false,
    },
    // XNU, bsd/netinet/tcp_output.c: options end with an end of list and are padded with zeros.
    Stack {
        os: "macOS",
        initial_hop_limit: 64,
        forbids_fragments: true,
        layouts: &["mss,nop,ws,nop,nop,ts,sok,eol+1"],
        has_whole_segments: false,
    },
    // lwIP 2.2, opt.h: TCP_TTL 255, TCP_WND a multiple of TCP_MSS, no window scale, timestamps or selective acknowledgments unless switched on.
    Stack { os: "lwIP", initial_hop_limit: 255, forbids_fragments: false, layouts: &["mss"], has_whole_segments: true },
];

/// The system that opens connections so, where a published source says which.
pub fn os(opening: &Opening) -> Option<&'static str> {
    let layout = opening.layout();
    let fits = |stack: &&Stack| {
        stack.initial_hop_limit == opening.initial_hop_limit()
            && stack.forbids_fragments == opening.forbids_fragments()
            && stack.layouts.contains(&layout.as_str())
            && (!stack.has_whole_segments || opening.segments_in_window().is_some_and(|segments| segments >= 2))
    };
    STACKS.iter().find(fits).map(|stack| stack.os)
}

/// Tells what an opening shows. `asked` is the maximum segment size of the SYN that it answers.
pub fn tell(opening: &Opening, asked: Option<u16>, learn: &mut dyn FnMut(Attribute, &str)) {
    learn(Attribute::Fingerprint, &opening.signature(asked));
    if let Some(os) = os(opening) {
        learn(Attribute::Os, os);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The system of a SYN of this time to live, fragmentation flag, window and options.
    fn os_of(hop_limit: u8, fragmentation: u8, window: u16, options: &[u8]) -> Option<&'static str> {
        let ip = [0x45, 0, 0, 60, 0, 1, fragmentation, 0, hop_limit, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        let offset = ((20 + options.len()) / 4 * 16) as u8;
        let [w0, w1] = window.to_be_bytes();
        let mut tcp = vec![0x9c, 0x40, 1, 0xf6, 0, 0, 0, 7, 0, 0, 0, 0, offset, 2, w0, w1, 0, 0, 0, 0];
        tcp.extend(options);
        os(&Opening::read(&ip, &tcp, 0).expect("whole headers"))
    }

    const LINUX: &[u8] = b"\x02\x04\x05\xb4\x04\x02\x08\x0a\x00\x00\x00\x01\x00\x00\x00\x00\x01\x03\x03\x07";

    #[test]
    fn stacks_are_told_by_all_of_their_marks_together() {
        assert_eq!(os_of(64, 0x40, 64_240, LINUX), Some("Linux"));
        assert_eq!(os_of(58, 0x40, 64_240, LINUX), Some("Linux"));
        assert_eq!(os_of(128, 0x40, 64_240, LINUX), None);
        assert_eq!(os_of(64, 0, 64_240, LINUX), None);
        assert_eq!(os_of(128, 0x40, 8_192, b"\x02\x04\x05\xb4\x01\x03\x03\x08\x01\x01\x04\x02"), Some("Windows"));
        assert_eq!(os_of(255, 0, 2_144, b"\x02\x04\x02\x18"), Some("lwIP"));
        // A router of Cisco's has the same layout, and a window that is no multiple.
        assert_eq!(os_of(255, 0, 4_128, b"\x02\x04\x02\x18"), None);
        assert_eq!(os_of(30, 0, 4_096, b"\x02\x04\x05\xb4"), None);
    }
}
