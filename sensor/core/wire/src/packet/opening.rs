//! What a segment that opens a connection shows of its sender's TCP/IP stack, which sets most of it by itself.
//!
//! Written as p0f 3 writes its signatures (p0f README, 5, "TCP signatures"): `version:ttl:olen:mss:wsize,scale:olayout:quirks:pclass`, with
//! the initial time to live that the one seen is nearest below.
//!
//! ```
//! use wire::packet::Opening;
//!
//! let ip = *b"\x45\x00\x00\x2c\x00\x01\x00\x00\xff\x06\x00\x00\x0a\x00\x00\x01\x0a\x00\x00\x02";
//! let tcp = *b"\x10\x00\x01\xf6\x00\x00\x00\x09\x00\x00\x00\x00\x60\x02\x08\x60\x00\x00\x00\x00\x02\x04\x02\x18";
//! let opening = Opening::read(&ip, &tcp, 0).unwrap();
//! assert_eq!(opening.signature(None), "4:255:0:536:mss*4,0:mss::0");
//! ```

use super::{flags, split};

/// Options of one segment: a header has room for 40 bytes (RFC 9293, 3.1).
const OPTIONS: usize = 40;

/// Kinds of options (IANA, TCP Option Kind Numbers).
mod kind {
    pub const END: u8 = 0;
    pub const NO_OPERATION: u8 = 1;
    pub const MAXIMUM_SEGMENT: u8 = 2;
    pub const WINDOW_SCALE: u8 = 3;
    pub const SACK_PERMITTED: u8 = 4;
    pub const SACK: u8 = 5;
    pub const TIMESTAMPS: u8 = 8;
}

/// Words of a signature for what is uncommon in the headers, in the order in which they are told.
const QUIRKS: [&str; 17] = [
    "df", "id+", "id-", "ecn", "0+", "flow", "seq-", "ack+", "ack-", "uptr+", "urgf+", "pushf+", "ts1-", "ts2+", "opt+", "exws",
    "bad",
];

/// Bits of `QUIRKS`.
mod quirk {
    pub const DONT_FRAGMENT: u32 = 1;
    pub const DONT_FRAGMENT_WITH_ID: u32 = 1 << 1;
    pub const ZERO_ID: u32 = 1 << 2;
    pub const CONGESTION: u32 = 1 << 3;
    pub const RESERVED: u32 = 1 << 4;
    pub const FLOW: u32 = 1 << 5;
    pub const ZERO_SEQUENCE: u32 = 1 << 6;
    pub const ACKNOWLEDGMENT: u32 = 1 << 7;
    pub const ZERO_ACKNOWLEDGMENT: u32 = 1 << 8;
    pub const URGENT_POINTER: u32 = 1 << 9;
    pub const URGENT: u32 = 1 << 10;
    pub const PUSH: u32 = 1 << 11;
    pub const ZERO_TIMESTAMP: u32 = 1 << 12;
    pub const PEER_TIMESTAMP: u32 = 1 << 13;
    pub const DATA_AFTER_END: u32 = 1 << 14;
    pub const SCALE_TOO_LARGE: u32 = 1 << 15;
    pub const BAD_OPTIONS: u32 = 1 << 16;
}

/// Greatest window scale (RFC 7323, 2.3).
const SCALE: u8 = 14;

/// Headers of a SYN, or of the segment that answers one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    is_six: bool,
    hop_limit: u8,
    network_options: u8,
    headers: u16,
    window: u16,
    /// Maximum segment size that the sender takes; 0 where it says none (RFC 9293, 3.7.1).
    pub maximum_segment: u16,
    scale: u8,
    has_own_time: bool,
    kinds: [u8; OPTIONS],
    count: u8,
    /// Bytes behind the end of the options.
    padding: u8,
    quirks: u32,
    has_payload: bool,
}

