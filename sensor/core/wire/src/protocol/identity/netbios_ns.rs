//! NetBIOS name service: names that hosts register, and the lists that they answer.

use super::{Facts, Source};
use crate::protocol::Carrier;
use crate::protocol::signature::Application;
use crate::record::table::Attribute;

/// Names of stations.
pub static SOURCE: Source = Source {
    application: Application::NetbiosNs,
    carriers: &[Carrier::Datagram],
    name: "netbios name",
    confidence: 0.8,
    clause: "RFC 1002, 4.2.2, 4.2.4 and 4.2.18; RFC 1001, 14.1",
    read,
};

/// Last byte of names that a station has for itself: the station, and its file service.
const STATION: u8 = 0x00;
const SERVER: u8 = 0x20;
const CONTROLLERS: u8 = 0x1c;
/// Names of one answer that are read.
const NAMES: usize = 64;

fn read(data: &[u8], facts: &mut Facts<'_>) {
    let Some(([_, _, flags, _, _, q1, _, a1, _, _, _, r1], rest)) = data.split_first_chunk::<12>() else { return };
    // The bit of responses, and the operation.
    match (flags >> 7, flags >> 3 & 0x0f, q1, a1) {
        // Registration or refresh: a question, and a record whose flags begin with the bit of groups.
        (0, 5 | 8 | 9, 1, _) if *r1 == 1 => {
            // Name of 34 bytes, type and class; in the record a pointer, type, class, time to live, length, flags.
            let is_group = rest.get(34 + 4 + 12).is_none_or(|flags| flags & 0x80 != 0);
            if let Some((text, kind)) = decoded(rest) {
                name(&text, kind, is_group, facts);
            }
        }
        // A node's status: the name asked for, type 0x21, class, time to live, length, the number of names.
        (1, 0, _, 1) if rest.get(34..36) == Some(&[0x00, 0x21]) => {
            let count = rest.get(44).map_or(0, |count| usize::from(*count)).min(NAMES);
            for entry in rest.get(45..).unwrap_or_default().chunks_exact(18).take(count) {
                if let [text @ .., kind, flags, _] = entry {
                    name(text, *kind, flags & 0x80 != 0, facts);
                }
            }
        }
        _ => {}
    }
}

fn name(text: &[u8], kind: u8, is_group: bool, facts: &mut Facts<'_>) {
    match (kind, is_group) {
        (STATION | SERVER, false) => facts.say(Attribute::Name, text),
        (CONTROLLERS, true) => facts.say(Attribute::Role, b"domain controller"),
        _ => {}
    }
}

/// A name in first-level encoding: its fifteen letters, and the byte that says what has it.
pub(super) fn decoded(data: &[u8]) -> Option<(Vec<u8>, u8)> {
    let [0x20, letters @ ..] = data else { return None };
    let halves = letters.get(..32)?.chunks_exact(2);
    let mut name: Vec<u8> = halves
        .filter_map(|pair| match pair {
            [high @ b'A'..=b'P', low @ b'A'..=b'P'] => Some((high - b'A') << 4 | (low - b'A')),
            _ => None,
        })
        .collect();
    let kind = name.pop().filter(|_| name.len() == 15)?;
    Some((name, kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::identity::tests::{survives, told};

    /// A registration of a name with this last byte; `EC...` is the encoding of `A`.
    fn registration(kind: u8, flags: u8) -> Vec<u8> {
        let mut message = b"\x80\x01\x29\x10\x00\x01\x00\x00\x00\x00\x00\x01\x20EIENEJ".to_vec();
        message.extend(b"CA".repeat(12));
        message.extend([b'A' + (kind >> 4), b'A' + (kind & 15), 0, 0, 0x20, 0, 1, 0xc0, 0x0c, 0, 0x20, 0, 1, 0, 4, 0x93, 0xe0, 0, 6, flags, 0]);
        message.extend([10, 0, 0, 1]);
        message
    }

    #[test]
    fn a_station_registers_its_name_and_a_group_s_is_nobody_s() {
        assert_eq!(told(&SOURCE, &registration(0, 0)), ["name=HMI"]);
        assert!(told(&SOURCE, &registration(0, 0x80)).is_empty());
        assert_eq!(told(&SOURCE, &registration(0x1c, 0x80)), ["role=domain controller"]);
        assert!(told(&SOURCE, &registration(0x03, 0)).is_empty());
        survives(&SOURCE, &registration(0, 0));
    }

    #[test]
    fn a_node_answers_its_names() {
        let mut answer = b"\x00\x01\x84\x00\x00\x00\x00\x01\x00\x00\x00\x00\x20CKAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\x00".to_vec();
        answer.extend(b"\x00\x21\x00\x01\x00\x00\x00\x00\x00\x25\x02ENG-1          \x00\x04\x00PLANT          \x00\x84\x00");
        assert_eq!(told(&SOURCE, &answer), ["name=ENG-1"]);
        survives(&SOURCE, &answer);
    }
}
