//! The record tables: rows go in one by one, Arrow batches come out at each cut.
//!
//! All tables are cut together, when one of them is full or the caller says so; the batches of one cut cover the same packets.
//!
//! ```
//! use wire::record::{Identity, Party, Records};
//! use wire::record::table::{Layer, ViolationRow};
//!
//! let mut records = Records::new(Identity::default(), 0);
//! let party = records.parties.add(Party::default());
//! let row = ViolationRow {
//!     layer: Layer::Link, kind: "short_frame", clause: "IEEE 802.3-2022, 3.1.1", detail: "expected 14 bytes, seen 3", bytes: b"\x01\x02\x03",
//!     protocol: "ethernet",
//! };
//! records.violation.push(1_000, party, &row);
//! let batches = records.cut(2_000);
//! assert_eq!((batches[0].table, batches[0].records.num_rows(), batches[0].cut_last), ("violation", 1, true));
//! ```

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};
use arrow_schema::{ArrowError, Field, Schema};

pub mod column;
mod digits;
mod party;
pub mod table;

pub use digits::{push_decimal, push_hexadecimal};
pub use party::{Parties, Party, PartyCache, PartyKey, mac_text};
use table::opcua::{Opcua, OpcuaItem, PubSub};
use table::{Device, Flow, Modbus, Point, Sensor, Table, Violation};

/// Version of the tables (`sensor/tables.py`, SCHEMA_VERSION).
pub const SCHEMA_VERSION: u32 = 1;
/// Most rows in a batch.
pub const BATCH_ROWS: usize = 65_536;
/// Most uncompressed bytes in a batch.
pub const BATCH_BYTES: usize = 8 * 1024 * 1024;
/// Rows and bytes that one packet may still add once a batch counts as full: a cut happens between packets.
const PACKET_ROWS: usize = 2_048;
const PACKET_BYTES: usize = 512 * 1024;

/// Bytes that an encoded row takes as a rule: room for them is made at once.
const IPC_ROW_BYTES: usize = 16;

/// Where batches come from.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// Site that the sensor belongs to.
    pub site: String,
    /// Name of the sensor.
    pub sensor: String,
    /// 32 hexadecimal digits.
    pub epoch: String,
}

/// One batch of one table.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Name of the table.
    pub table: &'static str,
    /// Number within (sensor, epoch), over all tables.
    pub sequence: u64,
    /// Number of the cut.
    pub cut: u64,
    /// Packet clock at the end of the cut before, nanoseconds since 1970.
    pub cut_start: i64,
    /// Packet clock at the end of this cut.
    pub cut_end: i64,
    /// Whether this is the last batch of its cut.
    pub cut_last: bool,
    /// The rows, with the metadata in their schema.
    pub records: RecordBatch,
}

impl Batch {
    /// The batch as an Arrow IPC stream, lz4.
    ///
    /// # Errors
    /// Arrow refuses to write the batch.
    pub fn ipc(&self) -> Result<Vec<u8>, ArrowError> {
        let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME))?;
        let room = Vec::with_capacity(self.records.num_rows() * IPC_ROW_BYTES);
        let mut writer = StreamWriter::try_new_with_options(room, &self.records.schema(), options)?;
        writer.write(&self.records)?;
        writer.finish()?;
        writer.into_inner()
    }
}

/// All tables since the last cut.
pub struct Records {
    /// Table `flow`.
    pub flow: Flow,
    /// Table `modbus`.
    pub modbus: Modbus,
    /// Table `opcua`.
    pub opcua: Opcua,
    /// Table `opcua_item`.
    pub opcua_item: OpcuaItem,
    /// Table `pubsub`.
    pub pubsub: PubSub,
    /// Table `point`.
    pub point: Point,
    /// Table `device`.
    pub device: Device,
    /// Table `violation`.
    pub violation: Violation,
    /// Table `sensor`.
    pub sensor: Sensor,
    /// The parties of all rows.
    pub parties: Parties,
    identity: Identity,
    fields: HashMap<&'static str, (usize, Vec<Field>)>,
    sequence: u64,
    cut: u64,
    cut_start: i64,
}

impl Records {
    /// Empty tables whose first batch will have this sequence.
    pub fn new(identity: Identity, first_sequence: u64) -> Self {
        let mut records = Self {
            flow: Flow::default(),
            modbus: Modbus::default(),
            opcua: Opcua::default(),
            opcua_item: OpcuaItem::default(),
            pubsub: PubSub::default(),
            point: Point::default(),
            device: Device::default(),
            violation: Violation::default(),
            sensor: Sensor::default(),
            parties: Parties::default(),
            identity,
            fields: HashMap::new(),
            sequence: first_sequence,
            // A cut takes at least one sequence, so that a live source that goes on never uses a cut's number again.
            cut: first_sequence,
            cut_start: 0,
        };
        records.fields = records
            .tables()
            .into_iter()
            .map(|table| {
                let fields: Vec<Field> = table.fields().into_iter().map(|(_, _, field)| field).collect();
                (table.name(), (fields.iter().map(field_width).sum(), fields))
            })
            .collect();
        records
    }