impl Opening {
    /// What the headers show: IP (without its extensions where it is version 6) and TCP with what follows, `missing` bytes of which were not
    /// captured. None for headers that are not whole.
    #[cold]
    pub fn read(network: &[u8], transport: &[u8], missing: usize) -> Option<Self> {
        let ([_, _, _, _, q0, q1, q2, q3, a0, a1, a2, a3, offset, bits, w0, w1, _, _, u0, u1], _) = split::<20>(transport)?;
        let header_bytes = usize::from(offset >> 4) * 4;
        let options = transport.get(20..header_bytes)?;
        let mut opening = Self::of_network(network, header_bytes)?;
        opening.window = u16::from_be_bytes([w0, w1]);
        opening.has_payload = transport.len() + missing > header_bytes;
        let acknowledges = bits & flags::ACK != 0;
        let sequence = u32::from_be_bytes([q0, q1, q2, q3]);
        let acknowledgment = u32::from_be_bytes([a0, a1, a2, a3]);
        let urgent = bits & 0x20 != 0;
        opening.quirks |= [
            (quirk::CONGESTION, bits & 0xc0 != 0),
            (quirk::ZERO_SEQUENCE, sequence == 0),
            (quirk::ACKNOWLEDGMENT, !acknowledges && acknowledgment != 0),
            (quirk::ZERO_ACKNOWLEDGMENT, acknowledges && acknowledgment == 0),
            (quirk::URGENT_POINTER, !urgent && [u0, u1] != [0, 0]),
            (quirk::URGENT, urgent),
            (quirk::PUSH, bits & flags::PSH != 0),
        ]
        .iter()
        .filter(|(_, holds)| *holds)
        .fold(0, |all, (bit, _)| all | bit);
        if opening.options(options, acknowledges).is_none() {
            opening.quirks |= quirk::BAD_OPTIONS;
        }
        Some(opening)
    }

    /// What the IP header shows.
    fn of_network(network: &[u8], transport_bytes: usize) -> Option<Self> {
        let ([first, second, ..], _) = split::<20>(network)?;
        let is_six = first >> 4 == 6;
        let (hop_limit, network_options, class, mut quirks) = if is_six {
            let ([_, _, f2, f3, _, _, _, hop_limit, ..], _) = split::<40>(network)?;
            let has_flow = [second & 0x0f, f2, f3] != [0; 3];
            (hop_limit, 0, (first << 4) | (second >> 4), if has_flow { quirk::FLOW } else { 0 })
        } else {
            let ([_, _, _, _, i0, i1, f0, _, hop_limit, ..], _) = split::<20>(network)?;
            let has_id = [i0, i1] != [0, 0];
            let identified = match (f0 & 0x40 != 0, has_id) {
                (true, true) => quirk::DONT_FRAGMENT | quirk::DONT_FRAGMENT_WITH_ID,
                (true, false) => quirk::DONT_FRAGMENT,
                (false, true) => 0,
                (false, false) => quirk::ZERO_ID,
            };
            let reserved = if f0 & 0x80 == 0 { 0 } else { quirk::RESERVED };
            (hop_limit, (first & 0x0f).saturating_mul(4).saturating_sub(20), second, identified | reserved)
        };
        // The two lowest bits of the traffic class (RFC 3168, 5).
        if class & 3 != 0 {
            quirks |= quirk::CONGESTION;
        }
        let network_bytes = if is_six { 40 } else { 20 + usize::from(network_options) };
        Some(Self {
            is_six,
            hop_limit,
            network_options,
            headers: u16::try_from(network_bytes + transport_bytes).unwrap_or(u16::MAX),
            window: 0,
            maximum_segment: 0,
            scale: 0,
            has_own_time: false,
            kinds: [0; OPTIONS],
            count: 0,
            padding: 0,
            quirks,
            has_payload: false,
        })
    }

    /// Takes the options in, in their order; None where they break off.
    fn options(&mut self, mut rest: &[u8], is_answer: bool) -> Option<()> {
        while let Some((&option, behind)) = rest.split_first() {
            *self.kinds.get_mut(usize::from(self.count))? = option;
            self.count += 1;
            match option {
                kind::END => {
                    self.padding = u8::try_from(behind.len()).unwrap_or(u8::MAX);
                    if behind.iter().any(|byte| *byte != 0) {
                        self.quirks |= quirk::DATA_AFTER_END;
                    }
                    return Some(());
                }
                kind::NO_OPERATION => rest = behind,
                _ => {
                    let length = usize::from(*behind.first()?);
                    // Kind and length are part of it.
                    let value = rest.get(2..length)?;
                    self.option(option, value, is_answer);
                    rest = rest.get(length..)?;
                }
            }
        }
        Some(())
    }

