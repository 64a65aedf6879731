//! Modbus messages written from the specification (MODBUS Application Protocol V1.1b3), with the row that each must become. Nothing here uses the
//! parser's own code.

use arrow_array::cast::AsArray;
use arrow_array::types::{DurationNanosecondType, TimestampNanosecondType, UInt8Type, UInt16Type, UInt32Type};
use arrow_array::{Array, RecordBatch};
use proptest::collection::vec;
use proptest::prelude::*;
use wire::record::Batch;

use super::{rows, word};

/// File, record, length in registers, data.
pub type FileRecord = (u16, u16, u16, Vec<u8>);

/// A row of table `modbus`, without its parties.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    pub ts: i64,
    pub transaction: Option<u16>,
    pub unit: u8,
    pub code: u8,
    pub function: &'static str,
    pub access: &'static str,
    pub sub_function: Option<u16>,
    pub address: Option<u16>,
    pub quantity: Option<u16>,
    pub values: Option<Vec<u16>>,
    pub write_address: Option<u16>,
    pub write_quantity: Option<u16>,
    pub write_values: Option<Vec<u16>>,
    pub and_mask: Option<u16>,
    pub or_mask: Option<u16>,
    pub file_records: Option<Vec<FileRecord>>,
    pub mei_type: Option<u8>,
    pub device_id: Option<Vec<(u8, String)>>,
    pub data: Option<Vec<u8>>,
    pub exception_code: Option<u8>,
    pub exception: Option<&'static str>,
    pub response_time: Option<i64>,
    pub pairing: &'static str,
    pub encapsulation: &'static str,
    pub bytes: u32,
}

/// A word of a choice column; they are few.
fn leak(word: String) -> &'static str {
    Box::leak(word.into_boxed_str())
}

/// All rows of table `modbus`, as they came.
pub fn records(batches: &[Batch]) -> Vec<Row> {
    rows(batches, "modbus", read)
}

/// All rows of table `modbus`, in order of time.
pub fn table(batches: &[Batch]) -> Vec<Row> {
    let mut found = records(batches);
    found.sort_by_key(|row| row.ts);
    found
}

fn read(batch: &RecordBatch, row: usize) -> Row {
    let column = |name: &str| {
        let column = batch.column_by_name(&format!("modbus.{name}")).unwrap();
        column.is_valid(row).then_some(column)
    };
    let octet = |name| column(name).map(|column| column.as_primitive::<UInt8Type>().value(row));
    let short = |name| column(name).map(|column| column.as_primitive::<UInt16Type>().value(row));
    let list = |name| column(name).map(|column| column.as_list::<i32>().value(row));
    let shorts = |name| list(name).map(|values| values.as_primitive::<UInt16Type>().values().to_vec());
    let text = |name: &str| leak(word(batch, &format!("modbus.{name}"), row));
    Row {
        ts: batch.column_by_name("ts").unwrap().as_primitive::<TimestampNanosecondType>().value(row),
        transaction: short("transaction_id"),
        unit: octet("unit_id").unwrap(),
        code: octet("function_code").unwrap(),
        function: text("function"),
        access: text("access"),
        sub_function: short("sub_function"),
        address: short("address"),
        quantity: short("quantity"),
        values: shorts("values"),
        write_address: short("write_address"),
        write_quantity: short("write_quantity"),
        write_values: shorts("write_values"),
        and_mask: short("and_mask"),
        or_mask: short("or_mask"),
        file_records: list("file_records").map(|list| {
            let fields = list.as_struct();
            let number = |at: usize, index| fields.column(at).as_primitive::<UInt16Type>().value(index);
            let data = |index| fields.column(3).as_binary::<i32>().value(index).to_vec();
            (0..list.len()).map(|index| (number(0, index), number(1, index), number(2, index), data(index))).collect()
        }),
        mei_type: octet("mei_type"),
        device_id: list("device_id").map(|list| {
            let fields = list.as_struct();
            let object = |index| fields.column(0).as_primitive::<UInt8Type>().value(index);
            let value = |index| fields.column(1).as_string::<i32>().value(index).to_owned();
            (0..list.len()).map(|index| (object(index), value(index))).collect()
        }),
        data: column("data").map(|column| column.as_binary::<i32>().value(row).to_vec()),
        exception_code: octet("exception_code"),
        exception: column("exception").map(|_| text("exception")),
        response_time: column("response_time").map(|column| column.as_primitive::<DurationNanosecondType>().value(row)),
        pairing: text("pairing"),
        encapsulation: text("encapsulation"),
        bytes: batch.column_by_name("modbus.bytes").unwrap().as_primitive::<UInt32Type>().value(row),
    }
}

