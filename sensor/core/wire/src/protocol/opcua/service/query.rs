//! Query service set (OPC 10000-4, 5.10).

use super::{ContentFilter, ContentFilterResult, Operand, Out, RelativePathElement};
use crate::protocol::opcua::binary::{DiagnosticInfo, ExpandedNodeId, Fault, List, Reader, Text, Variant, structure};

structure! {
    /// A value wanted of each node found (5.10.3.2).
    pub struct QueryDataDescription<'a> {
        /// Path from the node.
        pub path: List<'a, RelativePathElement<'a>>,
        /// The attribute.
        pub attribute: u32,
        /// Part of the value.
        pub index_range: Text<'a>,
    }
}

structure! {
    /// A type of nodes wanted (5.10.3.2).
    pub struct QueryNodeType<'a> {
        /// The type.
        pub type_definition: ExpandedNodeId<'a>,
        /// Whether its subtypes are wanted too.
        pub include_subtypes: bool,
        /// Values wanted.
        pub data: List<'a, QueryDataDescription<'a>>,
    }
}

structure! {
    /// A node found, with the values asked for (7.28).
    pub struct QueryDataSet<'a> {
        /// The node.
        pub node: ExpandedNodeId<'a>,
        /// Its type.
        pub type_definition: ExpandedNodeId<'a>,
        /// The values.
        pub values: List<'a, Variant<'a>>,
    }
}

structure! {
    /// What is wrong with a type of nodes wanted (5.10.3.2).
    pub struct ParsingResult<'a> {
        /// Status of the type.
        pub status: u32,
        /// Status of each value.
        pub data: List<'a, u32>,
        /// Diagnostics of each value.
        pub diagnostics: List<'a, DiagnosticInfo<'a>>,
    }
}

structure! {
    /// Condition and limits of a query (5.10.3.2).
    pub struct QueryOptions<'a> {
        /// Condition on nodes.
        pub filter: ContentFilter<'a>,
        /// Most nodes in a response; 0 is no limit.
        pub max_data_sets: u32,
        /// Most references of a node; 0 is no limit.
        pub max_references: u32,
    }
}

pub(super) fn first_request<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    let view = reader.read()?;
    out.say(Operand::QueryView(view));
    out.each(reader, Operand::QueryNodeType)?;
    let options = reader.read()?;
    out.say(Operand::QueryOptions(options));
    Ok(())
}

pub(super) fn first_response<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    next_response(reader, out)?;
    reader.each(|result| out.say(Operand::QueryParsing(result)))?;
    out.diagnostics(reader)?;
    let result: ContentFilterResult<'a> = reader.read()?;
    out.say(Operand::QueryFilterResult(result));
    Ok(())
}

pub(super) fn next_request<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    let release = reader.boolean()?;
    let continuation_point = reader.byte_string()?;
    out.one(Operand::QueryNext { release, continuation_point });
    Ok(())
}

pub(super) fn next_response<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    out.each(reader, Operand::QueryDataSet)?;
    let continuation_point = reader.byte_string()?;
    out.say(Operand::QueryContinuation(continuation_point));
    Ok(())
}
