//! View service set (OPC 10000-4, 5.9).

use super::{Operand, Out};
use crate::protocol::opcua::binary::{ExpandedNodeId, Fault, List, LocalizedText, NodeId, QualifiedName, Reader, structure};

structure! {
    /// A view to browse (7.45). A null view is the whole address space.
    pub struct ViewDescription<'a> {
        /// The view.
        pub view: NodeId<'a>,
        /// The time at which it is looked at, nanoseconds since 1970.
        pub timestamp: Option<i64>,
        /// Its version.
        pub version: u32,
    }
}

structure! {
    /// A node to browse (5.9.2.2).
    pub struct Browse<'a> {
        /// The node.
        pub node: NodeId<'a>,
        /// 0 forward, 1 inverse, 2 both.
        pub direction: u32,
        /// Type of references to follow; null is any.
        pub reference_type: NodeId<'a>,
        /// Whether its subtypes are followed too.
        pub include_subtypes: bool,
        /// Classes of targets wanted; 0 is all.
        pub node_class_mask: u32,
        /// Fields wanted.
        pub result_mask: u32,
    }
}

structure! {
    /// A reference found (7.29).
    pub struct Reference<'a> {
        /// Its type.
        pub reference_type: NodeId<'a>,
        /// Whether it points forward.
        pub is_forward: bool,
        /// Where it ends.
        pub target: ExpandedNodeId<'a>,
        /// Browse name of the target.
        pub browse_name: QualifiedName<'a>,
        /// Display name of the target.
        pub display_name: LocalizedText<'a>,
        /// Class of the target.
        pub node_class: u32,
        /// Type of the target.
        pub type_definition: ExpandedNodeId<'a>,
    }
}

structure! {
    /// A step of a path (7.31).
    pub struct RelativePathElement<'a> {
        /// Type of the reference to follow.
        pub reference_type: NodeId<'a>,
        /// Whether against its direction.
        pub is_inverse: bool,
        /// Whether subtypes are followed too.
        pub include_subtypes: bool,
        /// Browse name of the target.
        pub target_name: QualifiedName<'a>,
    }
}

structure! {
    /// A path to translate (5.9.4.2).
    pub struct BrowsePath<'a> {
        /// Where it starts.
        pub starting_node: NodeId<'a>,
        /// Its steps.
        pub path: List<'a, RelativePathElement<'a>>,
    }
}

structure! {
    /// A node at the end of a path (5.9.4.2).
    pub struct PathTarget<'a> {
        /// The node.
        pub target: ExpandedNodeId<'a>,
        /// First step that is another server's to follow; the largest number if all were followed.
        pub remaining_path_index: u32,
    }
}

pub(super) fn browse_request<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    let view = reader.read()?;
    let max_references = reader.u32()?;
    out.say(Operand::BrowseOptions { view, max_references });
    out.each(reader, Operand::Browse)
}

/// Results of Browse and of BrowseNext.
pub(super) fn browse_response<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    let count = reader.array_length(12)?;
    out.count(count);
    for _ in 0..count {
        let status = reader.status_code()?;
        let continuation_point = reader.byte_string()?;
        out.say(Operand::BrowseResult { status, continuation_point });
        reader.each(|reference| out.say(Operand::Reference(reference)))?;
    }
    out.diagnostics(reader)
}

pub(super) fn browse_next_request<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    let release = reader.boolean()?;
    out.each(reader, |continuation_point| Operand::BrowseNext { release, continuation_point })
}

pub(super) fn translate_request<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    out.each(reader, Operand::BrowsePath)
}

pub(super) fn translate_response<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    let count = reader.array_length(8)?;
    out.count(count);
    for _ in 0..count {
        let status = reader.status_code()?;
        out.say(Operand::PathResult { status });
        reader.each(|target| out.say(Operand::PathTarget(target)))?;
    }
    out.diagnostics(reader)
}

pub(super) fn register_request<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    out.each(reader, Operand::RegisterNode)
}

pub(super) fn register_response<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    out.each(reader, Operand::RegisteredNode)
}

pub(super) fn unregister_request<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    out.each(reader, Operand::UnregisterNode)
}