/// A request and its answer as protocol data units, and the rows that they become: together, and each alone.
#[derive(Clone, Debug)]
pub struct Exchange {
    pub request: Vec<u8>,
    pub response: Vec<u8>,
    pub whole: Row,
    pub asked: Row,
    pub answered: Row,
}

impl Exchange {
    fn new(function: &'static str, access: &'static str, request: Vec<u8>, response: Vec<u8>) -> Self {
        let row = Row { code: request[0], function, access, ..Row::default() };
        Self { request, response, whole: row.clone(), asked: row.clone(), answered: row }
    }

    /// An exchange of this function of which nothing but its bytes, given by the test, matters.
    pub fn plain(code: u8) -> Self {
        Self::new("", "", vec![code], vec![code])
    }

    fn asked(mut self, change: impl Fn(&mut Row)) -> Self {
        change(&mut self.asked);
        change(&mut self.whole);
        self
    }

    fn answered(mut self, change: impl Fn(&mut Row)) -> Self {
        change(&mut self.answered);
        change(&mut self.whole);
        self
    }

    fn whole(mut self, change: impl Fn(&mut Row)) -> Self {
        change(&mut self.whole);
        self
    }

    /// The same request, refused with this exception code (MAP, 7).
    pub fn refused(self, code: u8) -> Self {
        let name = match code {
            1 => "illegal_function",
            2 => "illegal_data_address",
            3 => "illegal_data_value",
            4 => "server_device_failure",
            5 => "acknowledge",
            6 => "server_device_busy",
            8 => "memory_parity_error",
            10 => "gateway_path_unavailable",
            11 => "gateway_target_device_failed_to_respond",
            _ => "other",
        };
        let refuse = |row: &mut Row| (row.exception_code, row.exception) = (Some(code), Some(name));
        let Self { request, asked, whole, .. } = self;
        let response = vec![request[0] | 0x80, code];
        let answered = Row { code: whole.code, function: whole.function, access: whole.access, ..Row::default() };
        let mut refused = Self { request, response, whole: asked.clone(), asked, answered };
        refuse(&mut refused.whole);
        refuse(&mut refused.answered);
        refused
    }
}

fn words(values: &[u16]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_be_bytes()).collect()
}

/// Bits, the first one in the least significant place of the first byte (MAP, 6.1).
fn packed(bits: &[bool]) -> Vec<u8> {
    bits.chunks(8).map(|chunk| chunk.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit))).collect()
}

fn numbers(bits: &[bool]) -> Vec<u16> {
    bits.iter().map(|bit| u16::from(*bit)).collect()
}

/// A protocol data unit: function code, words, then bytes.
fn unit(code: u8, heads: &[u16], tail: &[u8]) -> Vec<u8> {
    [&[code], &words(heads)[..], tail].concat()
}

/// The same with the number of bytes in front of them.
fn counted(code: u8, heads: &[u16], tail: &[u8]) -> Vec<u8> {
    [&[code], &words(heads)[..], &[tail.len() as u8], tail].concat()
}

/// A first address, often a low one as in real plants, and values that fit behind it, often few.
fn placed<T: std::fmt::Debug + Clone + 'static>(
    value: impl Strategy<Value = T> + Clone + 'static,
    most: usize,
) -> impl Strategy<Value = (u16, Vec<T>)> {
    let values = prop_oneof![vec(value.clone(), 1..=most), vec(value, 1..=most.min(20))];
    values
        .prop_flat_map(|values| {
            let last = (0x1_0000 - values.len()) as u32;
            (prop_oneof![0..=last, 0..=16_u32, Just(last)], Just(values))
        })
        .prop_map(|(address, values)| (address as u16, values))
}

