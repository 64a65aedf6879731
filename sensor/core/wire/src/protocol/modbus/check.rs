//! What the specification demands of a protocol data unit, and what breaks it.

use super::function::{self, CANOPEN, DEVICE_IDENTIFICATION, ENCAPSULATED, EXCEPTION, Length};
use crate::protocol::Side;

/// A broken clause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// What is broken, stable snake case.
    pub kind: &'static str,
    /// Document and clause.
    pub clause: &'static str,
    /// What was expected and what was seen.
    pub detail: String,
}

impl Broken {
    fn new(kind: &'static str, clause: &'static str, detail: String) -> Self {
        Self { kind, clause, detail }
    }
}

#[inline]
fn word(pdu: &[u8], at: usize) -> u16 {
    pdu.get(at..at + 2).and_then(|pair| pair.first_chunk::<2>()).map_or(0, |pair| u16::from_be_bytes(*pair))
}

#[inline]
fn byte(pdu: &[u8], at: usize) -> u8 {
    pdu.get(at).copied().unwrap_or_default()
}

/// Most coils, inputs or registers that a request of this function may name (MAP, 6.1 to 6.17).
fn quantity_limit(code: u8) -> Option<u16> {
    match code {
        1 | 2 => Some(2_000),
        3 | 4 | 23 => Some(125),
        15 => Some(1_968),
        16 => Some(123),
        _ => None,
    }
}

/// The common request in a few comparisons: true where nothing is broken for certain.
#[inline]
pub fn is_plain_request(unit: u8, pdu: &[u8]) -> bool {
    match *pdu {
        [1..=4, a0, a1, q0, q1] => {
            let (address, quantity) = (u16::from_be_bytes([a0, a1]), u16::from_be_bytes([q0, q1]));
            unit != 0 && (1..=125).contains(&quantity) && u32::from(address) + u32::from(quantity) <= 0x1_0000
        }
        [6, _, _, _, _] => true,
        _ => false,
    }
}

/// Every clause that a request breaks.
pub fn request(unit: u8, pdu: &[u8]) -> Vec<Broken> {
    let mut broken = Vec::new();
    let Some(&code) = pdu.first() else {
        return broken;
    };
    let clause = function::clause(code);
    if code == 0 || code & EXCEPTION != 0 {
        let detail = format!("expected a function code from 1 to 127, seen {code}");
        broken.push(Broken::new("function_code_invalid", "MAP V1.1b3, 4.1", detail));
        return broken;
    }
    if !function::is_public(code) {
        let detail = format!("expected a public or user-defined function code, seen {code}");
        broken.push(Broken::new("function_code_reserved", "MAP V1.1b3, 5", detail));
    }
    // Behind a TCP connection unit 0 also addresses the server itself (GUIDE, 4.4.2.2); on a serial line nobody may answer it.
    if unit == 0 && matches!(code, 1..=4 | 7 | 11 | 12 | 17 | 20 | 23 | 24) {
        let detail = format!("expected a unit from 1 to 255 with a function that reads, seen unit 0 with function {code}");
        broken.push(Broken::new("broadcast_read", "SERIAL V1.02, 2.1", detail));
    }
    if !length_holds(Side::Client, pdu, &mut broken, "request_length") {
        return broken;
    }
    let span = |address: u16, quantity: u16, broken: &mut Vec<Broken>| {
        if u32::from(address) + u32::from(quantity) > 0x1_0000 {
            let detail = format!("expected address and quantity to end at 65536 or before, seen {address} and {quantity}");
            broken.push(Broken::new("address_range", clause, detail));
        }
    };
    let quantity = |quantity: u16, limit: u16, broken: &mut Vec<Broken>| {
        if !(1..=limit).contains(&quantity) {
            let detail = format!("expected a quantity from 1 to {limit}, seen {quantity}");
            broken.push(Broken::new("quantity_range", clause, detail));
        }
    };
    let count = |seen: u8, expected: u32, broken: &mut Vec<Broken>| {
        if u32::from(seen) != expected {
            let detail = format!("expected a byte count of {expected} for the quantity, seen {seen}");
            broken.push(Broken::new("byte_count", clause, detail));
        }
    };
    match code {
        1..=4 => {
            quantity(word(pdu, 3), quantity_limit(code).unwrap_or(u16::MAX), &mut broken);
            span(word(pdu, 1), word(pdu, 3), &mut broken);
        }
        5 if !matches!(word(pdu, 3), 0x0000 | 0xff00) => {
            let detail = format!("expected 0x0000 or 0xff00, seen {:#06x}", word(pdu, 3));
            broken.push(Broken::new("coil_value", clause, detail));
        }
        8 => diagnostics(pdu, &mut broken),
        15 | 16 => {
            let number = word(pdu, 3);
            quantity(number, quantity_limit(code).unwrap_or(u16::MAX), &mut broken);
            count(byte(pdu, 5), if code == 15 { u32::from(number).div_ceil(8) } else { u32::from(number) * 2 }, &mut broken);
            span(word(pdu, 1), number, &mut broken);
        }
        20 | 21 => file_records(code, pdu, &mut broken),
        23 => {
            quantity(word(pdu, 3), 125, &mut broken);
            quantity(word(pdu, 7), 121, &mut broken);
            count(byte(pdu, 9), u32::from(word(pdu, 7)) * 2, &mut broken);
            span(word(pdu, 1), word(pdu, 3), &mut broken);
            span(word(pdu, 5), word(pdu, 7), &mut broken);
        }
        ENCAPSULATED => encapsulated(pdu, &mut broken),
        _ => {}
    }
    broken
}

