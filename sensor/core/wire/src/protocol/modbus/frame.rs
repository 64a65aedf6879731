//! Framing: where one application data unit ends and the next begins.

use super::function::{self, Length};
use crate::protocol::{Probe, Side};

/// Bytes of the MBAP header (GUIDE, 3.1.3).
pub const HEADER_BYTES: usize = 7;
/// Longest protocol data unit (MAP, 4.1).
pub const PDU_BYTES: usize = 253;
/// Least value of the MBAP header's length: unit identifier and function code.
pub const LENGTH_LEAST: usize = 2;
/// Most: unit identifier and the longest protocol data unit.
pub const LENGTH_MOST: usize = 1 + PDU_BYTES;
/// Longest frame on a serial line (SERIAL, 2.5.1).
const RTU_BYTES: usize = 256;

/// How messages are framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// MBAP header.
    Tcp,
    /// Address, function, data, CRC-16, as on a serial line.
    Rtu,
}

/// One application data unit, borrowed from the stream it came in (GUIDE, 3.1.3; SERIAL, 2.5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adu<'a> {
    /// Transaction identifier; None in RTU framing.
    pub transaction: Option<u16>,
    /// Protocol identifier; 0 is Modbus.
    pub protocol: u16,
    /// Unit identifier, or serial address.
    pub unit: u8,
    /// Function code and data.
    pub pdu: &'a [u8],
    /// All of it.
    pub bytes: &'a [u8],
}

/// What the next bytes of a stream are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framed<'a> {
    /// A unit.
    Adu(Adu<'a>),
    /// More bytes are needed.
    NeedMore,
    /// An MBAP header whose length is out of range: the value of its length field.
    BadLength(usize),
    /// No unit begins here; in RTU framing its check sequence does not hold for the so many bytes that its function has.
    Nonsense(usize),
}

/// The unit at the start of a stream with MBAP headers.
#[inline]
pub fn tcp(data: &[u8]) -> Framed<'_> {
    let Some(&[t0, t1, p0, p1, l0, l1, unit]) = data.first_chunk::<HEADER_BYTES>() else {
        return Framed::NeedMore;
    };
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    if !(LENGTH_LEAST..=LENGTH_MOST).contains(&length) {
        return Framed::BadLength(length);
    }
    match data.get(..HEADER_BYTES - 1 + length) {
        Some(bytes) => Framed::Adu(Adu {
            transaction: Some(u16::from_be_bytes([t0, t1])),
            protocol: u16::from_be_bytes([p0, p1]),
            unit,
            pdu: bytes.get(HEADER_BYTES..).unwrap_or_default(),
            bytes,
        }),
        None => Framed::NeedMore,
    }
}

/// The unit at the start of a stream in RTU framing.
pub fn rtu(side: Side, data: &[u8]) -> Framed<'_> {
    let (Some(&unit), Some(pdu)) = (data.first(), data.get(1..)) else {
        return Framed::NeedMore;
    };
    let adu = |length: usize| {
        let bytes = data.get(..length + 3)?;
        let (body, check) = bytes.split_last_chunk::<2>()?;
        (crc(body) == u16::from_le_bytes(*check)).then_some(Framed::Adu(Adu {
            transaction: None,
            protocol: 0,
            unit,
            pdu: body.get(1..).unwrap_or_default(),
            bytes,
        }))
    };
    match function::length(side, pdu) {
        Length::Needs(_) => Framed::NeedMore,
        Length::Exactly(length) if length + 3 > RTU_BYTES => Framed::Nonsense(0),
        Length::Exactly(length) if data.len() < length + 3 => Framed::NeedMore,
        Length::Exactly(length) => adu(length).unwrap_or(Framed::Nonsense(length + 3)),
        // A length that its function does not fix: the frame ends where the check sequence holds.
        Length::AtLeast(least) => longest(data, least).and_then(adu).unwrap_or(if data.len() < RTU_BYTES {
            Framed::NeedMore
        } else {
            Framed::Nonsense(0)
        }),
    }
}