fn read_bits(code: u8, function: &'static str) -> BoxedStrategy<Exchange> {
    placed(any::<bool>(), 2_000)
        .prop_map(move |(address, bits)| {
            let (quantity, bytes) = (bits.len() as u16, packed(&bits));
            // An answer alone does not tell how many bits of its last byte were asked for.
            let padded = [numbers(&bits), vec![0; bytes.len() * 8 - bits.len()]].concat();
            Exchange::new(function, "read", unit(code, &[address, quantity], &[]), counted(code, &[], &bytes))
                .asked(|row| (row.address, row.quantity) = (Some(address), Some(quantity)))
                .answered(|row| row.values = Some(padded.clone()))
                .whole(|row| row.values = Some(numbers(&bits)))
        })
        .boxed()
}

fn read_registers(code: u8, function: &'static str) -> BoxedStrategy<Exchange> {
    placed(any::<u16>(), 125)
        .prop_map(move |(address, values)| {
            let quantity = values.len() as u16;
            Exchange::new(function, "read", unit(code, &[address, quantity], &[]), counted(code, &[], &words(&values)))
                .asked(|row| (row.address, row.quantity) = (Some(address), Some(quantity)))
                .answered(|row| row.values = Some(values.clone()))
        })
        .boxed()
}

fn write_single(code: u8, function: &'static str) -> BoxedStrategy<Exchange> {
    (any::<u16>(), any::<u16>())
        .prop_map(move |(address, number)| {
            let value = if code == 5 { number & 1 } else { number };
            let raw = if code == 5 { value * 0xff00 } else { value };
            let echo = unit(code, &[address, raw], &[]);
            let show = |row: &mut Row| (row.address, row.quantity, row.values) = (Some(address), Some(1), Some(vec![value]));
            Exchange::new(function, "write", echo.clone(), echo).asked(show).answered(show)
        })
        .boxed()
}

fn write_coils() -> BoxedStrategy<Exchange> {
    placed(any::<bool>(), 1_968)
        .prop_map(|(address, bits)| {
            let heads = [address, bits.len() as u16];
            let place = |row: &mut Row| (row.address, row.quantity) = (Some(heads[0]), Some(heads[1]));
            Exchange::new("write_multiple_coils", "write", counted(15, &heads, &packed(&bits)), unit(15, &heads, &[]))
                .asked(place)
                .answered(place)
                .asked(|row| row.values = Some(numbers(&bits)))
        })
        .boxed()
}

fn write_registers() -> BoxedStrategy<Exchange> {
    placed(any::<u16>(), 123)
        .prop_map(|(address, values)| {
            let heads = [address, values.len() as u16];
            let place = |row: &mut Row| (row.address, row.quantity) = (Some(heads[0]), Some(heads[1]));
            Exchange::new("write_multiple_registers", "write", counted(16, &heads, &words(&values)), unit(16, &heads, &[]))
                .asked(place)
                .answered(place)
                .asked(|row| row.values = Some(values.clone()))
        })
        .boxed()
}

fn exception_status() -> BoxedStrategy<Exchange> {
    any::<u8>()
        .prop_map(|status| {
            Exchange::new("read_exception_status", "diagnostic", vec![7], vec![7, status])
                .answered(|row| row.values = Some(vec![u16::from(status)]))
        })
        .boxed()
}

