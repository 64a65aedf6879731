//! NodeManagement service set (OPC 10000-4, 5.8).

use super::{Operand, Out};
use crate::protocol::opcua::binary::{ExpandedNodeId, ExtensionObject, Fault, NodeId, QualifiedName, Reader, Text, structure};

structure! {
    /// A node to add (5.8.2.2).
    pub struct AddNode<'a> {
        /// Its parent.
        pub parent: ExpandedNodeId<'a>,
        /// Reference from the parent.
        pub reference_type: NodeId<'a>,
        /// The NodeId that the client wants; null lets the server choose.
        pub requested: ExpandedNodeId<'a>,
        /// Its browse name.
        pub browse_name: QualifiedName<'a>,
        /// Its class (OPC 10000-3, 8.29): 1 object, 2 variable, 4 method, 8 object type, 16 variable type, 32 reference type, 64 data type, 128 view.
        pub node_class: u32,
        /// Its attributes: `NodeAttributes::read` reads them.
        pub attributes: ExtensionObject<'a>,
        /// Its type.
        pub type_definition: ExpandedNodeId<'a>,
    }
}

structure! {
    /// What became of a node to add.
    pub struct AddedNode<'a> {
        /// Whether it was added.
        pub status: u32,
        /// Its NodeId.
        pub node: NodeId<'a>,
    }
}

structure! {
    /// A reference to add (5.8.3.2).
    pub struct AddReference<'a> {
        /// Where it starts.
        pub source: NodeId<'a>,
        /// Its type.
        pub reference_type: NodeId<'a>,
        /// Whether it points forward.
        pub is_forward: bool,
        /// Server of the target.
        pub target_server_uri: Text<'a>,
        /// Where it ends.
        pub target: ExpandedNodeId<'a>,
        /// Class of the target.
        pub target_node_class: u32,
    }
}

structure! {
    /// A node to delete (5.8.4.2).
    pub struct DeleteNode<'a> {
        /// The node.
        pub node: NodeId<'a>,
        /// Whether references to it are deleted too.
        pub delete_target_references: bool,
    }
}

structure! {
    /// A reference to delete (5.8.5.2).
    pub struct DeleteReference<'a> {
        /// Where it starts.
        pub source: NodeId<'a>,
        /// Its type.
        pub reference_type: NodeId<'a>,
        /// Whether it points forward.
        pub is_forward: bool,
        /// Where it ends.
        pub target: ExpandedNodeId<'a>,
        /// Whether the opposite reference is deleted too.
        pub delete_bidirectional: bool,
    }
}

pub(super) fn add_nodes_request<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    out.each(reader, Operand::AddNode)
}

pub(super) fn add_nodes_response<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    out.each(reader, Operand::AddedNode)?;
    out.diagnostics(reader)
}

pub(super) fn add_references_request<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    out.each(reader, Operand::AddReference)
}

pub(super) fn delete_nodes_request<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    out.each(reader, Operand::DeleteNode)
}

pub(super) fn delete_references_request<'a>(reader: &mut Reader<'a>, out: &mut Out<'a, '_>) -> Result<(), Fault> {
    out.each(reader, Operand::DeleteReference)
}