/// Whether a unit has the length that its function gives it; where not, says so.
fn length_holds(side: Side, pdu: &[u8], broken: &mut Vec<Broken>, kind: &'static str) -> bool {
    let (holds, expected) = match function::length(side, pdu) {
        Length::Exactly(length) => (pdu.len() == length, format!("{length}")),
        Length::AtLeast(length) => (pdu.len() >= length, format!("at least {length}")),
        Length::Needs(length) => (false, format!("at least {length}")),
    };
    if !holds {
        let code = byte(pdu, 0);
        let detail = format!("expected a protocol data unit of {expected} bytes for function {code}, seen {}", pdu.len());
        broken.push(Broken::new(kind, function::clause(code & !EXCEPTION), detail));
    }
    holds
}

/// Sub-functions of diagnostics and the data that they may bring (MAP, 6.8.1).
fn diagnostics(pdu: &[u8], broken: &mut Vec<Broken>) {
    let (sub_function, data) = (word(pdu, 1), word(pdu, 3));
    match sub_function {
        0 => {}
        1 if matches!(data, 0x0000 | 0xff00) => {}
        1 => {
            let detail = format!("expected 0x0000 or 0xff00 with sub-function 1, seen {data:#06x}");
            broken.push(Broken::new("diagnostics_data", "MAP V1.1b3, 6.8.1", detail));
        }
        3 if data & 0x00ff == 0 => {}
        2 | 4 | 10..=18 | 20 if data == 0 => {}
        2..=4 | 10..=18 | 20 => {
            let detail = format!("expected data 0 with sub-function {sub_function}, seen {data:#06x}");
            broken.push(Broken::new("diagnostics_data", "MAP V1.1b3, 6.8.1", detail));
        }
        _ => {
            let detail = format!("expected sub-function 0 to 4, 10 to 18 or 20, seen {sub_function}");
            broken.push(Broken::new("diagnostics_sub_function", "MAP V1.1b3, 6.8.1", detail));
        }
    }
}

/// Sub-requests of file records: reference type, record number, lengths (MAP, 6.14 and 6.15).
fn file_records(code: u8, pdu: &[u8], broken: &mut Vec<Broken>) {
    let clause = function::clause(code);
    let (least, most) = if code == 20 { (7, 245) } else { (9, 251) };
    let count = byte(pdu, 1);
    if !(least..=most).contains(&count) {
        let detail = format!("expected a byte count from {least} to {most}, seen {count}");
        broken.push(Broken::new("byte_count", clause, detail));
    }
    let mut rest = pdu.get(2..).unwrap_or_default();
    while let Some((head, behind)) = rest.split_first_chunk::<7>() {
        if byte(head, 0) != 6 {
            let detail = format!("expected reference type 6, seen {}", byte(head, 0));
            broken.push(Broken::new("file_reference_type", clause, detail));
        }
        if word(head, 1) == 0 {
            broken.push(Broken::new("file_number", clause, "expected a file number from 1 to 65535, seen 0".to_owned()));
        }
        if word(head, 3) > 9_999 {
            let detail = format!("expected a record number from 0 to 9999, seen {}", word(head, 3));
            broken.push(Broken::new("file_record_number", clause, detail));
        }
        let data_bytes = if code == 21 { usize::from(word(head, 5)) * 2 } else { 0 };
        rest = match behind.get(data_bytes..) {
            Some(rest) => rest,
            None => {
                let detail = format!("expected {data_bytes} bytes of record data, seen {}", behind.len());
                broken.push(Broken::new("file_record_length", clause, detail));
                return;
            }
        };
    }
    if !rest.is_empty() {
        let detail = format!("expected whole sub-requests of 7 bytes, seen {} bytes left over", rest.len());
        broken.push(Broken::new("file_record_length", clause, detail));
    }
}