    fn option(&mut self, option: u8, value: &[u8], is_answer: bool) {
        match (option, value) {
            (kind::MAXIMUM_SEGMENT, [m0, m1]) => self.maximum_segment = u16::from_be_bytes([*m0, *m1]),
            (kind::WINDOW_SCALE, [scale]) => {
                self.scale = *scale;
                if *scale > SCALE {
                    self.quirks |= quirk::SCALE_TOO_LARGE;
                }
            }
            (kind::TIMESTAMPS, [own @ .., p0, p1, p2, p3]) if own.len() == 4 => {
                self.has_own_time = own != [0; 4];
                if !self.has_own_time {
                    self.quirks |= quirk::ZERO_TIMESTAMP;
                }
                if !is_answer && [p0, p1, p2, p3] != [&0; 4] {
                    self.quirks |= quirk::PEER_TIMESTAMP;
                }
            }
            (kind::SACK_PERMITTED, []) => {}
            (kind::MAXIMUM_SEGMENT | kind::WINDOW_SCALE | kind::TIMESTAMPS | kind::SACK_PERMITTED, _) => {
                self.quirks |= quirk::BAD_OPTIONS;
            }
            _ => {}
        }
    }

    /// The initial time to live: the nearest one above that stacks use.
    pub fn initial_hop_limit(&self) -> u8 {
        [32, 64, 128].into_iter().find(|limit| self.hop_limit <= *limit).unwrap_or(255)
    }

    /// Whether the sender forbids fragments, or the protocol does.
    pub fn forbids_fragments(&self) -> bool {
        self.is_six || self.quirks & quirk::DONT_FRAGMENT != 0
    }

    /// How many of the maximum segments that the sender takes its window is, where it is a multiple.
    pub fn segments_in_window(&self) -> Option<u16> {
        let is_multiple = self.maximum_segment > 0 && self.window > 0 && self.window.is_multiple_of(self.maximum_segment);
        is_multiple.then(|| self.window / self.maximum_segment)
    }

    /// Names of the options in their order, as in `mss,nop,nop,sok`.
    pub fn layout(&self) -> String {
        let kinds = self.kinds.iter().take(usize::from(self.count));
        let word = |option: &u8| match *option {
            kind::END => format!("eol+{}", self.padding),
            kind::NO_OPERATION => "nop".to_owned(),
            kind::MAXIMUM_SEGMENT => "mss".to_owned(),
            kind::WINDOW_SCALE => "ws".to_owned(),
            kind::SACK_PERMITTED => "sok".to_owned(),
            kind::SACK => "sack".to_owned(),
            kind::TIMESTAMPS => "ts".to_owned(),
            other => format!("?{other}"),
        };
        kinds.map(word).collect::<Vec<_>>().join(",")
    }

    /// The signature. `asked` is the maximum segment size of the SYN that this answers: some windows are multiples of it.
    pub fn signature(&self, asked: Option<u16>) -> String {
        let quirks = QUIRKS.iter().enumerate().filter(|(place, _)| self.quirks & (1 << place) != 0);
        format!(
            "{}:{}:{}:{}:{},{}:{}:{}:{}",
            if self.is_six { 6 } else { 4 },
            self.initial_hop_limit(),
            self.network_options,
            self.maximum_segment,
            self.window_text(asked),
            self.scale,
            self.layout(),
            quirks.map(|(_, word)| *word).collect::<Vec<_>>().join(","),
            if self.has_payload { "+" } else { "0" },
        )
    }

