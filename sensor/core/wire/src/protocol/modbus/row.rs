//! A request and its answer as one row of table `modbus`, and the values in them as points.

use super::function::{self, DEVICE_IDENTIFICATION, ENCAPSULATED, EXCEPTION, UMAS};
use super::point::{Kind, Seen};
use crate::protocol::Context;
use crate::record::Records;
use crate::record::column::{WordLists, Words};
use crate::record::table::{Encapsulation, ModbusRow, Pairing, PointAccess};

/// File records of one message at most: each sub-request takes seven bytes.
const FILE_RECORDS: usize = 36;
/// Objects of one device identification at most: each takes at least two bytes.
const OBJECTS: usize = 124;

/// An exchange, as far as it was seen.
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'a> {
    /// Transaction identifier.
    pub transaction: Option<u16>,
    /// Unit identifier.
    pub unit: u8,
    /// First packet of the request, or of the answer where no request was seen.
    pub ts: i64,
    /// The request's protocol data unit.
    pub request: Option<&'a [u8]>,
    /// The answer's.
    pub response: Option<&'a [u8]>,
    /// End of the request to the start of the answer, nanoseconds.
    pub response_time: Option<i64>,
    /// Framing.
    pub encapsulation: Encapsulation,
    /// Bytes of both application data units.
    pub bytes: u32,
}

fn word(pdu: Option<&[u8]>, at: usize) -> Option<u16> {
    pdu?.get(at..at + 2)?.first_chunk::<2>().map(|pair| u16::from_be_bytes(*pair))
}

fn byte(pdu: Option<&[u8]>, at: usize) -> Option<u8> {
    pdu?.get(at).copied()
}

fn from(pdu: Option<&[u8]>, at: usize) -> Option<&[u8]> {
    pdu?.get(at..)
}

/// Makes the row and the points of an exchange.
#[inline]
pub fn record(exchange: &Exchange<'_>, context: &mut Context<'_>) {
    let Some(first) = byte(exchange.request.or(exchange.response), 0) else {
        return;
    };
    let code = first & !EXCEPTION;
    let exception = exchange.response.filter(|pdu| pdu.first().is_some_and(|first| first & EXCEPTION != 0));
    let answer = if exception.is_some() { None } else { exchange.response };
    let mut row = blank(exchange, code);
    if exception.is_some() {
        row.exception_code = byte(exception, 1);
        row.exception = row.exception_code.map(function::exception);
    }
    let question = exchange.request;
    let either = question.or(answer);
    // Room that only some functions need is made where they do.
    let (status, mut files, mut objects);
    match code {
        1..=4 => {
            row.address = word(question, 1);
            row.quantity = word(question, 3);
            let values = answer
                .and_then(|pdu| pdu.get(2..))
                .map(|data| data.get(..usize::from(byte(answer, 1).unwrap_or(0))).unwrap_or(data));
            row.values = match values {
                None => Words::None,
                Some(bytes) if code >= 3 => Words::Registers(bytes),
                Some(bytes) => Words::Bits(bytes, row.quantity.unwrap_or(u16::MAX).min(bytes.len() as u16 * 8)),
            };
        }
        5 | 6 => {
            row.address = word(either, 1);
            row.quantity = row.address.map(|_| 1);
            if let Some(value) = word(either, 3) {
                status = [if code == 5 { u16::from(value == 0xff00) } else { value }, 0, 0];
                row.values = Words::Numbers(&status[..1]);
            }
        }
        7 => {
            if let Some(value) = byte(answer, 1) {
                status = [u16::from(value), 0, 0];
                row.values = Words::Numbers(&status[..1]);
            }
        }
        8 => {
            row.sub_function = word(either, 1);
            row.values = from(answer, 3).or(from(question, 3)).map_or(Words::None, Words::Registers);
        }
        11 => {
            if let (Some(value), Some(count)) = (word(answer, 1), word(answer, 3)) {
                status = [value, count, 0];
                row.values = Words::Numbers(&status[..2]);
            }
        }
        12 => {
            if let (Some(value), Some(events), Some(messages)) = (word(answer, 2), word(answer, 4), word(answer, 6)) {
                status = [value, events, messages];
                row.values = Words::Numbers(&status);
                row.data = [None, from(answer, 8)];
            }
        }
        15 | 16 => {
            row.address = word(either, 1);
            row.quantity = word(either, 3);
            row.values = match from(question, 6) {
                Some(bytes) if code == 16 => Words::Registers(bytes),
                Some(bytes) => Words::Bits(bytes, row.quantity.unwrap_or(u16::MAX).min(bytes.len() as u16 * 8)),
                None => Words::None,
            };
        }
        17 => row.data = [None, from(answer, 2)],
        20 | 21 => {
            files = [(0, 0, 0, &[][..]); FILE_RECORDS];
            let count = if code == 20 { read_files(question, answer, &mut files) } else { written_files(either, &mut files) };
            row.file_records = either.and_then(|_| files.get(..count));
        }
        22 => {
            row.address = word(either, 1);
            row.and_mask = word(either, 3);
            row.or_mask = word(either, 5);
        }
        23 => {
            row.address = word(question, 1);
            row.quantity = word(question, 3);
            row.write_address = word(question, 5);
            row.write_quantity = word(question, 7);
            row.write_values = from(question, 10).map_or(Words::None, Words::Registers);
            row.values = from(answer, 2).map_or(Words::None, Words::Registers);
        }
        24 => {
            row.address = word(question, 1);
            row.quantity = word(answer, 3);
            row.values = from(answer, 5).map_or(Words::None, Words::Registers);
        }
        ENCAPSULATED => {
            row.mei_type = byte(either, 1);
            if row.mei_type == Some(DEVICE_IDENTIFICATION) {
                objects = [(0, ""); OBJECTS];
                let count = super::identity::objects(answer, &mut objects);
                row.device_id = answer.and_then(|_| objects.get(..count));
                row.data = [from(question, 2), None];
            } else {
                row.data = [from(question, 2), from(answer, 2)];
            }
        }
        UMAS => {
            // Behind the function code stand the reservation key and the UMAS function; an answer has a status in its place.
            row.sub_function = byte(question, 2).map(u16::from);
            row.data = [from(question, 1), from(answer, 1)];
        }
        _ => row.data = [from(question, 1), from(answer, 1)],
    }
    context.records.modbus.push(exchange.ts, context.party, &row);
    if exception.is_none() {
        points(exchange, code, &row, context);
    }
}