/// MEI type, read device ID code (MAP, 6.19 and 6.21).
fn encapsulated(pdu: &[u8], broken: &mut Vec<Broken>) {
    match byte(pdu, 1) {
        CANOPEN => {}
        DEVICE_IDENTIFICATION if matches!(byte(pdu, 2), 1..=4) => {}
        DEVICE_IDENTIFICATION => {
            let detail = format!("expected a read device ID code from 1 to 4, seen {}", byte(pdu, 2));
            broken.push(Broken::new("read_device_id_code", "MAP V1.1b3, 6.21", detail));
        }
        other => {
            let detail = format!("expected MEI type 13 or 14, seen {other}");
            broken.push(Broken::new("mei_type", "MAP V1.1b3, 6.19", detail));
        }
    }
}

/// The common answer in a few comparisons: true where nothing is broken for certain.
#[inline]
pub fn is_plain_response(request: &[u8], pdu: &[u8]) -> bool {
    match (pdu, request) {
        ([3 | 4, count, values @ ..], [_, _, _, q0, q1]) => {
            usize::from(*count) == values.len() && values.len() == usize::from(u16::from_be_bytes([*q0, *q1])) * 2
        }
        ([1 | 2, count, values @ ..], [_, _, _, q0, q1]) => {
            usize::from(*count) == values.len() && values.len() == usize::from(u16::from_be_bytes([*q0, *q1])).div_ceil(8)
        }
        ([5 | 6, ..], request) => pdu.len() == 5 && pdu == request,
        _ => false,
    }
}

/// Every clause that an answer breaks, on its own and, where its request is known, against that.
pub fn response(request: Option<&[u8]>, pdu: &[u8]) -> Vec<Broken> {
    let mut broken = Vec::new();
    let Some(&code) = pdu.first() else {
        return broken;
    };
    if code & EXCEPTION != 0 {
        exception(code & !EXCEPTION, pdu, &mut broken);
        return broken;
    }
    if !length_holds(Side::Server, pdu, &mut broken, "response_length") {
        return broken;
    }
    own_counts(code, pdu, &mut broken);
    let Some(request) = request else {
        return broken;
    };
    if request.first() != Some(&code) {
        return broken;
    }
    if code == 20 {
        read_records(request, pdu, &mut broken);
    }
    let clause = function::clause(code);
    let expected_bytes = match code {
        1 | 2 => Some(usize::from(word(request, 3)).div_ceil(8)),
        3 | 4 | 23 => Some(usize::from(word(request, 3)) * 2),
        _ => None,
    };
    if let Some(expected) = expected_bytes
        && usize::from(byte(pdu, 1)) != expected
    {
        let detail = format!("expected {expected} bytes for the quantity asked for, seen {}", byte(pdu, 1));
        broken.push(Broken::new("response_quantity", clause, detail));
    }
    let echoed = match code {
        5 | 6 | 15 | 16 => 5,
        21 => pdu.len().max(request.len()),
        22 => 7,
        8 if word(pdu, 1) == 0 => pdu.len().max(request.len()),
        8 => 3,
        // MEI type and, of a device identification, its code (MAP, 6.21).
        ENCAPSULATED if byte(pdu, 1) == DEVICE_IDENTIFICATION => 3,
        ENCAPSULATED => 2,
        _ => 0,
    };
    if pdu.get(..echoed.min(pdu.len())) != request.get(..echoed.min(request.len())) {
        let detail = format!("expected the request's first {echoed} bytes back, seen others");
        broken.push(Broken::new("response_echo", clause, detail));
    }
    broken
}

