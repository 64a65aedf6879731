//! What a server says of itself: report server ID (MAP, 6.13) and device identification (MAP, 6.21).

use crate::protocol::Context;
use crate::record::table::Attribute;

/// The objects of a device identification; text that is not UTF-8 is left empty, its bytes stay on the wire. Returns how many.
pub fn objects<'a>(answer: Option<&'a [u8]>, room: &mut [(u8, &'a str)]) -> usize {
    let Some((head, mut rest)) = answer.and_then(|pdu| pdu.split_first_chunk::<7>()) else {
        return 0;
    };
    let [.., declared] = *head;
    let mut count = 0;
    for slot in room.iter_mut().take(usize::from(declared)) {
        let Some((&[object, length], behind)) = rest.split_first_chunk::<2>() else {
            break;
        };
        let (value, behind) = behind.split_at(behind.len().min(usize::from(length)));
        *slot = (object, std::str::from_utf8(value).unwrap_or_default());
        rest = behind;
        count += 1;
    }
    count
}

/// Records what a device identification tells.
pub fn learn_objects(answer: &[u8], context: &mut Context<'_>) {
    let mut room = [(0, ""); 124];
    let count = objects(Some(answer), &mut room);
    for (object, value) in room.iter().take(count) {
        // Object identifiers of the basic and regular categories.
        let attribute = match object {
            0 => Attribute::Vendor,
            1 | 4 => Attribute::Product,
            2 => Attribute::Version,
            5 => Attribute::Name,
            _ => continue,
        };
        if !value.is_empty() {
            learn(attribute, value, "modbus fc 43/14", context);
        }
    }
}

/// Records the printable part of a server ID: what the bytes mean is the device's own.
pub fn learn_server_id(answer: &[u8], context: &mut Context<'_>) {
    let data = answer.get(2..).unwrap_or_default();
    let printable = data.split(|byte| !matches!(byte, 0x20..=0x7e)).max_by_key(|run| run.len()).unwrap_or_default();
    if let Ok(text) = std::str::from_utf8(printable)
        && text.len() >= 3
    {
        learn(Attribute::Product, text.trim(), "modbus fc 17", context);
    }
}

/// Function of UMAS that asks a controller for its identity.
pub const UMAS_IDENTIFY: u8 = 0x02;
/// Where the length of the controller's type stands in the answer: behind function, pairing key, success, and 22 bytes of versions and states.
const UMAS_TYPE: usize = 25;

/// Records the controller's type of an answer to an UMAS identification (no public specification; Schneider controllers answer so, as in
/// nmap's script modicon-info).
pub fn learn_umas(answer: &[u8], context: &mut Context<'_>) {
    if let Some(text) = umas_type(answer) {
        learn(Attribute::Product, text, "modbus umas", context);
    }
}

fn umas_type(answer: &[u8]) -> Option<&str> {
    let [90, _, 0xfe, ..] = answer else { return None };
    let (length, text) = answer.get(UMAS_TYPE..)?.split_first()?;
    let text = std::str::from_utf8(text.get(..usize::from(*length))?).ok()?.trim();
    Some(text).filter(|text| !text.is_empty() && text.chars().all(|letter| !letter.is_control()))
}

/// Records who made the network cards of both parties, by the prefixes that the IEEE assigns. The card may be a router's.
pub fn learn_makers(context: &mut Context<'_>) {
    let macs = context.records.parties.get(context.party).map_or([None; 2], |party| [party.client_mac, party.server_mac]);
    let at = (context.ts, context.party);
    let shared = &mut context.shared;
    for mac in macs.into_iter().flatten() {
        shared.devices.meet(mac, at, context.records, &mut shared.counters);
    }
}

/// Records a fact about the server.
pub fn learn(attribute: Attribute, value: &str, source: &'static str, context: &mut Context<'_>) {
    let device = crate::device::Device { mac: context.server_mac, ip: Some(context.server) };
    let shared = &mut context.shared;
    shared.devices.learn(device, attribute, value, source, (context.ts, context.party), context.records, &mut shared.counters);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_controller_s_type_is_read_from_its_umas_identification() {
        let answer = b"\x5a\x00\xfe\x10\xff\x5a\x01\x01\x00\x00\x00\x70\x02\x00\x00\x27\x00\x09\x00\x08\x00\x00\x00\x00\x00\x0e140 CPU 311 10\x01\x01";
        assert_eq!(umas_type(answer), Some("140 CPU 311 10"));
        assert_eq!(umas_type(&answer[..38]), None);
        assert_eq!(umas_type(b"\x5a\x00\xfd\x10"), None);
    }
}
