//! Attribute service set (OPC 10000-4, 5.11): Read and Write. Histories are in `history`.

use super::{Operand, Out};
use crate::protocol::opcua::binary::{DataValue, Decode, Fault, NodeId, QualifiedName, Reader, Text, structure};

structure! {
    /// An attribute to read or to monitor (7.29).
    pub struct ReadItem<'a> {
        /// The node.
        pub node: NodeId<'a>,
        /// The attribute (OPC 10000-6, annex A.1); `attribute_name` has its name.
        pub attribute: u32,
        /// Part of an array, as `1:3`; null is all of it.
        pub index_range: Text<'a>,
        /// Encoding wanted of a structure.
        pub data_encoding: QualifiedName<'a>,
    }
}

structure! {
    /// An attribute to write (5.11.4.2).
    pub struct WriteItem<'a> {
        /// The node.
        pub node: NodeId<'a>,
        /// The attribute (OPC 10000-6, annex A.1); `attribute_name` has its name.
        pub attribute: u32,
        /// Part of an array, as `1:3`; null is all of it.
        pub index_range: Text<'a>,
        /// The value, with status and times if the client sets them.
        pub value: DataValue<'a>,
    }
}

/// Name of an attribute by its number (OPC 10000-6, annex A.1). `None`: no such attribute.
pub fn attribute_name(number: u32) -> Option<&'static str> {
    const NAMES: [&str; 27] = [
        "NodeId",
        "NodeClass",
        "BrowseName",
        "DisplayName",
        "Description",
        "WriteMask",
        "UserWriteMask",
        "IsAbstract",
        "Symmetric",
        "InverseName",
        "ContainsNoLoops",
        "EventNotifier",
        "Value",
        "DataType",
        "ValueRank",
        "ArrayDimensions",
        "AccessLevel",
        "UserAccessLevel",
        "MinimumSamplingInterval",
        "Historizing",
        "Executable",
        "UserExecutable",
        "DataTypeDefinition",
        "RolePermissions",
        "UserRolePermissions",
        "AccessRestrictions",
        "AccessLevelEx",
    ];
    NAMES.get(usize::try_from(number.checked_sub(1)?).ok()?).copied()
}

pub(super) fn read_request<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    let max_age = reader.f64()?;
    let timestamps = reader.u32()?;
    out.say(Operand::ReadOptions { max_age, timestamps });
    out.each(reader, Operand::ReadItem)
}

pub(super) fn read_response<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    out.each(reader, Operand::ReadResult)?;
    out.diagnostics(reader)
}

pub(super) fn write_request<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    let count = reader.array_length(WriteItem::LEAST)?;
    out.count(count);
    for _ in 0..count {
        let (node, attribute, index_range) = (reader.read()?, reader.u32()?, reader.string()?);
        // Where a value goes is told even where the value is not all there: it may be longer than what is kept of a message.
        let value = DataValue::decode(reader);
        out.say(Operand::WriteItem(WriteItem { node, attribute, index_range, value: value.unwrap_or_default() }));
        value?;
    }
    Ok(())
}