    /// All tables, in the order in which a cut writes them.
    pub fn tables(&mut self) -> [&mut dyn Table; 9] {
        [
            &mut self.flow,
            &mut self.modbus,
            &mut self.opcua,
            &mut self.opcua_item,
            &mut self.pubsub,
            &mut self.point,
            &mut self.device,
            &mut self.violation,
            &mut self.sensor,
        ]
    }

    /// Number of cuts so far: keys that the columns gave are valid while it stands.
    pub fn cuts(&self) -> u64 {
        self.cut
    }

    /// Whether a table is so full that the next packet might not fit: time to cut. To be asked after each packet.
    #[inline]
    pub fn is_full(&self) -> bool {
        let full = |rows: usize, width: usize, variable: usize| {
            rows > BATCH_ROWS - PACKET_ROWS || rows * width + variable > BATCH_BYTES - PACKET_BYTES
        };
        full(self.modbus.rows(), MODBUS_WIDTH, self.modbus.variable_bytes())
            || self.opcua.rows() + self.opcua_item.rows() + self.pubsub.rows() > 0
                && (full(self.opcua.rows(), OPCUA_WIDTH, self.opcua.variable_bytes())
                    || full(self.opcua_item.rows(), ITEM_WIDTH, self.opcua_item.variable_bytes())
                    || full(self.pubsub.rows(), PUBSUB_WIDTH, self.pubsub.variable_bytes()))
            || full(self.point.rows(), POINT_WIDTH, self.point.variable_bytes())
            || full(self.violation.rows(), VIOLATION_WIDTH, self.violation.variable_bytes())
            || full(self.flow.rows(), FLOW_WIDTH, 0)
            || full(self.device.rows(), POINT_WIDTH, self.device.variable_bytes())
    }

    /// Takes out all rows: one batch for each table that has any, in the order of `tables`. `clock` is the packet clock now.
    ///
    /// # Panics
    /// Never: a batch that Arrow refuses is left out, which only a defect of the column builders could cause.
    pub fn cut(&mut self, clock: i64) -> Vec<Batch> {
        let clock = clock.max(self.cut_start);
        let parties = std::mem::take(&mut self.parties);
        let mut taken = Vec::new();
        for table in self.tables() {
            if table.rows() > 0 {
                taken.push((table.name(), table.finish(&parties)));
            }
        }
        self.parties = parties;
        self.parties.clear();
        let count = taken.len();
        let mut batches = Vec::with_capacity(count);
        for (position, (table, columns)) in taken.into_iter().enumerate() {
            let cut_last = position + 1 == count;
            let schema = self.schema(table, clock, cut_last);
            let batch = RecordBatch::try_new(Arc::new(schema), columns);
            debug_assert!(batch.is_ok(), "{table}: {:?}", batch.as_ref().err());
            if let Ok(records) = batch {
                let (sequence, cut, cut_start) = (self.sequence, self.cut, self.cut_start);
                batches.push(Batch { table, sequence, cut, cut_start, cut_end: clock, cut_last, records });
                self.sequence += 1;
            }
        }
        if count > 0 {
            self.cut += 1;
            self.cut_start = clock;
        }
        batches
    }

    /// Drops all rows and parties without making batches: the tables start anew in the memory that they have. Keys of parties and names are
    /// void, as behind a cut. A batch's number is used up, so that whoever counts sees that something is missing.
    pub fn clear(&mut self) {
        for table in self.tables() {
            if table.rows() > 0 {
                table.clear();
            }
        }
        self.parties.clear();
        self.cut += 1;
        self.sequence += 1;
    }

    /// Bytes held now, an estimate from rows and widths.
    pub fn bytes(&mut self) -> usize {
        let parties = self.parties.bytes();
        let widths: HashMap<&'static str, usize> = self.fields.iter().map(|(name, (width, _))| (*name, *width)).collect();
        let tables = self.tables().into_iter();
        tables.map(|table| table.rows() * widths.get(table.name()).copied().unwrap_or(0) + table.variable_bytes()).sum::<usize>()
            + parties
    }

