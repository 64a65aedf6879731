//! Function codes: names, what they do, and the length that a message of theirs must have.

use crate::protocol::Side;
use crate::record::table::{Access, Exception, Function};

/// Bit of the function code that marks an exception (MAP, 4.1).
pub const EXCEPTION: u8 = 0x80;
/// Schneider's UMAS, a user function outside of the public ranges.
pub const UMAS: u8 = 90;
/// Encapsulated interface transport (MAP, 6.19).
pub const ENCAPSULATED: u8 = 43;
/// MEI type of device identification (MAP, 6.21).
pub const DEVICE_IDENTIFICATION: u8 = 14;
/// MEI type of CANopen (MAP, 6.20).
pub const CANOPEN: u8 = 13;

/// Name of a function code without its exception bit.
pub fn name(code: u8) -> Function {
    match code {
        1 => Function::ReadCoils,
        2 => Function::ReadDiscreteInputs,
        3 => Function::ReadHoldingRegisters,
        4 => Function::ReadInputRegisters,
        5 => Function::WriteSingleCoil,
        6 => Function::WriteSingleRegister,
        7 => Function::ReadExceptionStatus,
        8 => Function::Diagnostics,
        11 => Function::GetCommEventCounter,
        12 => Function::GetCommEventLog,
        15 => Function::WriteMultipleCoils,
        16 => Function::WriteMultipleRegisters,
        17 => Function::ReportServerId,
        20 => Function::ReadFileRecord,
        21 => Function::WriteFileRecord,
        22 => Function::MaskWriteRegister,
        23 => Function::ReadWriteMultipleRegisters,
        24 => Function::ReadFifoQueue,
        ENCAPSULATED => Function::EncapsulatedInterfaceTransport,
        UMAS => Function::Umas,
        65..=72 | 100..=110 => Function::UserDefined,
        _ => Function::Reserved,
    }
}

/// What a request of this function does to the device.
pub fn access(code: u8) -> Access {
    match code {
        1..=4 | 20 | 24 => Access::Read,
        5 | 6 | 15 | 16 | 21 | 22 => Access::Write,
        23 => Access::ReadWrite,
        7 | 8 | 11 | 12 | 17 | ENCAPSULATED => Access::Diagnostic,
        _ => Access::Other,
    }
}

/// Name of an exception code (MAP, 7).
pub fn exception(code: u8) -> Exception {
    match code {
        1 => Exception::IllegalFunction,
        2 => Exception::IllegalDataAddress,
        3 => Exception::IllegalDataValue,
        4 => Exception::ServerDeviceFailure,
        5 => Exception::Acknowledge,
        6 => Exception::ServerDeviceBusy,
        7 => Exception::NegativeAcknowledge,
        8 => Exception::MemoryParityError,
        10 => Exception::GatewayPathUnavailable,
        11 => Exception::GatewayTargetFailed,
        _ => Exception::Other,
    }
}

/// The clause that describes a function.
pub fn clause(code: u8) -> &'static str {
    match code {
        1 => "MAP V1.1b3, 6.1",
        2 => "MAP V1.1b3, 6.2",
        3 => "MAP V1.1b3, 6.3",
        4 => "MAP V1.1b3, 6.4",
        5 => "MAP V1.1b3, 6.5",
        6 => "MAP V1.1b3, 6.6",
        7 => "MAP V1.1b3, 6.7",
        8 => "MAP V1.1b3, 6.8",
        11 => "MAP V1.1b3, 6.9",
        12 => "MAP V1.1b3, 6.10",
        15 => "MAP V1.1b3, 6.11",
        16 => "MAP V1.1b3, 6.12",
        17 => "MAP V1.1b3, 6.13",
        20 => "MAP V1.1b3, 6.14",
        21 => "MAP V1.1b3, 6.15",
        22 => "MAP V1.1b3, 6.16",
        23 => "MAP V1.1b3, 6.17",
        24 => "MAP V1.1b3, 6.18",
        ENCAPSULATED => "MAP V1.1b3, 6.19",
        _ => "MAP V1.1b3, 5",
    }
}

/// Length that the specification gives a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// So many bytes of protocol data unit.
    Exactly(usize),
    /// So many at least; what follows is free.
    AtLeast(usize),
    /// So many bytes are needed to tell.
    Needs(usize),
}

/// Length of a protocol data unit, function code included, from its first bytes.
#[inline]
pub fn length(side: Side, pdu: &[u8]) -> Length {
    let Some(&code) = pdu.first() else {
        return Length::Needs(1);
    };
    let counted = |at: usize, fixed: usize| match pdu.get(at) {
        Some(&count) => Length::Exactly(fixed + usize::from(count)),
        None => Length::Needs(at + 1),
    };
    if code & EXCEPTION != 0 {
        return match side {
            Side::Server => Length::Exactly(2),
            Side::Client => Length::AtLeast(1),
        };
    }
    match (side, code) {
        (_, 5 | 6) | (Side::Client, 1..=4) | (Side::Server, 11 | 15 | 16) => Length::Exactly(5),
        (Side::Server, 1..=4 | 12 | 17 | 20 | 23) | (_, 21) | (Side::Client, 20) => counted(1, 2),
        (Side::Client, 7 | 11 | 12 | 17) => Length::Exactly(1),
        (Side::Server, 7) => Length::Exactly(2),
        // Sub-function 0 echoes any number of words (MAP, 6.8); the others have one.
        (_, 8) => match pdu {
            [_, 0, 0, ..] => Length::AtLeast(3),
            [_, _, _, ..] => Length::Exactly(5),
            _ => Length::Needs(3),
        },
        (Side::Client, 15 | 16) => counted(5, 6),
        (_, 22) => Length::Exactly(7),
        (Side::Client, 23) => counted(9, 10),
        (Side::Client, 24) => Length::Exactly(3),
        (Side::Server, 24) => match pdu {
            [_, high, low, ..] => Length::Exactly(3 + usize::from(u16::from_be_bytes([*high, *low]))),
            _ => Length::Needs(3),
        },
        (Side::Client, ENCAPSULATED) => match pdu.get(1) {
            Some(&DEVICE_IDENTIFICATION) => Length::Exactly(4),
            Some(_) => Length::AtLeast(2),
            None => Length::Needs(2),
        },
        (Side::Server, ENCAPSULATED) => match pdu.get(1) {
            Some(&DEVICE_IDENTIFICATION) => identification_length(pdu),
            Some(_) => Length::AtLeast(2),
            None => Length::Needs(2),
        },
        _ => Length::AtLeast(1),
    }
}

/// The objects of a device identification say their own lengths (MAP, 6.21).
fn identification_length(pdu: &[u8]) -> Length {
    let Some(&count) = pdu.get(6) else {
        return Length::Needs(7);
    };
    let mut end = 7;
    for _ in 0..count {
        match pdu.get(end + 1) {
            Some(&length) => end += 2 + usize::from(length),
            None => return Length::Needs(end + 2),
        }
    }
    Length::Exactly(end)
}

/// Whether a code can stand in a request: public, or in a user-defined range (MAP, 5).
pub fn is_public(code: u8) -> bool {
    matches!(name(code), function if function != Function::Reserved)
}
