//! Messages of the domain name system (RFC 1035, 4.1), which DNS, its multicast and link-local forms and NetBIOS names share.

use super::field::be16;
use super::netbios;

/// Records that are walked over in one message.
const RECORDS: usize = 256;
/// Labels of one name; 255 bytes hold no more (RFC 1035, 2.3.4).
const LABELS: usize = 128;

/// Whether this is a message, and if so whether its questions and records end with it to the byte: an opcode in use, counts that can be, a
/// question or an answer, and a name that is none of NetBIOS'.
pub fn message(data: &[u8]) -> Option<bool> {
    let (header, rest) = data.split_first_chunk::<12>()?;
    let [_, _, flags, codes, q0, q1, a0, a1, n0, n1, r0, r1] = *header;
    let [questions, answers, authorities, additional] = [[q0, q1], [a0, a1], [n0, n1], [r0, r1]].map(u16::from_be_bytes);
    let is_response = flags & 0x80 != 0;
    let is_header = matches!(flags >> 3 & 0x0f, 0 | 4 | 5)
        && codes & 0x40 == 0
        && (questions > 0 || is_response && answers > 0)
        && [questions, answers, authorities, additional].iter().all(|count| *count < 256);
    if !is_header || rest.len() < 5 || netbios::is_name(rest) {
        return None;
    }
    let records = usize::from(answers) + usize::from(authorities) + usize::from(additional);
    Some(walk(data, usize::from(questions), records)? == data.len())
}

/// Where questions and records end; nothing where a name cannot be one. A message that is cut ends beyond its end.
fn walk(data: &[u8], questions: usize, records: usize) -> Option<usize> {
    let mut at = 12;
    for _ in 0..questions {
        at = name(data, at)? + 4;
    }
    for _ in 0..records.min(RECORDS) {
        at = name(data, at)?;
        let Some(length) = be16(data, at + 8) else { return Some(usize::MAX) };
        at += 10 + usize::from(length);
    }
    Some(at)
}

/// Where the name that begins here ends (RFC 1035, 4.1.4).
fn name(data: &[u8], mut at: usize) -> Option<usize> {
    for _ in 0..LABELS {
        match data.get(at) {
            None => return Some(at),
            Some(0) => return Some(at + 1),
            Some(0xc0..) => return Some(at + 2),
            Some(length @ 1..=63) => at += 1 + usize::from(*length),
            Some(_) => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_walked_to_its_end_and_a_message_with_a_broken_name_is_none() {
        let query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x02ex\x00\x00\x01\x00\x01";
        assert_eq!(message(query), Some(true));
        assert_eq!(message(&query[..query.len() - 1]), Some(false));
        let mut broken = query.to_vec();
        broken[12] = 0x80;
        assert_eq!(message(&broken), None);
    }
}