    fn schema(&self, table: &'static str, clock: i64, cut_last: bool) -> Schema {
        let fields = self.fields.get(table).map(|(_, fields)| fields.clone()).unwrap_or_default();
        let metadata = [
            ("icsight.table", table.to_owned()),
            ("icsight.schema", SCHEMA_VERSION.to_string()),
            ("icsight.site", self.identity.site.clone()),
            ("icsight.sensor", self.identity.sensor.clone()),
            ("icsight.epoch", self.identity.epoch.clone()),
            ("icsight.sequence", self.sequence.to_string()),
            ("icsight.cut", self.cut.to_string()),
            ("icsight.cut_start", self.cut_start.to_string()),
            ("icsight.cut_end", clock.to_string()),
            ("icsight.cut_last", u8::from(cut_last).to_string()),
        ];
        Schema::new_with_metadata(
            fields,
            metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<HashMap<_, _>>(),
        )
    }
}

// Upper bounds of a row's fixed-width bytes; a test compares them with the schemas.
const MODBUS_WIDTH: usize = 192;
const OPCUA_WIDTH: usize = 288;
const ITEM_WIDTH: usize = 192;
const PUBSUB_WIDTH: usize = 160;
const POINT_WIDTH: usize = 96;
const VIOLATION_WIDTH: usize = 96;
const FLOW_WIDTH: usize = 160;

/// Bytes that a row of this field takes, offsets and validity included, variable values not.
fn field_width(field: &Field) -> usize {
    use arrow_schema::DataType;
    let width = match field.data_type() {
        DataType::Dictionary(key, _) => key.primitive_width().unwrap_or(4),
        DataType::Utf8 | DataType::Binary | DataType::List(_) => 4,
        other => other.primitive_width().unwrap_or(1),
    };
    width + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_width_bounds_cover_the_schemas() {
        let records = Records::new(Identity::default(), 0);
        for (table, bound) in [
            ("modbus", MODBUS_WIDTH),
            ("opcua", OPCUA_WIDTH),
            ("opcua_item", ITEM_WIDTH),
            ("pubsub", PUBSUB_WIDTH),
            ("point", POINT_WIDTH),
            ("violation", VIOLATION_WIDTH),
            ("flow", FLOW_WIDTH),
        ] {
            let width = records.fields[table].0;
            assert!(width <= bound && bound < width * 2, "{table}: {width} bytes a row, bound {bound}");
        }
    }

    #[test]
    fn a_batch_goes_through_arrow_ipc_and_comes_back_the_same() {
        use table::*;
        let mut records = Records::new(Identity { site: "w".into(), sensor: "s".into(), epoch: "0".repeat(32) }, 7);
        let party =
            records.parties.add(Party { client_port: Some(50_000), client_mac: Some([1, 2, 3, 4, 5, 0xff]), ..Party::default() });
        let file = [(4, 1, 2, &b"\x00\x01\x00\x02"[..])];
        let row = ModbusRow {
            transaction_id: Some(1),
            unit_id: 3,
            function_code: 3,
            function: Function::ReadHoldingRegisters,
            sub_function: None,
            access: Access::Read,
            address: Some(100),
            quantity: Some(2),
            values: column::Words::Registers(&[0, 1, 0xff, 0xfe]),
            write_address: None,
            write_quantity: None,
            write_values: column::Words::None,
            and_mask: None,
            or_mask: None,
            file_records: Some(&file),
            mei_type: None,
            device_id: Some(&[(0, "vendor")]),
            data: [Some(b"a"), Some(b"b")],
            exception_code: None,
            exception: None,
            response_time: Some(1_000),
            pairing: Pairing::Both,
            encapsulation: Encapsulation::Tcp,
            bytes: 25,
        };
        records.modbus.push(5, party, &row);
        records.modbus.push(6, party, &ModbusRow { values: column::Words::Bits(&[0b101], 3), ..row });
        let batches = records.cut(10);
        let [batch] = batches.as_slice() else { panic!("{} batches", batches.len()) };
        let bytes = batch.ipc().unwrap();
        let mut reader = arrow_ipc::reader::StreamReader::try_new(bytes.as_slice(), None).unwrap();
        let back = reader.next().unwrap().unwrap();
        assert_eq!(back, batch.records);
        assert_eq!(back.schema().metadata()["icsight.sequence"], "7");
        assert!(records.cut(11).is_empty());
        // What was dropped leaves a hole in the numbers, and nothing in the tables.
        records.modbus.push(7, party, &ModbusRow { device_id: Some(&[(1, "other")]), ..row });
        records.clear();
        let party = records.parties.add(Party { client_port: Some(50_000), ..Party::default() });
        records.modbus.push(8, party, &row);
        let again = &records.cut(12)[0];
        assert_eq!((again.sequence, again.cut, again.records.num_rows()), (9, 9, 1));
        let identification = |records: &RecordBatch| records.column_by_name("modbus.device_id").map(|lists| lists.slice(0, 1));
        assert_eq!(identification(&again.records), identification(&batch.records));
    }
}