/// What an answer says of itself, without regard to its request.
fn own_counts(code: u8, pdu: &[u8], broken: &mut Vec<Broken>) {
    let clause = function::clause(code);
    match code {
        // Status, event count and message count, then at most 64 events (MAP, 6.10).
        12 if !(6..=70).contains(&byte(pdu, 1)) => {
            let detail = format!("expected a byte count from 6 to 70, seen {}", byte(pdu, 1));
            broken.push(Broken::new("byte_count", clause, detail));
        }
        24 => {
            let (bytes, count) = (word(pdu, 1), word(pdu, 3));
            if count > 31 {
                let detail = format!("expected a FIFO count of at most 31, seen {count}");
                broken.push(Broken::new("quantity_range", clause, detail));
            }
            let expected = u32::from(count) * 2 + 2;
            if u32::from(bytes) != expected {
                let detail = format!("expected a byte count of {expected} for the FIFO count, seen {bytes}");
                broken.push(Broken::new("byte_count", clause, detail));
            }
        }
        ENCAPSULATED if byte(pdu, 1) == DEVICE_IDENTIFICATION => {
            if !matches!(byte(pdu, 3), 1..=3 | 0x81..=0x83) {
                let detail = format!("expected a conformity level of 1 to 3 or 0x81 to 0x83, seen {:#04x}", byte(pdu, 3));
                broken.push(Broken::new("conformity_level", "MAP V1.1b3, 6.21", detail));
            }
            if !matches!(byte(pdu, 4), 0 | 0xff) {
                let detail = format!("expected 0x00 or 0xff for whether more follows, seen {:#04x}", byte(pdu, 4));
                broken.push(Broken::new("more_follows", "MAP V1.1b3, 6.21", detail));
            }
        }
        _ => {}
    }
}

/// Records of a file read against those asked for (MAP, 6.14): each has its length, the reference type, its data.
fn read_records(request: &[u8], pdu: &[u8], broken: &mut Vec<Broken>) {
    let clause = function::clause(20);
    let mut rest = pdu.get(2..).unwrap_or_default();
    let (asked, _) = request.get(2..).unwrap_or_default().as_chunks::<7>();
    let mut told = 0;
    while let [length, reference, behind @ ..] = rest {
        if *reference != 6 {
            broken.push(Broken::new("file_reference_type", clause, format!("expected reference type 6, seen {reference}")));
        }
        // The length counts the reference type as well.
        let data_bytes = usize::from(length.saturating_sub(1));
        let Some(next) = behind.get(data_bytes..) else {
            let detail = format!("expected {data_bytes} bytes of record data, seen {}", behind.len());
            broken.push(Broken::new("file_record_length", clause, detail));
            return;
        };
        if let Some(record) = asked.get(told)
            && data_bytes != usize::from(word(record, 5)) * 2
        {
            let detail = format!("expected records of {} registers as asked for, seen {}", word(record, 5), data_bytes / 2);
            broken.push(Broken::new("response_quantity", clause, detail));
        }
        told += 1;
        rest = next;
    }
    if !rest.is_empty() {
        let detail = format!("expected whole records, seen {} bytes left over", rest.len());
        broken.push(Broken::new("file_record_length", clause, detail));
    } else if told != asked.len() {
        let detail = format!("expected {} records as asked for, seen {told}", asked.len());
        broken.push(Broken::new("response_quantity", clause, detail));
    }
}

/// Exceptions that exist, and those that a function may answer with (MAP, 7).
fn exception(code: u8, pdu: &[u8], broken: &mut Vec<Broken>) {
    if pdu.len() != 2 {
        let detail = format!("expected an exception of 2 bytes, seen {}", pdu.len());
        broken.push(Broken::new("response_length", "MAP V1.1b3, 7", detail));
    }
    match byte(pdu, 1) {
        1..=6 | 8 | 10 | 11 => {}
        // Older devices refuse programs with it (Modicon PI-MBUS-300, appendix A).
        7 if matches!(code, 13 | 14) => {}
        other => {
            let detail = format!("expected an exception code of 1 to 6, 8, 10 or 11, seen {other}");
            broken.push(Broken::new("exception_code", "MAP V1.1b3, 7", detail));
        }
    }
    if byte(pdu, 1) == 8 && !matches!(code, 20 | 21) {
        let detail = format!("expected a memory parity error for functions 20 and 21 only, seen it for {code}");
        broken.push(Broken::new("exception_for_function", "MAP V1.1b3, 7", detail));
    }
}
