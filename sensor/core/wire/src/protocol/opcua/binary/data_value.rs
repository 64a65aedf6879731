//! DataValue: a value with its status and its times (OPC 10000-6, 5.2.2.17).

use super::{Decode, Fault, FaultKind, Reader, Variant};

const CLAUSE: &str = "OPC 10000-6, 5.2.2.17";

/// A value with its status and its times.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DataValue<'a> {
    /// The value, if there is one.
    pub value: Option<Variant<'a>>,
    /// Its status; 0 (Good) where it is not given.
    pub status: u32,
    /// When the source of the value took it, nanoseconds since 1970.
    pub source_time: Option<i64>,
    /// Tens of picoseconds to add to it.
    pub source_picoseconds: u16,
    /// When the server knew the value, nanoseconds since 1970.
    pub server_time: Option<i64>,
    /// Tens of picoseconds to add to it.
    pub server_picoseconds: u16,
}

impl<'a> Decode<'a> for DataValue<'a> {
    const LEAST: usize = 1;

    fn decode(reader: &mut Reader<'a>) -> Result<Self, Fault> {
        let mask = reader.u8()?;
        if mask & 0xC0 != 0 {
            reader.note(FaultKind::ReservedBits, CLAUSE);
        }
        let value = if mask & 0x01 == 0 {
            None
        } else if let Some(double) = Variant::double(reader) {
            Some(double)
        } else {
            Some(reader.deeper(Variant::decode)?)
        };
        let status = if mask & 0x02 != 0 { reader.status_code()? } else { 0 };
        let source_time = if mask & 0x04 != 0 { reader.date_time()? } else { None };
        let source_picoseconds = if mask & 0x10 != 0 { reader.u16()? } else { 0 };
        let server_time = if mask & 0x08 != 0 { reader.date_time()? } else { None };
        let server_picoseconds = if mask & 0x20 != 0 { reader.u16()? } else { 0 };
        Ok(Self { value, status, source_time, source_picoseconds, server_time, server_picoseconds })
    }
}