/// Length of the longest protocol data unit, at least this one, behind which the check sequence holds.
fn longest(data: &[u8], least: usize) -> Option<usize> {
    let (body, rest) = data.get(..data.len().min(RTU_BYTES))?.split_at_checked(1 + least)?;
    let mut sum = crc(body);
    let mut found = None;
    for (more, check) in rest.windows(2).enumerate() {
        let &[low, high] = check else { break };
        if sum == u16::from_le_bytes([low, high]) {
            found = Some(least + more);
        }
        sum = crc_step(sum, low);
    }
    found
}

/// CRC-16 of a serial line (SERIAL, 2.5.1.2 and appendix B): polynomial 0xA001 reflected, from 0xFFFF.
pub fn crc(data: &[u8]) -> u16 {
    data.iter().fold(0xffff, |crc, byte| crc_step(crc, *byte))
}

/// The check sequence of one more byte.
#[inline]
fn crc_step(crc: u16, byte: u8) -> u16 {
    let [low, high] = crc.to_le_bytes();
    u16::from(high) ^ CRC.get(usize::from(low ^ byte)).copied().unwrap_or_default()
}

/// What each value of a byte does to a check sequence (SERIAL, appendix B).
static CRC: [u16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < table.len() {
        let mut crc = byte as u16;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xa001 } else { crc >> 1 };
            bit += 1;
        }
        #[allow(clippy::indexing_slicing, reason = "in a constant, an index out of bounds does not compile")]
        {
            table[byte] = crc;
        }
        byte += 1;
    }
    table
};

/// Whether a unit of this side could be what it says: a known function, and the length that it must have.
pub fn is_consistent(side: Side, pdu: &[u8]) -> bool {
    let Some(&code) = pdu.first() else {
        return false;
    };
    if code & function::EXCEPTION != 0 {
        return side == Side::Server && pdu.len() == 2 && matches!(pdu.get(1), Some(1..=11)) && function::is_public(code & 0x7f);
    }
    function::is_public(code)
        && match function::length(side, pdu) {
            Length::Exactly(length) => pdu.len() == length,
            Length::AtLeast(length) => pdu.len() >= length,
            Length::Needs(_) => false,
        }
        && !matches!((side, code, pdu), (Side::Client, 1..=4, [_, a0, a1, q0, q1]) if {
            let (address, quantity) = (u16::from_be_bytes([*a0, *a1]), u16::from_be_bytes([*q0, *q1]));
            quantity == 0 || quantity > 2_000 || u32::from(address) + u32::from(quantity) > 0x1_0000
        })
}

/// Whether a stream looks like Modbus with MBAP headers: units one behind the other, each consistent.
pub fn probe_tcp(side: Side, data: &[u8], whole: bool) -> Probe {
    let mut rest = data;
    let mut units = 0;
    let (mut as_client, mut as_server) = (true, true);
    loop {
        match tcp(rest) {
            Framed::Adu(adu) if adu.protocol == 0 => {
                as_client &= is_consistent(Side::Client, adu.pdu);
                as_server &= is_consistent(Side::Server, adu.pdu);
                if !as_client && !as_server {
                    return Probe::No;
                }
                units += 1;
                rest = rest.get(adu.bytes.len()..).unwrap_or_default();
            }
            Framed::NeedMore if !(whole && units == 0) && starts_like_a_header(rest) => break,
            _ => return Probe::No,
        }
    }
    let seen = match (as_client, as_server) {
        (true, false) => Some(Side::Client),
        (false, true) => Some(Side::Server),
        _ => None,
    };
    match units {
        0 => Probe::Possible(None),
        1 => Probe::Possible(seen),
        _ => Probe::Certain(seen.or(Some(side))),
    }
}

/// Whether the bytes that there are of a header could be one's.
fn starts_like_a_header(data: &[u8]) -> bool {
    let at = |index: usize| data.get(index).copied().unwrap_or_default();
    at(2) == 0 && at(3) == 0 && at(4) == 0
}

