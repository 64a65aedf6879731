//! Attributes of nodes to add (OPC 10000-4, 7.24).

use crate::protocol::opcua::binary::{
    Body, Decode, ExtensionObject, Fault, FaultKind, List, LocalizedText, NodeId, Reader, Variant, structure,
};

/// Binary encodings (OPC 10000-6, annex A).
const OBJECT: u32 = 354;
const VARIABLE: u32 = 357;
const METHOD: u32 = 360;
const OBJECT_TYPE: u32 = 363;
const VARIABLE_TYPE: u32 = 366;
const REFERENCE_TYPE: u32 = 369;
const DATA_TYPE: u32 = 372;
const VIEW: u32 = 375;

structure! {
    /// Attributes that nodes of every class have (7.24.1).
    pub struct CommonAttributes<'a> {
        /// Which attributes are set, by the bits of 7.24.1; the others have no meaning.
        pub specified: u32,
        /// Name for people.
        pub display_name: LocalizedText<'a>,
        /// What it is.
        pub description: LocalizedText<'a>,
        /// Which attributes can be written (OPC 10000-3, 8.60).
        pub write_mask: u32,
        /// Which of them this user can write.
        pub user_write_mask: u32,
    }
}

structure! {
    /// Attributes of a variable (7.24.3).
    pub struct VariableAttributes<'a> {
        /// Its value.
        pub value: Variant<'a>,
        /// Its data type.
        pub data_type: NodeId<'a>,
        /// −1 a value alone, 1 an array, more a matrix of so many dimensions.
        pub value_rank: i32,
        /// Lengths of the dimensions.
        pub array_dimensions: List<'a, u32>,
        /// What can be done with the value (OPC 10000-3, 8.57): bit 0 read, 1 write, 2 read history, 3 write history.
        pub access_level: u8,
        /// What this user can do with it.
        pub user_access_level: u8,
        /// Shortest interval at which it is sampled, milliseconds.
        pub minimum_sampling_interval: f64,
        /// Whether its history is kept.
        pub historizing: bool,
    }
}

structure! {
    /// Attributes of a method (7.24.4).
    pub struct MethodAttributes {
        /// Whether it can be called.
        pub executable: bool,
        /// Whether this user can call it.
        pub user_executable: bool,
    }
}

/// Attributes of one class of nodes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ClassAttributes<'a> {
    /// Of a variable.
    Variable(VariableAttributes<'a>),
    /// Of a method.
    Method(MethodAttributes),
    /// Of a class with nothing that a watcher asks for.
    Other,
}

/// Attributes of a node to add.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NodeAttributes<'a> {
    /// Those of every class.
    pub common: CommonAttributes<'a>,
    /// Those of its own class.
    pub class: ClassAttributes<'a>,
}

impl<'a> NodeAttributes<'a> {
    /// Reads the attributes of an `AddNode`. `None`: a type of attributes that the specification does not define, or not in binary.
    pub fn read(object: &ExtensionObject<'a>) -> Option<Result<Self, Fault>> {
        let (Some(kind), Body::Binary(body)) = (object.type_id.standard_number(), object.body) else { return None };
        matches!(kind, OBJECT | VARIABLE | METHOD | OBJECT_TYPE | VARIABLE_TYPE | REFERENCE_TYPE | DATA_TYPE | VIEW)
            .then(|| Self::of_kind(kind, &mut Reader::new(body)))
    }

    fn of_kind(kind: u32, reader: &mut Reader<'a>) -> Result<Self, Fault> {
        let common = CommonAttributes::decode(reader)?;
        let class = match kind {
            VARIABLE => ClassAttributes::Variable(reader.read()?),
            METHOD => ClassAttributes::Method(reader.read()?),
            _ => return Ok(Self { common, class: ClassAttributes::Other }),
        };
        if reader.left() > 0 {
            return Err(reader.fault(FaultKind::LengthMismatch, "OPC 10000-4, 7.24"));
        }
        Ok(Self { common, class })
    }
}