fn blank<'a>(exchange: &Exchange<'a>, code: u8) -> ModbusRow<'a> {
    ModbusRow {
        transaction_id: exchange.transaction,
        unit_id: exchange.unit,
        function_code: code,
        function: function::name(code),
        sub_function: None,
        access: function::access(code),
        address: None,
        quantity: None,
        values: Words::None,
        write_address: None,
        write_quantity: None,
        write_values: Words::None,
        and_mask: None,
        or_mask: None,
        file_records: None,
        mei_type: None,
        device_id: None,
        data: [None, None],
        exception_code: None,
        exception: None,
        response_time: exchange.response_time,
        pairing: match (exchange.request, exchange.response) {
            (Some(_), Some(_)) => Pairing::Both,
            (Some(_), None) => Pairing::Request,
            _ => Pairing::Response,
        },
        encapsulation: exchange.encapsulation,
        bytes: exchange.bytes,
    }
}

/// Values that were read, or written and not refused.
#[inline]
fn points(exchange: &Exchange<'_>, code: u8, row: &ModbusRow<'_>, context: &mut Context<'_>) {
    let (kind, access) = match code {
        1 => (Kind::Coil, PointAccess::Read),
        2 => (Kind::Discrete, PointAccess::Read),
        3 | 23 => (Kind::Holding, PointAccess::Read),
        4 => (Kind::Input, PointAccess::Read),
        5 | 15 => (Kind::Coil, PointAccess::Write),
        6 | 16 => (Kind::Holding, PointAccess::Write),
        _ => return,
    };
    let Context { records, shared, server, party, .. } = context;
    let generation = records.cuts();
    let Records { modbus, point, .. } = &mut **records;
    let mut update = |start: Option<u16>, words: Words<'_>, column: &WordLists, access: PointAccess| {
        if let Some(start) = start
            && words != Words::None
        {
            let seen = Seen { server: *server, unit: exchange.unit, kind, start, access, ts: exchange.ts, party: *party };
            shared.points.update(&seen, column.last(), generation, point, &mut shared.counters);
        }
    };
    update(row.address, row.values, &modbus.values, access);
    if code == 23 {
        update(row.write_address, row.write_values, &modbus.write_values, PointAccess::Write);
    }
}

/// Sub-requests of a file read with the data of their answers (MAP, 6.14).
fn read_files<'a>(question: Option<&'a [u8]>, answer: Option<&'a [u8]>, files: &mut [(u16, u16, u16, &'a [u8])]) -> usize {
    let mut asked = from(question, 2).unwrap_or_default();
    let mut answered = from(answer, 2).unwrap_or_default();
    let mut count = 0;
    for slot in files {
        let named = asked.split_first_chunk::<7>();
        let data = answered.split_first_chunk::<2>();
        if named.is_none() && data.is_none() {
            break;
        }
        if let Some((&[_, f0, f1, r0, r1, l0, l1], rest)) = named {
            *slot = (u16::from_be_bytes([f0, f1]), u16::from_be_bytes([r0, r1]), u16::from_be_bytes([l0, l1]), &[]);
            asked = rest;
        }
        if let Some((&[length, _], rest)) = data {
            // The length counts the reference type as well.
            let bytes = usize::from(length.saturating_sub(1)).min(rest.len());
            let (values, rest) = rest.split_at(bytes);
            slot.3 = values;
            if named.is_none() {
                slot.2 = (bytes / 2) as u16;
            }
            answered = rest;
        }
        count += 1;
    }
    count
}

/// Sub-requests of a file write (MAP, 6.15).
fn written_files<'a>(pdu: Option<&'a [u8]>, files: &mut [(u16, u16, u16, &'a [u8])]) -> usize {
    let mut rest = from(pdu, 2).unwrap_or_default();
    let mut count = 0;
    for slot in files {
        let Some((&[_, f0, f1, r0, r1, l0, l1], behind)) = rest.split_first_chunk::<7>() else {
            break;
        };
        let length = u16::from_be_bytes([l0, l1]);
        let (data, behind) = behind.split_at(behind.len().min(usize::from(length) * 2));
        *slot = (u16::from_be_bytes([f0, f1]), u16::from_be_bytes([r0, r1]), length, data);
        rest = behind;
        count += 1;
    }
    count
}