/// Whether a stream looks like RTU framing: the check sequence holds.
pub fn probe_rtu(side: Side, data: &[u8]) -> Probe {
    for sender in [side, side.other()] {
        if let Framed::Adu(adu) = rtu(sender, data)
            && is_consistent(sender, adu.pdu)
            && adu.unit <= 247
        {
            // One chance in 65,536 that the check sequence holds for something else.
            return Probe::Certain(Some(sender));
        }
    }
    Probe::No
}

/// Whether these bytes are one RTU frame of either side, and nothing else.
pub fn is_whole_rtu(side: Side, data: &[u8]) -> bool {
    [side, side.other()].into_iter().any(|sender| matches!(rtu(sender, data), Framed::Adu(adu) if adu.bytes.len() == data.len()))
}

/// Whether these bytes are whole units with MBAP headers that say Modbus, and nothing else.
pub fn is_whole_tcp(data: &[u8]) -> bool {
    let mut rest = data;
    while let Framed::Adu(adu) = tcp(rest) {
        rest = rest.get(adu.bytes.len()..).unwrap_or_default();
        if adu.protocol != 0 || rest.is_empty() {
            return adu.protocol == 0;
        }
    }
    false
}

/// Offset of the next header that could be one's, at least 1: protocol identifier 0, a possible length, a known function.
pub fn resynchronise(side: Side, data: &[u8]) -> Option<usize> {
    (1..data.len()).find(|&at| {
        let rest = data.get(at..).unwrap_or_default();
        match tcp(rest) {
            Framed::Adu(adu) => adu.protocol == 0 && is_consistent(side, adu.pdu),
            Framed::NeedMore => {
                starts_like_a_header(rest)
                    && rest.get(5).is_none_or(|length| (2..=254).contains(length))
                    && rest.get(7).is_none_or(|code| function::is_public(code & 0x7f))
            }
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_sequence_is_that_of_the_specifications_example() {
        // SERIAL, appendix B: address 2, function 7 gives 0x41 0x12 on the line.
        assert_eq!(crc(&[0x02, 0x07]).to_le_bytes(), [0x41, 0x12]);
    }

    #[test]
    fn a_frame_without_a_length_of_its_own_ends_behind_the_last_check_sequence_that_holds() {
        // User-defined function 65; the check sequence of the whole begins one byte behind that of its first bytes.
        let short = [1, 65, 7];
        let mut long = [&short[..], &crc(&short).to_le_bytes()].concat();
        long.push(9);
        let sum = crc(&long).to_le_bytes();
        let data = [&long[..], &sum, &[0xaa; 300]].concat();
        let Framed::Adu(adu) = rtu(Side::Client, &data) else { panic!("no frame") };
        assert_eq!((adu.pdu, adu.bytes.len()), (&long[1..], long.len() + 2));
        let Framed::Adu(adu) = rtu(Side::Client, &data[..6]) else { panic!("no frame") };
        assert_eq!(adu.bytes.len(), 5);
        assert_eq!(rtu(Side::Client, &data[..4]), Framed::NeedMore);
        assert_eq!(rtu(Side::Client, &[0xaa; 300]), Framed::Nonsense(0));
        for length in 0..4 {
            assert_eq!(rtu(Side::Client, &[1, 65, 0, 0][..length]), Framed::NeedMore, "{length}");
        }
    }

    #[test]
    fn a_read_of_registers_is_told_from_its_answer() {
        let question = [0, 1, 0, 0, 0, 6, 1, 3, 0, 16, 0, 2];
        let answer = [0, 1, 0, 0, 0, 7, 1, 3, 4, 0, 1, 0, 2];
        assert_eq!(probe_tcp(Side::Server, &question, false), Probe::Possible(Some(Side::Client)));
        assert_eq!(probe_tcp(Side::Client, &answer, false), Probe::Possible(Some(Side::Server)));
        assert_eq!(probe_tcp(Side::Client, b"GET / HTTP/1.1\r\n", false), Probe::No);
    }

    #[test]
    fn after_nonsense_the_next_header_is_found() {
        let mut data = vec![7; 13];
        data.extend([0, 1, 0, 0, 0, 6, 1, 3, 0, 16, 0, 2]);
        assert_eq!(resynchronise(Side::Client, &data), Some(13));
    }
}
