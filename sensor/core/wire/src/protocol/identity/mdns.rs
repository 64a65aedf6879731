//! Multicast DNS: what devices answer of their names and services.

use super::{Facts, Source};
use crate::packet::Address;
use crate::protocol::Carrier;
use crate::protocol::signature::Application;
use crate::protocol::signature::layer::field::be16;
use crate::record::table::Attribute;

/// Host names with their addresses, host information, and what services say of model, maker, version and serial number.
pub static SOURCE: Source = Source {
    application: Application::Mdns,
    carriers: &[Carrier::Datagram],
    name: "mdns",
    confidence: 0.8,
    clause: "RFC 6762, 6 and 18; RFC 6763, 6; RFC 1035, 3.3.2 and 4.1",
    read,
};

/// Records that are read of one message.
const RECORDS: usize = 128;
/// Steps of one name: labels and pointers.
const STEPS: usize = 128;
const A: u16 = 1;
const HINFO: u16 = 13;
const TXT: u16 = 16;
const AAAA: u16 = 28;

fn read(data: &[u8], facts: &mut Facts<'_>) {
    let Some([_, _, flags, _, q0, q1, counts @ ..]) = data.first_chunk::<12>() else { return };
    if flags & 0x80 == 0 {
        return;
    }
    let mut at = 12;
    for _ in 0..usize::from(u16::from_be_bytes([*q0, *q1])).min(RECORDS) {
        let Some((_, end)) = name(data, at) else { return };
        at = end + 4;
    }
    let records: usize = counts.chunks_exact(2).filter_map(|pair| be16(pair, 0)).map(usize::from).sum();
    for _ in 0..records.min(RECORDS) {
        let Some((owner, end)) = name(data, at) else { return };
        let (Some(kind), Some(length)) = (be16(data, end), be16(data, end + 8)) else { return };
        let Some(content) = data.get(end + 10..end + 10 + usize::from(length)) else { return };
        record(kind, &owner, content, facts);
        at = end + 10 + usize::from(length);
    }
}

fn record(kind: u16, owner: &str, content: &[u8], facts: &mut Facts<'_>) {
    match kind {
        A => {
            facts.say(Attribute::Name, owner.as_bytes());
            if let Ok(bytes) = content.try_into() {
                facts.say_ip(Address::v4(bytes));
            }
        }
        AAAA => {
            facts.say(Attribute::Name, owner.as_bytes());
            if let Ok(bytes) = content.try_into() {
                facts.say_ip(Address::v6(bytes));
            }
        }
        HINFO => {
            let mut parts = strings(content);
            facts.say(Attribute::Product, parts.next().unwrap_or_default());
            facts.say(Attribute::Os, parts.next().unwrap_or_default());
        }
        TXT => strings(content).for_each(|pair| service(pair, facts)),
        _ => {}
    }
}

/// A pair of a service's description, as printers, cameras and gateways write it.
fn service(pair: &[u8], facts: &mut Facts<'_>) {
    let mut halves = pair.splitn(2, |byte| *byte == b'=');
    let (key, value) = (halves.next().unwrap_or_default().to_ascii_lowercase(), halves.next().unwrap_or_default());
    let attribute = match key.as_slice() {
        b"model" | b"md" | b"ty" | b"product" => Attribute::Product,
        b"manufacturer" | b"usb_mfg" | b"vendor" => Attribute::Vendor,
        b"fw" | b"fwversion" | b"firmware" | b"version" => Attribute::Version,
        b"serial" | b"serialnumber" | b"sn" => Attribute::Serial,
        _ => return,
    };
    facts.say(attribute, value);
}

/// Strings with their length in front.
fn strings(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = content;
    std::iter::from_fn(move || {
        let [length, behind @ ..] = rest else { return None };
        let text = behind.get(..usize::from(*length))?;
        rest = behind.get(usize::from(*length)..)?;
        Some(text)
    })
}

/// The name that begins here, and where it ends (RFC 1035, 4.1.4).
pub(super) fn name(data: &[u8], start: usize) -> Option<(String, usize)> {
    let (mut name, mut at, mut end) = (String::new(), start, None);
    for _ in 0..STEPS {
        match data.get(at)? {
            0 => return Some((name, end.unwrap_or(at + 1))),
            0xc0.. => {
                end = end.or(Some(at + 2));
                at = usize::from(be16(data, at)? & 0x3fff);
            }
            length @ 1..=63 => {
                let label = data.get(at + 1..at + 1 + usize::from(*length))?;
                if !name.is_empty() {
                    name.push('.');
                }
                name.push_str(&String::from_utf8_lossy(label));
                at += 1 + usize::from(*length);
            }
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::identity::tests::{survives, told};

    const ANSWER: &[u8] = b"\x00\x00\x84\x00\x00\x00\x00\x03\x00\x00\x00\x00\x04cam1\x05local\x00\x00\x01\x80\x01\x00\x00\x00\x78\x00\x04\
        \x0a\x00\x00\x05\xc0\x0c\x00\x0d\x80\x01\x00\x00\x00\x78\x00\x0a\x03X86\x05LINUX\xc0\x0c\x00\x10\x80\x01\x00\x00\x00\x78\x00\x0f\
        \x08model=M1\x05fw=12";

    #[test]
    fn a_device_answers_its_name_and_services_and_a_question_says_nothing() {
        let expected = ["name=cam1.local", "address=10.0.0.5", "product=X86", "os=LINUX", "product=M1", "version=12"];
        assert_eq!(told(&SOURCE, ANSWER), expected);
        let mut question = ANSWER.to_vec();
        question[2] = 0;
        assert!(told(&SOURCE, &question).is_empty());
        survives(&SOURCE, ANSWER);
    }

    #[test]
    fn a_name_that_points_at_itself_ends() {
        assert_eq!(name(b"\xc0\x00", 0), None);
    }
}
