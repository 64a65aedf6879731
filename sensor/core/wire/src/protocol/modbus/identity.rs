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
