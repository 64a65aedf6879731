//! The binary encoding of OPC UA (OPC 10000-6, 5.2): built-in types borrowed from the bytes that they came in.
//!
//! Nothing here allocates. Arrays and nested values are walked once, to see that they are whole, and kept as the bytes that they are; who wants
//! their elements decodes them again.

pub mod data_value;
pub mod date_time;
pub mod diagnostic;
mod dictionary;
pub mod extension_object;
pub mod fault;
mod fields;
pub mod list;
pub mod node_id;
pub mod number_text;
pub mod reader;
mod standard_structure;
pub mod structure;
mod structure_size;
mod structure_text;
pub mod text;
mod value_text;
pub mod variant;

pub use data_value::DataValue;
pub use diagnostic::DiagnosticInfo;
pub(in crate::protocol::opcua) use dictionary::looks_like_one as is_dictionary;
pub use extension_object::{Body, ExtensionObject};
pub use fault::{Fault, FaultKind};
pub(in crate::protocol::opcua) use fields::structure;
pub use list::List;
pub use node_id::{ExpandedNodeId, Guid, Identifier, LocalizedText, NodeId, QualifiedName};
pub use reader::{Decode, Reader};
pub use structure::{Definition, Definitions, Field, OwnedNodeId, StructureKind};
pub(in crate::protocol::opcua) use value_text::raw_text;
pub use variant::{Array, BuiltIn, Nested, Scalar, Variant};

/// A String as it came: `None` is the null string, which differs from an empty one. Not checked to be UTF-8 (OPC 10000-6, 5.2.2.4).
pub type Text<'a> = Option<&'a [u8]>;
