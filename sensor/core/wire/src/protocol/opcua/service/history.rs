//! Attribute service set (OPC 10000-4, 5.11): HistoryRead and HistoryUpdate, with the details of OPC 10000-11, 6.

use super::{AggregateConfiguration, EventFilter, Operand, Out};
use crate::protocol::opcua::binary::{
    Body, Decode, ExtensionObject, Fault, List, NodeId, QualifiedName, Reader, Text, Variant, structure,
};

/// Binary encodings (OPC 10000-6, annex A).
const READ_EVENT: u32 = 646;
const READ_RAW_MODIFIED: u32 = 649;
const READ_PROCESSED: u32 = 652;
const READ_AT_TIME: u32 = 655;
const READ_ANNOTATION_DATA: u32 = 23500;
const HISTORY_DATA: u32 = 658;
const HISTORY_EVENT: u32 = 661;
const HISTORY_MODIFIED_DATA: u32 = 11227;
const UPDATE_DATA: u32 = 682;
const UPDATE_EVENT: u32 = 685;
const DELETE_RAW_MODIFIED: u32 = 688;
const DELETE_AT_TIME: u32 = 691;
const DELETE_EVENT: u32 = 694;
const UPDATE_STRUCTURE_DATA: u32 = 11300;

const DETAILS: &str = "OPC 10000-11, 6.5";
const DATA: &str = "OPC 10000-11, 6.6";
const UPDATES: &str = "OPC 10000-11, 6.9";

structure! {
    /// Raw or modified values of a time span (OPC 10000-11, 6.5.3).
    pub struct ReadRawModified {
        /// Whether values that were replaced or deleted are wanted.
        pub is_modified: bool,
        /// Start, nanoseconds since 1970.
        pub start_time: Option<i64>,
        /// End, nanoseconds since 1970.
        pub end_time: Option<i64>,
        /// Most values of a node; 0 is no limit.
        pub max_values: u32,
        /// Whether values at the bounds are wanted.
        pub return_bounds: bool,
    }
}

structure! {
    /// Aggregates of a time span (OPC 10000-11, 6.5.4).
    pub struct ReadProcessed<'a> {
        /// Start, nanoseconds since 1970.
        pub start_time: Option<i64>,
        /// End, nanoseconds since 1970.
        pub end_time: Option<i64>,
        /// Interval of an aggregate, milliseconds.
        pub processing_interval: f64,
        /// The aggregate for each node.
        pub aggregates: List<'a, NodeId<'a>>,
        /// How they are computed.
        pub configuration: AggregateConfiguration,
    }
}

structure! {
    /// Values at times (OPC 10000-11, 6.5.5).
    pub struct ReadAtTime<'a> {
        /// The times.
        pub times: List<'a, Option<i64>>,
        /// Whether values between others are computed from the nearest ones.
        pub use_simple_bounds: bool,
    }
}

structure! {
    /// Events of a time span (OPC 10000-11, 6.5.2).
    pub struct ReadEvent<'a> {
        /// Most events of a node; 0 is no limit.
        pub max_values: u32,
        /// Start, nanoseconds since 1970.
        pub start_time: Option<i64>,
        /// End, nanoseconds since 1970.
        pub end_time: Option<i64>,
        /// Which events, and which of their fields.
        pub filter: EventFilter<'a>,
    }
}

