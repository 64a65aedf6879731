//! S7 communication: the parts of the system status list in which a controller names itself.

use super::{Facts, Source};
use crate::protocol::Carrier;
use crate::protocol::signature::Application;
use crate::protocol::signature::layer::field::be16;
use crate::protocol::signature::layer::tpkt::{Unit, units};
use crate::record::table::Attribute;

/// Module and component identification.
pub static SOURCE: Source = Source {
    application: Application::S7comm,
    carriers: &[Carrier::Stream],
    name: "s7 szl",
    confidence: 0.9,
    clause: "Siemens System Software for S7-300/400, System and Standard Functions, 33.5 (W#16#xy11) and 33.9 (W#16#xy1C)",
    read,
};

/// Answer of the group of CPU functions; sub-function: read a part of the system status list.
const ANSWER: [u8; 2] = [0x84, 0x01];
/// Bytes of an answer in several units that are put together.
const LIST_BYTES: usize = 4_096;

fn read(data: &[u8], facts: &mut Facts<'_>) {
    let mut list: Vec<u8> = Vec::new();
    for unit in units(data) {
        let Unit::Data([0x32, 0x07, _, _, _, _, p0, p1, _, _, body @ ..]) = unit else { continue };
        let parameters = usize::from(u16::from_be_bytes([*p0, *p1]));
        let Some((&[0x00, 0x01, 0x12, 0x08, 0x12, group, function, _, _, more, 0, 0], payload)) =
            body.get(..parameters).and_then(|head| head.first_chunk::<12>()).zip(body.get(parameters..))
        else {
            continue;
        };
        // Success, octets, length.
        let Some(part) = payload.strip_prefix(&[0xff, 0x09]).and_then(|rest| rest.get(2..)) else { continue };
        if [group, function] != ANSWER || list.len() + part.len() > LIST_BYTES {
            continue;
        }
        list.extend_from_slice(part);
        if more == 0 {
            records(&list, facts);
            list.clear();
        }
    }
}

/// Identifier, index, length and number of the records, and the records.
fn records(list: &[u8], facts: &mut Facts<'_>) {
    let (Some(identifier), Some(length)) = (be16(list, 0), be16(list, 4)) else { return };
    let records = list.get(8..).unwrap_or_default().chunks_exact(usize::from(length).max(2));
    for record in records {
        let (Some(index), Some(value)) = (be16(record, 0), record.get(2..)) else { return };
        match (identifier & 0x00ff, index) {
            (0x11, 1) => facts.say_padded(Attribute::Product, value.get(..20).unwrap_or_default()),
            (0x11, 7) => {
                if let Some([b'V', major, minor, patch]) = value.get(22..26) {
                    facts.say(Attribute::Version, format!("V{major}.{minor}.{patch}").as_bytes());
                }
            }
            (0x1c, 1) => facts.say_padded(Attribute::Name, value),
            (0x1c, 4) => facts.say_padded(Attribute::Vendor, copyright(value)),
            (0x1c, 5) => facts.say_padded(Attribute::Serial, value),
            (0x1c, 7) => facts.say_padded(Attribute::Product, value),
            _ => {}
        }
    }
}

/// A copyright's "Original Siemens Equipment" is a maker's name; anything else is told as it is.
fn copyright(text: &[u8]) -> &[u8] {
    if text.starts_with(b"Original Siemens Equipment") { b"Siemens" } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::identity::tests::{survives, told};

    /// An answer in TPKT and COTP: sequence 1, whether more follows, and this part of the list.
    fn unit(more: u8, part: &[u8]) -> Vec<u8> {
        let length = part.len() as u8;
        let mut unit = vec![3, 0, 0, 7 + 10 + 12 + 4 + length, 2, 0xf0, 0x80];
        unit.extend([0x32, 7, 0, 0, 0, 1, 0, 12, 0, 4 + length, 0, 1, 0x12, 8, 0x12, 0x84, 1, 1, 0, more, 0, 0, 0xff, 9, 0, length]);
        unit.extend(part);
        unit
    }

    #[test]
    fn a_list_in_two_units_names_module_and_firmware() {
        let mut list = b"\x00\x11\x00\x00\x00\x1c\x00\x02".to_vec();
        list.extend(b"\x00\x016ES7 315-2EH14-0AB0 \x00\xc0\x00\x03\x00\x01\x00\x07                    \x00\xc0V\x03\x02\x06");
        let stream = [unit(1, &list[..30]), unit(0, &list[30..])].concat();
        assert_eq!(told(&SOURCE, &stream), ["product=6ES7 315-2EH14-0AB0", "version=V3.2.6"]);
        assert!(told(&SOURCE, &unit(1, &list)).is_empty());
        survives(&SOURCE, &stream);
    }

    #[test]
    fn components_name_station_serial_number_and_type() {
        let mut list = b"\x00\x1c\x00\x00\x00\x22\x00\x03".to_vec();
        for (index, text) in [(1, "STATION"), (5, "S C-B1"), (4, "Original Siemens Equipment")] {
            list.extend([0, index]);
            list.extend(text.bytes().chain(std::iter::repeat(0)).take(32));
        }
        assert_eq!(told(&SOURCE, &unit(0, &list)), ["name=STATION", "serial=S C-B1", "vendor=Siemens"]);
    }
}