fn diagnostics() -> BoxedStrategy<Exchange> {
    let make = |sub_function: u16, sent: Vec<u16>, got: Vec<u16>| {
        let (request, response) = (unit(8, &[sub_function], &words(&sent)), unit(8, &[sub_function], &words(&got)));
        Exchange::new("diagnostics", "diagnostic", request, response)
            .asked(|row| (row.sub_function, row.values) = (Some(sub_function), Some(sent.clone())))
            .answered(|row| (row.sub_function, row.values) = (Some(sub_function), Some(got.clone())))
    };
    let echo = vec(any::<u16>(), 0..=125).prop_map(move |data| make(0, data.clone(), data));
    let restart =
        any::<bool>().prop_map(move |clears| make(1, vec![0xff00 * u16::from(clears)], vec![0xff00 * u16::from(clears)]));
    let delimiter = any::<u8>().prop_map(move |character| {
        let data = vec![u16::from(character) << 8];
        make(3, data.clone(), data)
    });
    let counters = (prop_oneof![Just(2_u16), 10_u16..=18, Just(20)], any::<u16>())
        .prop_map(move |(sub_function, value)| make(sub_function, vec![0], vec![value]));
    prop_oneof![echo, restart, delimiter, counters].boxed()
}

fn event_counter() -> BoxedStrategy<Exchange> {
    (any::<u16>(), any::<u16>())
        .prop_map(|(status, count)| {
            Exchange::new("get_comm_event_counter", "diagnostic", vec![11], unit(11, &[status, count], &[]))
                .answered(|row| row.values = Some(vec![status, count]))
        })
        .boxed()
}

fn event_log() -> BoxedStrategy<Exchange> {
    (any::<[u16; 3]>(), vec(any::<u8>(), 0..=64))
        .prop_map(|(numbers, events)| {
            let body = [words(&numbers), events.clone()].concat();
            Exchange::new("get_comm_event_log", "diagnostic", vec![12], counted(12, &[], &body))
                .answered(|row| (row.values, row.data) = (Some(numbers.to_vec()), Some(events.clone())))
        })
        .boxed()
}

fn server_id() -> BoxedStrategy<Exchange> {
    vec(any::<u8>(), 0..=251)
        .prop_map(|id| {
            Exchange::new("report_server_id", "diagnostic", vec![17], counted(17, &[], &id))
                .answered(|row| row.data = Some(id.clone()))
        })
        .boxed()
}

/// File numbers from 1, record numbers to 9,999 (MAP, 6.14), as many as fit when each has `head` bytes beside its data.
fn file_records(count: usize, room: usize, head: usize) -> impl Strategy<Value = Vec<FileRecord>> {
    let length = 1..=(room / count - head) / 2;
    let data = length.prop_flat_map(|length| vec(any::<u16>(), length));
    vec((1..=u16::MAX, 0..=9_999_u16, data), count).prop_map(|records| {
        let whole = |(file, record, data): (u16, u16, Vec<u16>)| (file, record, data.len() as u16, words(&data));
        records.into_iter().map(whole).collect()
    })
}

fn read_files() -> BoxedStrategy<Exchange> {
    // The answer has at most 245 bytes of sub-responses, each with two bytes in front of its data.
    (1..=35_usize)
        .prop_flat_map(|count| file_records(count, 245, 2))
        .prop_map(|records| {
            let named = records.iter().flat_map(|(file, record, length, _)| unit(6, &[*file, *record, *length], &[]));
            let told = records.iter().flat_map(|(_, _, _, data)| [&[data.len() as u8 + 1, 6], &data[..]].concat());
            let (named, told): (Vec<u8>, Vec<u8>) = (named.collect(), told.collect());
            let only_named =
                records.iter().map(|(file, record, length, _)| (*file, *record, *length, vec![])).collect::<Vec<_>>();
            let only_told = records.iter().map(|(_, _, length, data)| (0, 0, *length, data.clone())).collect::<Vec<_>>();
            Exchange::new("read_file_record", "read", counted(20, &[], &named), counted(20, &[], &told))
                .asked(|row| row.file_records = Some(only_named.clone()))
                .answered(|row| row.file_records = Some(only_told.clone()))
                .whole(|row| row.file_records = Some(records.clone()))
        })
        .boxed()
}