    /// The window as a multiple of a segment or of a packet, where it is one: of the sender's own first, then of Ethernet's usual ones.
    fn window_text(&self, asked: Option<u16>) -> String {
        let (window, own) = (u32::from(self.window), u32::from(self.maximum_segment));
        let six = |size: u32| if self.is_six { size } else { 0 };
        let timed = |size: u32| if self.has_own_time { size } else { 0 };
        let asked = asked.map_or(0, u32::from);
        let sizes = [
            ("mss", own),
            ("mss", timed(own.saturating_sub(12))),
            ("mss", 1460),
            ("mss", 1448),
            ("mss", six(1440)),
            ("mss", six(1428)),
            ("mtu", own + 40),
            ("mtu", own + u32::from(self.headers)),
            ("mtu", six(own + 60)),
            ("mtu", 1500),
            ("mss", asked),
            ("mss", asked.saturating_sub(12)),
        ];
        // Too small a segment divides everything.
        let multiple = sizes.into_iter().find(|(_, size)| own >= 100 && window > 0 && *size > 0 && window.is_multiple_of(*size));
        multiple.map_or_else(|| window.to_string(), |(word, size)| format!("{word}*{}", window / size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IP: [u8; 20] = *b"\x45\x00\x00\x3c\x1c\x46\x40\x00\x3f\x06\x00\x00\x0a\x00\x00\x01\x0a\x00\x00\x02";

    fn syn(window: u16, bits: u8, options: &[u8]) -> Vec<u8> {
        let mut tcp = vec![0x9c, 0x40, 0x01, 0xf6, 0, 0, 0, 7, 0, 0, 0, 0, 0, bits, 0, 0, 0, 0, 0, 0];
        tcp[12] = ((20 + options.len()) / 4 * 16) as u8;
        tcp[14..16].copy_from_slice(&window.to_be_bytes());
        tcp.extend(options);
        tcp
    }

    fn signature(ip: &[u8], tcp: &[u8]) -> String {
        Opening::read(ip, tcp, 0).expect("whole headers").signature(None)
    }

    #[test]
    fn options_are_told_in_their_order_and_the_window_as_a_multiple() {
        let options = b"\x02\x04\x05\xb4\x04\x02\x08\x0a\x00\x00\x00\x01\x00\x00\x00\x00\x01\x03\x03\x07";
        assert_eq!(signature(&IP, &syn(29_200, flags::SYN, options)), "4:64:0:1460:mss*20,7:mss,sok,ts,nop,ws:df,id+:0");
        assert_eq!(signature(&IP, &syn(29_201, flags::SYN, options)), "4:64:0:1460:29201,7:mss,sok,ts,nop,ws:df,id+:0");
        assert_eq!(signature(&IP, &syn(4_500, flags::SYN, b"\x02\x04\x05\xb4")), "4:64:0:1460:mtu*3,0:mss:df,id+:0");
    }

    #[test]
    fn an_answer_s_window_may_be_a_multiple_of_what_was_asked() {
        let answer = syn(4_200, flags::SYN | flags::ACK, b"\x02\x04\x05\xb4");
        let opening = Opening::read(&IP, &answer, 0).expect("whole headers");
        assert_eq!(opening.signature(Some(1_400)), "4:64:0:1460:mss*3,0:mss:df,id+,ack-:0");
    }

    #[test]
    fn what_is_uncommon_is_told() {
        let mut ip = IP;
        (ip[1], ip[4], ip[5], ip[6], ip[8]) = (1, 0, 0, 0x80, 200);
        let mut tcp = syn(0, flags::SYN | flags::PSH | 0x20, b"\x03\x03\x0f\x08\x0a\x00\x00\x00\x00\x00\x00\x00\x05\x00\x01\x02");
        tcp[4..8].fill(0);
        tcp[11] = 1;
        tcp.push(0x61);
        assert_eq!(signature(&ip, &tcp), "4:255:0:0:0,15:ws,ts,eol+2:id-,ecn,0+,seq-,ack+,urgf+,pushf+,ts1-,ts2+,opt+,exws:+");
    }

    #[test]
    fn version_six_has_a_flow_label_and_no_identification() {
        let mut ip = [0; 40];
        (ip[0], ip[1], ip[3], ip[7]) = (0x60, 0x00, 0x09, 64);
        assert_eq!(signature(&ip, &syn(5_712, flags::SYN, b"\x02\x04\x05\x94")), "6:64:0:1428:mss*4,0:mss:flow:0");
    }

    #[test]
    fn options_that_break_off_are_bad_and_headers_that_break_off_are_nothing() {
        for options in [&b"\x02\x04\x05\xb4\x08\x0a\x00\x00"[..], b"\x02\x00\x00\x00", b"\x02\x03\x05\x01", b"\x01\x01\x01\x08"] {
            assert!(signature(&IP, &syn(1, flags::SYN, options)).ends_with("bad:0"), "{options:?}");
        }
        let whole = syn(1, flags::SYN, b"\x02\x04\x05\xb4");
        for end in 0..whole.len() {
            assert!(Opening::read(&IP, &whole[..end], 0).is_none());
        }
        for end in 0..IP.len() {
            assert!(Opening::read(&IP[..end], &whole, 0).is_none());
        }
    }
}