/// What history is asked for (OPC 10000-11, 6.5).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum HistoryDetails<'a> {
    /// Raw or modified values.
    RawModified(ReadRawModified),
    /// Aggregates.
    Processed(ReadProcessed<'a>),
    /// Values at times.
    AtTime(ReadAtTime<'a>),
    /// Events.
    Event(ReadEvent<'a>),
    /// Annotations at times.
    AnnotationData(List<'a, Option<i64>>),
    /// A type that is not decoded.
    Other(ExtensionObject<'a>),
}

impl<'a> Decode<'a> for HistoryDetails<'a> {
    const LEAST: usize = ExtensionObject::LEAST;

    fn decode(reader: &mut Reader<'a>) -> Result<Self, Fault> {
        let object = ExtensionObject::decode(reader)?;
        let Body::Binary(body) = object.body else { return Ok(Self::Other(object)) };
        match object.type_id.standard_number() {
            Some(READ_RAW_MODIFIED) => reader.within(body, DETAILS, ReadRawModified::decode).map(Self::RawModified),
            Some(READ_PROCESSED) => reader.within(body, DETAILS, ReadProcessed::decode).map(Self::Processed),
            Some(READ_AT_TIME) => reader.within(body, DETAILS, ReadAtTime::decode).map(Self::AtTime),
            Some(READ_EVENT) => reader.within(body, DETAILS, ReadEvent::decode).map(Self::Event),
            Some(READ_ANNOTATION_DATA) => reader.within(body, DETAILS, List::decode).map(Self::AnnotationData),
            _ => Ok(Self::Other(object)),
        }
    }
}

structure! {
    /// A node whose history is read (5.11.3.2).
    pub struct HistoryReadItem<'a> {
        /// The node.
        pub node: NodeId<'a>,
        /// Part of an array, as `1:3`; null is all of it.
        pub index_range: Text<'a>,
        /// Encoding wanted of a structure.
        pub data_encoding: QualifiedName<'a>,
        /// Where an earlier response ended.
        pub continuation_point: Text<'a>,
    }
}

structure! {
    /// Who changed a value of a history, and when (OPC 10000-11, 6.6.3).
    pub struct ModificationInfo<'a> {
        /// When, nanoseconds since 1970.
        pub time: Option<i64>,
        /// 1 insert, 2 replace, 3 update, 4 delete.
        pub update_type: u32,
        /// Who.
        pub user_name: Text<'a>,
    }
}

/// What an update does to a history (OPC 10000-11, 6.9).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum HistoryAction<'a> {
    /// Values follow: 1 insert, 2 replace, 3 update, 4 remove.
    Data(u32),
    /// Structured values, as annotations, follow: 1 insert, 2 replace, 3 update, 4 remove.
    StructureData(u32),
    /// Events follow, with these fields: 1 insert, 2 replace, 3 update.
    Event(u32, EventFilter<'a>),
    /// Deletes a time span.
    DeleteRawModified {
        /// Of the values that were replaced or deleted.
        is_modified: bool,
        /// Start, nanoseconds since 1970.
        start_time: Option<i64>,
        /// End, nanoseconds since 1970.
        end_time: Option<i64>,
    },
    /// Deletes the values at times.
    DeleteAtTime(List<'a, Option<i64>>),
    /// Deletes events by their ids.
    DeleteEvent(List<'a, Text<'a>>),
    /// A type that the specification does not define, or in XML: not even the node is read.
    Other(ExtensionObject<'a>),
}

/// One update of a history (OPC 10000-11, 6.9). Its values and events are operands of their own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HistoryUpdate<'a> {
    /// The node.
    pub node: NodeId<'a>,
    /// What is done.
    pub action: HistoryAction<'a>,
}

pub(super) fn read_request<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    let details = reader.read()?;
    let timestamps = reader.u32()?;
    let release = reader.boolean()?;
    out.say(Operand::HistoryOptions { details, timestamps, release });
    out.each(reader, Operand::HistoryReadItem)
}

pub(super) fn read_response<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    let count = reader.array_length(11)?;
    out.count(count);
    for _ in 0..count {
        let status = reader.status_code()?;
        let continuation_point = reader.byte_string()?;
        out.say(Operand::HistoryResult { status, continuation_point });
        let object = ExtensionObject::decode(reader)?;
        match (object.type_id.standard_number(), object.body) {
            (Some(HISTORY_DATA), Body::Binary(body)) => reader.within(body, DATA, |inner| history_values(inner, out))?,
            (Some(HISTORY_MODIFIED_DATA), Body::Binary(body)) => reader.within(body, DATA, |inner| {
                history_values(inner, out)?;
                inner.each(|info| out.say(Operand::HistoryModification(info))).map(drop)
            })?,
            (Some(HISTORY_EVENT), Body::Binary(body)) => reader.within(body, DATA, |inner| history_events(inner, out))?,
            _ if object.is_null() => {}
            _ => out.say(Operand::Unknown(object)),
        }
    }
    out.diagnostics(reader)
}

fn history_values<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    reader.each(|value| out.say(Operand::HistoryValue(value))).map(drop)
}

fn history_events<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    reader.each(|fields: List<'a, Variant<'a>>| out.say(Operand::HistoryEvent { fields })).map(drop)
}

pub(super) fn update_request<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    let count = reader.array_length(ExtensionObject::LEAST)?;
    out.count(count);
    for _ in 0..count {
        let object = ExtensionObject::decode(reader)?;
        match (object.type_id.standard_number(), object.body) {
            (
                Some(
                    kind @ (UPDATE_DATA
                    | UPDATE_STRUCTURE_DATA
                    | UPDATE_EVENT
                    | DELETE_RAW_MODIFIED
                    | DELETE_AT_TIME
                    | DELETE_EVENT),
                ),
                Body::Binary(body),
            ) => reader.within(body, UPDATES, |inner| update(kind, inner, out))?,
            _ => {
                out.say(Operand::HistoryUpdate(HistoryUpdate { node: NodeId::standard(0), action: HistoryAction::Other(object) }))
            }
        }
    }
    Ok(())
}

fn update<'a>(kind: u32, reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    let node = reader.read()?;
    let action = match kind {
        UPDATE_DATA => HistoryAction::Data(reader.u32()?),
        UPDATE_STRUCTURE_DATA => HistoryAction::StructureData(reader.u32()?),
        UPDATE_EVENT => HistoryAction::Event(reader.u32()?, reader.read()?),
        DELETE_RAW_MODIFIED => HistoryAction::DeleteRawModified {
            is_modified: reader.boolean()?,
            start_time: reader.date_time()?,
            end_time: reader.date_time()?,
        },
        DELETE_AT_TIME => HistoryAction::DeleteAtTime(reader.read()?),
        _ => HistoryAction::DeleteEvent(reader.read()?),
    };
    out.say(Operand::HistoryUpdate(HistoryUpdate { node, action }));
    match action {
        HistoryAction::Data(_) | HistoryAction::StructureData(_) => history_values(reader, out),
        HistoryAction::Event(..) => history_events(reader, out),
        _ => Ok(()),
    }
}

pub(super) fn update_response<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    let count = reader.array_length(12)?;
    out.count(count);
    for _ in 0..count {
        let status = reader.status_code()?;
        out.say(Operand::HistoryUpdateResult { status });
        reader.each(|status| out.say(Operand::HistoryOperationStatus(status)))?;
        out.diagnostics(reader)?;
    }
    out.diagnostics(reader)
}
