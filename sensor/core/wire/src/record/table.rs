//! The tables: which columns there are and how a row goes in. `sensor/tables.py` declares the same; a test compares them.

use arrow_array::ArrayRef;
use arrow_array::types::{DurationNanosecondType, Float64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use arrow_schema::Field;

use super::column::{
    Binaries, Choice, Column, Element, Flags, Grow, Name, Names, Number, Optional, StructLists, Texts, WordLists, Words,
};
use super::party::{Common, Parties, PartyKey};
use crate::choice;
pub use crate::protocol::signature::Application;

macro_rules! table {
    ($(#[$meta:meta])* $table:ident = $name:literal, row $row:ident $(<$lifetime:lifetime>)? {
        $($(#[$column_meta:meta])* $column:ident: $kind:ty = $column_name:literal $nullable:ident <- $value:ty),* $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Default)]
        pub struct $table {
            common: Common,
            $($(#[$column_meta])* #[doc = concat!("Column `", $column_name, "`.")] pub $column: $kind),*
        }

        #[doc = concat!("One row of table `", $name, "`.")]
        #[derive(Clone, Copy, Debug)]
        pub struct $row $(<$lifetime>)? {
            $($(#[$column_meta])* #[doc = concat!("Value of column `", $column_name, "`.")] pub $column: $value),*
        }

        impl $table {
            /// Adds a row.
            #[inline]
            pub fn push(&mut self, ts: i64, party: PartyKey, row: &$row) {
                let at = self.common.push(ts, party);
                $(self.$column.grow(at, row.$column);)*
            }
        }

        impl Table for $table {
            fn name(&self) -> &'static str {
                $name
            }
            fn rows(&self) -> usize {
                self.common.rows()
            }
            fn variable_bytes(&self) -> usize {
                0 $(+ self.$column.variable_bytes())*
            }
            fn columns(&self) -> Vec<(&'static str, bool, &dyn Column)> {
                vec![$(($column_name, table!(@nullable $nullable), &self.$column as &dyn Column)),*]
            }
            fn clear(&mut self) {
                self.common.clear();
                $(self.$column.clear();)*
            }
            fn finish(&mut self, parties: &Parties) -> Vec<ArrayRef> {
                let rows = self.common.rows();
                let mut arrays = self.common.finish(parties);
                $(arrays.push(self.$column.finish(rows));)*
                arrays
            }
        }
    };
    (@nullable required) => { false };
    (@nullable nullable) => { true };
}

pub mod opcua;

/// What every table can do.
pub trait Table {
    /// Name of the table.
    fn name(&self) -> &'static str;
    /// Rows since the last cut.
    fn rows(&self) -> usize;
    /// Bytes of variable-width values since the last cut.
    fn variable_bytes(&self) -> usize;
    /// The table's own columns: name, nullable, column.
    fn columns(&self) -> Vec<(&'static str, bool, &dyn Column)>;
    /// Drops the rows.
    fn clear(&mut self);
    /// Takes the rows out, the common columns first.
    fn finish(&mut self, parties: &Parties) -> Vec<ArrayRef>;

    /// Names, kinds and Arrow fields of all columns, the common ones first.
    fn fields(&self) -> Vec<(&'static str, &'static str, Field)> {
        let mut fields = Common::fields();
        fields.extend(
            self.columns()
                .into_iter()
                .map(|(name, nullable, column)| (name, column.kind(), Field::new(name, column.data_type(), nullable))),
        );
        fields
    }
}

choice! {
    /// Transport protocol of a flow, or Ethernet where there is none above it.
    pub enum Transport { Tcp = "tcp", Udp = "udp", Ethernet = "ethernet" }
}

choice! {
    /// State of a flow.
    pub enum FlowState {
        Attempt = "attempt", Refused = "refused", HalfOpen = "half_open", Established = "established", Midstream = "midstream",
        OneSided = "one_sided", Closed = "closed", Reset = "reset", Expired = "expired", Datagrams = "datagrams",
    }
}

choice! {
    /// What a Modbus request does to the device.
    pub enum Access { Read = "read", Write = "write", ReadWrite = "read_write", Diagnostic = "diagnostic", Other = "other" }
}

choice! {
    /// Modbus function (Modbus Application Protocol V1.1b3, 5.1; 90 is Schneider's UMAS).
    pub enum Function {
        ReadCoils = "read_coils", ReadDiscreteInputs = "read_discrete_inputs", ReadHoldingRegisters = "read_holding_registers",
        ReadInputRegisters = "read_input_registers", WriteSingleCoil = "write_single_coil",
        WriteSingleRegister = "write_single_register", ReadExceptionStatus = "read_exception_status", Diagnostics = "diagnostics",
        GetCommEventCounter = "get_comm_event_counter", GetCommEventLog = "get_comm_event_log",
        WriteMultipleCoils = "write_multiple_coils", WriteMultipleRegisters = "write_multiple_registers",
        ReportServerId = "report_server_id", ReadFileRecord = "read_file_record", WriteFileRecord = "write_file_record",
        MaskWriteRegister = "mask_write_register", ReadWriteMultipleRegisters = "read_write_multiple_registers",
        ReadFifoQueue = "read_fifo_queue", EncapsulatedInterfaceTransport = "encapsulated_interface_transport", Umas = "umas",
        UserDefined = "user_defined", Reserved = "reserved",
    }
}

choice! {
    /// Modbus exception (Modbus Application Protocol V1.1b3, 7).
    pub enum Exception {
        IllegalFunction = "illegal_function", IllegalDataAddress = "illegal_data_address", IllegalDataValue = "illegal_data_value",
        ServerDeviceFailure = "server_device_failure", Acknowledge = "acknowledge", ServerDeviceBusy = "server_device_busy",
        NegativeAcknowledge = "negative_acknowledge", MemoryParityError = "memory_parity_error",
        GatewayPathUnavailable = "gateway_path_unavailable",
        GatewayTargetFailed = "gateway_target_device_failed_to_respond", Other = "other",
    }
}

choice! {
    /// Which halves of an exchange were seen.
    pub enum Pairing { Both = "both", Request = "request", Response = "response" }
}

choice! {
    /// Modbus framing on the wire.
    pub enum Encapsulation { Tcp = "tcp", RtuOverTcp = "rtu_over_tcp", Udp = "udp" }
}

choice! {
    /// How a point's value was seen.
    pub enum PointAccess { Read = "read", Write = "write", Notify = "notify" }
}

choice! {
    /// Quality of a point's value.
    pub enum Quality { Good = "good", Uncertain = "uncertain", Bad = "bad" }
}

choice! {
    /// Protocol that carried a point's value.
    pub enum PointProtocol { Modbus = "modbus", Opcua = "opcua" }
}

choice! {
    /// What was learned about a device.
    pub enum Attribute {
        Vendor = "vendor", Product = "product", Version = "version", Serial = "serial", Name = "name", Role = "role",
        Protocol = "protocol", Os = "os", Address = "address", Fingerprint = "fingerprint",
    }
}

choice! {
    /// Layer of a broken rule.
    pub enum Layer {
        Capture = "capture", Link = "link", Network = "network", Transport = "transport", Application = "application",
    }
}

macro_rules! element {
    ($(#[$meta:meta])* $name:ident = $kind:literal, $item:ty { $($column:ident: $type:ty),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Default)]
        pub struct $name { $($column: $type),* }
        impl Element for $name {
            type Item<'a> = $item;
            const KIND: &'static str = $kind;
            fn columns(&mut self) -> Vec<(&'static str, &mut dyn Column)> {
                vec![$((stringify!($column), &mut self.$column as &mut dyn Column)),*]
            }
            fn push(&mut self, row: usize, item: Self::Item<'_>) {
                let ($($column),*) = item;
                $(self.$column.grow(row, $column);)*
            }
        }
    };
}

element! {
    /// A file record read or written: file, record, length in registers, data.
    FileRecords = "list<file_record>", (u16, u16, u16, &'a [u8]) {
        file: Number<UInt16Type>, record: Number<UInt16Type>, length: Number<UInt16Type>, data: Binaries,
    }
}

element! {
    /// An identification object: object identifier, value.
    DeviceObjects = "list<device_object>", (u8, &'a str) { object: Number<UInt8Type>, value: Texts }
}

element! {
    /// A named counter.
    NamedCounters = "list<counter>", (&'a str, u64) { name: Texts, count: Number<UInt64Type> }
}

table! {
    /// A conversation at its end, and its state each minute.
    Flow = "flow", row FlowRow<'a> {
        transport: Choice<Transport> = "network.transport" required <- Transport,
        application: Choice<Application> = "network.application" nullable <- Option<Application>,
        bytes_out: Number<UInt64Type> = "flow.bytes_out" required <- u64,
        bytes_in: Number<UInt64Type> = "flow.bytes_in" required <- u64,
        packets_out: Number<UInt64Type> = "flow.packets_out" required <- u64,
        packets_in: Number<UInt64Type> = "flow.packets_in" required <- u64,
        state: Choice<FlowState> = "flow.state" required <- FlowState,
        retransmissions: Number<UInt32Type> = "flow.retransmissions" required <- u32,
        gaps: Number<UInt32Type> = "flow.gaps" required <- u32,
        duration: Number<DurationNanosecondType> = "flow.duration" required <- i64,
        is_final: Flags = "flow.final" required <- bool,
        server_name: Names = "tls.server_name" nullable <- Option<&'a str>,
    }
}

table! {
    /// One Modbus request with its response.
    Modbus = "modbus", row ModbusRow<'a> {
        transaction_id: Optional<UInt16Type> = "modbus.transaction_id" nullable <- Option<u16>,
        unit_id: Number<UInt8Type> = "modbus.unit_id" required <- u8,
        function_code: Number<UInt8Type> = "modbus.function_code" required <- u8,
        function: Choice<Function> = "modbus.function" required <- Function,
        sub_function: Optional<UInt16Type> = "modbus.sub_function" nullable <- Option<u16>,
        access: Choice<Access> = "modbus.access" required <- Access,
        address: Optional<UInt16Type> = "modbus.address" nullable <- Option<u16>,
        quantity: Optional<UInt16Type> = "modbus.quantity" nullable <- Option<u16>,
        values: WordLists = "modbus.values" nullable <- Words<'a>,
        write_address: Optional<UInt16Type> = "modbus.write_address" nullable <- Option<u16>,
        write_quantity: Optional<UInt16Type> = "modbus.write_quantity" nullable <- Option<u16>,
        write_values: WordLists = "modbus.write_values" nullable <- Words<'a>,
        and_mask: Optional<UInt16Type> = "modbus.and_mask" nullable <- Option<u16>,
        or_mask: Optional<UInt16Type> = "modbus.or_mask" nullable <- Option<u16>,
        file_records: StructLists<FileRecords> = "modbus.file_records" nullable <- Option<&'a [(u16, u16, u16, &'a [u8])]>,
        mei_type: Optional<UInt8Type> = "modbus.mei_type" nullable <- Option<u8>,
        device_id: StructLists<DeviceObjects> = "modbus.device_id" nullable <- Option<&'a [(u8, &'a str)]>,
        data: Binaries = "modbus.data" nullable <- [Option<&'a [u8]>; 2],
        exception_code: Optional<UInt8Type> = "modbus.exception_code" nullable <- Option<u8>,
        exception: Choice<Exception> = "modbus.exception" nullable <- Option<Exception>,
        response_time: Optional<DurationNanosecondType> = "modbus.response_time" nullable <- Option<i64>,
        pairing: Choice<Pairing> = "modbus.pairing" required <- Pairing,
        encapsulation: Choice<Encapsulation> = "modbus.encapsulation" required <- Encapsulation,
        bytes: Number<UInt32Type> = "modbus.bytes" required <- u32,
    }
}

table! {
    /// An observed value of a process point: when it changes, and once a minute.
    Point = "point", row PointRow<'a> {
        id: Names = "point.id" required <- Name<'a>,
        name: Names = "point.name" nullable <- Option<&'a str>,
        number: Number<Float64Type> = "point.number" required <- f64,
        access: Choice<PointAccess> = "point.access" required <- PointAccess,
        quality: Choice<Quality> = "point.quality" required <- Quality,
        protocol: Choice<PointProtocol> = "network.protocol" required <- PointProtocol,
    }
}

table! {
    /// Something seen about a device: when it is first seen, and when it changes.
    Device = "device", row DeviceRow<'a> {
        mac: Names = "device.mac" nullable <- Option<&'a str>,
        ip: Names = "device.ip" nullable <- Option<&'a str>,
        attribute: Choice<Attribute> = "device.attribute" required <- Attribute,
        value: Names = "device.value" required <- &'a str,
        source: Names = "device.source" required <- &'a str,
        confidence: Number<Float64Type> = "device.confidence" required <- f64,
    }
}

table! {
    /// Something that breaks a protocol or the network's order.
    Violation = "violation", row ViolationRow<'a> {
        layer: Choice<Layer> = "violation.layer" required <- Layer,
        kind: Names = "violation.kind" required <- &'a str,
        clause: Names = "violation.clause" required <- &'a str,
        detail: Texts = "violation.detail" required <- &'a str,
        bytes: Binaries = "violation.bytes" required <- &'a [u8],
        protocol: Names = "network.protocol" required <- &'a str,
    }
}

table! {
    /// A sensor's state every 10 s.
    Sensor = "sensor", row SensorRow<'a> {
        packets: Number<UInt64Type> = "sensor.packets" required <- u64,
        bytes: Number<UInt64Type> = "sensor.bytes" required <- u64,
        drops: StructLists<NamedCounters> = "sensor.drops" required <- Option<&'a [(&'a str, u64)]>,
        flows: Number<UInt32Type> = "sensor.flows" required <- u32,
        memory: Number<UInt64Type> = "sensor.memory" required <- u64,
        spool_depth: Optional<UInt64Type> = "sensor.spool_depth" nullable <- Option<u64>,
        clock_offset: Optional<DurationNanosecondType> = "sensor.clock_offset" nullable <- Option<i64>,
        bytes_written: Optional<UInt64Type> = "sensor.bytes_written" nullable <- Option<u64>,
        version: Names = "sensor.version" required <- &'a str,
    }
}