fn write_files() -> BoxedStrategy<Exchange> {
    (1..=27_usize)
        .prop_flat_map(|count| file_records(count, 251, 7))
        .prop_map(|records| {
            let body = records.iter().flat_map(|(file, record, length, data)| unit(6, &[*file, *record, *length], data));
            let echo = counted(21, &[], &body.collect::<Vec<_>>());
            let show = |row: &mut Row| row.file_records = Some(records.clone());
            Exchange::new("write_file_record", "write", echo.clone(), echo).asked(show).answered(show)
        })
        .boxed()
}

fn mask_write() -> BoxedStrategy<Exchange> {
    any::<[u16; 3]>()
        .prop_map(|[address, and, or]| {
            let echo = unit(22, &[address, and, or], &[]);
            let show = |row: &mut Row| (row.address, row.and_mask, row.or_mask) = (Some(address), Some(and), Some(or));
            Exchange::new("mask_write_register", "write", echo.clone(), echo).asked(show).answered(show)
        })
        .boxed()
}

fn read_write() -> BoxedStrategy<Exchange> {
    (placed(any::<u16>(), 125), placed(any::<u16>(), 121))
        .prop_map(|((address, read), (write_address, written))| {
            let heads = [address, read.len() as u16, write_address, written.len() as u16];
            let request = counted(23, &heads, &words(&written));
            Exchange::new("read_write_multiple_registers", "read_write", request, counted(23, &[], &words(&read)))
                .asked(|row| {
                    (row.address, row.quantity) = (Some(heads[0]), Some(heads[1]));
                    (row.write_address, row.write_quantity) = (Some(heads[2]), Some(heads[3]));
                    row.write_values = Some(written.clone());
                })
                .answered(|row| row.values = Some(read.clone()))
        })
        .boxed()
}

fn fifo_queue() -> BoxedStrategy<Exchange> {
    (any::<u16>(), vec(any::<u16>(), 0..=31))
        .prop_map(|(address, values)| {
            let quantity = values.len() as u16;
            let response = unit(24, &[quantity * 2 + 2, quantity], &words(&values));
            Exchange::new("read_fifo_queue", "read", unit(24, &[address], &[]), response)
                .asked(|row| row.address = Some(address))
                .answered(|row| (row.quantity, row.values) = (Some(quantity), Some(values.clone())))
        })
        .boxed()
}

/// What no column but `modbus.data` holds: the request's bytes, then the answer's.
fn carried(exchange: Exchange, sent: &[u8], got: &[u8]) -> Exchange {
    exchange
        .asked(|row| row.data = Some(sent.to_vec()))
        .answered(|row| row.data = Some(got.to_vec()))
        .whole(|row| row.data = Some([sent, got].concat()))
}

fn canopen() -> BoxedStrategy<Exchange> {
    (vec(any::<u8>(), 0..=251), vec(any::<u8>(), 0..=251))
        .prop_map(|(sent, got)| {
            let (request, response) = ([&[43, 13], &sent[..]].concat(), [&[43, 13], &got[..]].concat());
            let exchange = Exchange::new("encapsulated_interface_transport", "diagnostic", request, response);
            let show = |row: &mut Row| row.mei_type = Some(13);
            carried(exchange.asked(show).answered(show), &sent, &got)
        })
        .boxed()
}

fn device_identification() -> BoxedStrategy<Exchange> {
    let conformity = prop_oneof![1..=3_u8, 0x81..=0x83_u8];
    let objects = vec((any::<u8>(), "[ -~é]{0,20}"), 0..=8);
    (1..=4_u8, any::<u8>(), conformity, any::<bool>(), objects)
        .prop_map(|(code, first, conformity, more, objects)| {
            let named = |(object, value): &(u8, String)| [&[*object, value.len() as u8], value.as_bytes()].concat();
            let mut objects = objects;
            while objects.iter().map(|object| named(object).len()).sum::<usize>() > 246 {
                objects.pop();
            }
            let head = [43, 14, code, conformity, 0xff * u8::from(more), first, objects.len() as u8];
            let response = [&head[..], &objects.iter().flat_map(named).collect::<Vec<_>>()].concat();
            Exchange::new("encapsulated_interface_transport", "diagnostic", vec![43, 14, code, first], response)
                .asked(|row| (row.mei_type, row.data) = (Some(14), Some(vec![code, first])))
                .answered(|row| (row.mei_type, row.device_id) = (Some(14), Some(objects.clone())))
        })
        .boxed()
}

fn user_defined() -> BoxedStrategy<Exchange> {
    (prop_oneof![65..=72_u8, 100..=110_u8], vec(any::<u8>(), 0..=252), vec(any::<u8>(), 0..=252))
        .prop_map(|(code, sent, got)| {
            let exchange = Exchange::new("user_defined", "other", unit(code, &[], &sent), unit(code, &[], &got));
            carried(exchange, &sent, &got)
        })
        .boxed()
}

/// Schneider's UMAS: reservation key, function; in the answer a status in the function's place.
fn umas() -> BoxedStrategy<Exchange> {
    (vec(any::<u8>(), 2..=252), vec(any::<u8>(), 2..=252))
        .prop_map(|(sent, got)| {
            let exchange = Exchange::new("umas", "other", unit(90, &[], &sent), unit(90, &[], &got));
            carried(exchange, &sent, &got).asked(|row| row.sub_function = Some(u16::from(sent[1])))
        })
        .boxed()
}

/// Exchanges whose length their function fixes, so that a serial frame of theirs has one end only: each function of these.
pub fn of_fixed_length() -> Vec<BoxedStrategy<Exchange>> {
    vec![
        read_bits(1, "read_coils"),
        read_bits(2, "read_discrete_inputs"),
        read_registers(3, "read_holding_registers"),
        read_registers(4, "read_input_registers"),
        write_single(5, "write_single_coil"),
        write_single(6, "write_single_register"),
        exception_status(),
        event_counter(),
        event_log(),
        write_coils(),
        write_registers(),
        server_id(),
        read_files(),
        write_files(),
        mask_write(),
        read_write(),
        fifo_queue(),
        device_identification(),
    ]
}

/// Exchanges of every public function, of user-defined ones and of UMAS.
pub fn of_every_function() -> Vec<BoxedStrategy<Exchange>> {
    [of_fixed_length(), vec![diagnostics(), canopen(), user_defined(), umas()]].concat()
}

/// The same, some of them refused.
pub fn any_exchange(functions: Vec<BoxedStrategy<Exchange>>) -> impl Strategy<Value = Exchange> {
    let exchange = proptest::strategy::Union::new(functions);
    (exchange, prop_oneof![3 => Just(0_u8), 1 => 1..=11_u8]).prop_map(|(exchange, code)| {
        let allows_parity_error = matches!(exchange.request[0], 20 | 21);
        match code {
            1..=6 | 10 | 11 => exchange.refused(code),
            8 if allows_parity_error => exchange.refused(8),
            _ => exchange,
        }
    })
}

/// CRC-16 of a serial line, bit by bit (SERIAL V1.02, 6.2.2).
pub fn crc(bytes: &[u8]) -> [u8; 2] {
    let mut register = 0xffff_u16;
    for byte in bytes {
        register ^= u16::from(*byte);
        for _ in 0..8 {
            let carry = register & 1;
            register >>= 1;
            register ^= carry * 0xa001;
        }
    }
    register.to_le_bytes()
}

/// How messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carriage {
    Tcp,
    Udp,
    RtuOverTcp,
}

impl Carriage {
    pub fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::RtuOverTcp => "rtu_over_tcp",
        }
    }

    /// The application data unit around a protocol data unit.
    pub fn adu(self, transaction: u16, unit: u8, pdu: &[u8]) -> Vec<u8> {
        if self == Self::RtuOverTcp {
            let body = [&[unit], pdu].concat();
            let check = crc(&body);
            return [&body[..], &check].concat();
        }
        let length = pdu.len() as u16 + 1;
        [&transaction.to_be_bytes()[..], &[0, 0], &length.to_be_bytes(), &[unit], pdu].concat()
    }
}
