//! Discovery: what publishers announce of themselves, and what subscribers ask for (OPC 10000-14, 7.2.4.6).

use crate::protocol::opcua::binary::{
    Decode, ExtensionObject, Fault, FaultKind, Guid, List, LocalizedText, NodeId, QualifiedName, Reader, Text, Variant, structure,
};
use crate::protocol::opcua::service::EndpointDescription;
use crate::record::table::opcua::Discovery;

structure! {
    /// A name and a value (OPC 10000-5, 12).
    pub struct KeyValuePair<'a> {
        /// The name.
        pub key: QualifiedName<'a>,
        /// The value.
        pub value: Variant<'a>,
    }
}

structure! {
    /// A field of a data set (OPC 10000-14, 6.2.3.2.4).
    pub struct FieldMetaData<'a> {
        /// Its name.
        pub name: Text<'a>,
        /// What it is.
        pub description: LocalizedText<'a>,
        /// Bit 0: it is promoted to the header of the network message.
        pub flags: u16,
        /// Number of the built-in type in which it stands.
        pub built_in: u8,
        /// Its data type.
        pub data_type: NodeId<'a>,
        /// −1 a value alone, 1 an array, more a matrix.
        pub value_rank: i32,
        /// Most elements of each dimension.
        pub dimensions: List<'a, u32>,
        /// Most bytes of a String or ByteString.
        pub max_string_length: u32,
        /// Identifies it in the data set.
        pub id: Guid,
        /// Further properties.
        pub properties: List<'a, KeyValuePair<'a>>,
    }
}

/// A data type that metadata describes: its node, and where its definition begins in the bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StructureDescription<'a> {
    /// The data type.
    pub data_type: NodeId<'a>,
    /// The definition, as it stands.
    pub definition: &'a [u8],
}

impl<'a> Decode<'a> for StructureDescription<'a> {
    const LEAST: usize = 20;

    fn decode(reader: &mut Reader<'a>) -> Result<Self, Fault> {
        let data_type = reader.read()?;
        reader.read::<QualifiedName<'a>>()?;
        let start = reader.position();
        crate::protocol::opcua::binary::Definition::read_structure(reader)?;
        Ok(Self { data_type, definition: reader.since(start) })
    }
}

/// An enumeration that metadata describes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EnumDescription<'a> {
    /// The data type.
    pub data_type: NodeId<'a>,
    /// The definition, as it stands.
    pub definition: &'a [u8],
}

impl<'a> Decode<'a> for EnumDescription<'a> {
    const LEAST: usize = 13;

    fn decode(reader: &mut Reader<'a>) -> Result<Self, Fault> {
        let data_type = reader.read()?;
        reader.read::<QualifiedName<'a>>()?;
        let start = reader.position();
        crate::protocol::opcua::binary::Definition::read_enumeration(reader)?;
        let definition = reader.since(start);
        reader.u8()?;
        Ok(Self { data_type, definition })
    }
}

structure! {
    /// A type derived from a built-in one (OPC 10000-5, 12).
    pub struct SimpleTypeDescription<'a> {
        /// The data type.
        pub data_type: NodeId<'a>,
        /// Its name.
        pub name: QualifiedName<'a>,
        /// What it is derived from.
        pub base: NodeId<'a>,
        /// Number of the built-in type.
        pub built_in: u8,
    }
}

structure! {
    /// What the fields of a data set are (OPC 10000-14, 6.2.3.2.3).
    pub struct DataSetMetaData<'a> {
        /// URIs of the namespaces that its nodes name.
        pub namespaces: List<'a, Text<'a>>,
        /// Structures of its fields.
        pub structures: List<'a, StructureDescription<'a>>,
        /// Enumerations of its fields.
        pub enumerations: List<'a, EnumDescription<'a>>,
        /// Simple types of its fields.
        pub simple_types: List<'a, SimpleTypeDescription<'a>>,
        /// Name of the data set.
        pub name: Text<'a>,
        /// What it is.
        pub description: LocalizedText<'a>,
        /// Its fields, in order.
        pub fields: List<'a, FieldMetaData<'a>>,
        /// Class of the data set.
        pub class: Guid,
        /// Major version of its configuration.
        pub major: u32,
        /// Minor version of its configuration.
        pub minor: u32,
    }
}

structure! {
    /// What writes a data set (OPC 10000-14, 6.2.4.5.1).
    pub struct DataSetWriter<'a> {
        /// Its name.
        pub name: Text<'a>,
        /// Whether it is enabled.
        pub enabled: bool,
        /// Its number.
        pub id: u16,
        /// How fields are written, and what goes with them.
        pub field_content: u32,
        /// One of so many data set messages is a key frame.
        pub key_frame_count: u32,
        /// Name of the data set.
        pub data_set_name: Text<'a>,
        /// Further properties.
        pub properties: List<'a, KeyValuePair<'a>>,
        /// Settings of the transport.
        pub transport: ExtensionObject<'a>,
        /// Settings of the message mapping.
        pub message: ExtensionObject<'a>,
    }
}

structure! {
    /// A group of writers (OPC 10000-14, 6.2.6.7).
    pub struct WriterGroup<'a> {
        /// Its name.
        pub name: Text<'a>,
        /// Whether it is enabled.
        pub enabled: bool,
        /// Security of its network messages.
        pub security_mode: u32,
        /// Who may have its keys.
        pub security_group: Text<'a>,
        /// Where the keys are.
        pub key_services: List<'a, EndpointDescription<'a>>,
        /// Longest network message.
        pub max_message_bytes: u32,
        /// Further properties.
        pub properties: List<'a, KeyValuePair<'a>>,
        /// Its number.
        pub id: u16,
        /// Milliseconds between network messages.
        pub publishing_interval: f64,
        /// Milliseconds until a sign of life.
        pub keep_alive_time: f64,
        /// Its priority.
        pub priority: u8,
        /// Languages.
        pub locales: List<'a, Text<'a>>,
        /// Layout of its headers.
        pub header_layout: Text<'a>,
        /// Settings of the transport.
        pub transport: ExtensionObject<'a>,
        /// Settings of the message mapping.
        pub message: ExtensionObject<'a>,
        /// Its writers.
        pub writers: List<'a, DataSetWriter<'a>>,
    }
}

/// A group of readers, which announcements do not have (OPC 10000-14, 7.2.4.6.8): a list of them that is not empty ends decoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReaderGroup;

impl<'a> Decode<'a> for ReaderGroup {
    const LEAST: usize = 1;

    fn decode(reader: &mut Reader<'a>) -> Result<Self, Fault> {
        Err(reader.fault(FaultKind::TooMany, "OPC 10000-14, 7.2.4.6.8"))
    }
}

structure! {
    /// A connection of a publisher (OPC 10000-14, 6.2.7.5.1).
    pub struct Connection<'a> {
        /// Its name.
        pub name: Text<'a>,
        /// Whether it is enabled.
        pub enabled: bool,
        /// Who publishes.
        pub publisher: Variant<'a>,
        /// URI of the transport.
        pub transport_profile: Text<'a>,
        /// Its address.
        pub address: ExtensionObject<'a>,
        /// Further properties.
        pub properties: List<'a, KeyValuePair<'a>>,
        /// Settings of the transport.
        pub transport: ExtensionObject<'a>,
        /// Its groups of writers.
        pub writer_groups: List<'a, WriterGroup<'a>>,
        /// Its groups of readers.
        pub reader_groups: List<'a, ReaderGroup>,
    }
}

/// What a discovery message says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Told<'a> {
    /// Endpoints of the publisher's server (7.2.4.6.6).
    Endpoints(List<'a, EndpointDescription<'a>>),
    /// What the fields of a writer's data set are (7.2.4.6.4).
    MetaData(u16, DataSetMetaData<'a>),
    /// Writers, and the group that they are in (7.2.4.6.9).
    Writers(List<'a, u16>, WriterGroup<'a>),
    /// Connections (7.2.4.6.8).
    Connections(List<'a, Connection<'a>>),
    /// Writers that are asked about (7.2.4.6.12.4).
    Asked(List<'a, u16>),
    /// Nothing that is decoded.
    Nothing,
}

/// A discovery message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Announcement<'a> {
    /// What it is about.
    pub about: Discovery,
    /// Its number.
    pub sequence: Option<u16>,
    /// What it says.
    pub told: Told<'a>,
    /// Whether the publisher can say it; the worst of several.
    pub status: Option<u32>,
    /// Bytes behind it that are not decoded.
    pub left: usize,
}

/// Reads an announcement: what follows the header of its network message (7.2.4.6.3).
pub fn announcement(payload: &[u8]) -> Result<Announcement<'_>, Fault> {
    let mut reader = Reader::new(payload);
    let (kind, sequence) = (reader.u8()?, Some(reader.u16()?));
    let mut status = None;
    let (about, told) = match kind {
        1 => {
            let endpoints = reader.read()?;
            status = Some(reader.status_code()?);
            (Discovery::PublisherEndpoints, Told::Endpoints(endpoints))
        }
        2 => {
            let (writer, metadata) = (reader.u16()?, reader.read()?);
            status = Some(reader.status_code()?);
            (Discovery::DataSetMetaData, Told::MetaData(writer, metadata))
        }
        3 => {
            let (writers, group) = (reader.read()?, reader.read()?);
            let statuses: List<'_, u32> = reader.read()?;
            status = statuses.iter().max();
            (Discovery::DataSetWriterConfiguration, Told::Writers(writers, group))
        }
        4 => (Discovery::ConnectionConfiguration, Told::Connections(reader.read()?)),
        5 => (Discovery::ApplicationInformation, Told::Nothing),
        6 => (Discovery::ActionResponder, Told::Nothing),
        7 => (Discovery::ActionMetaData, Told::Nothing),
        _ => (Discovery::Other, Told::Nothing),
    };
    Ok(Announcement { about, sequence, told, status, left: reader.left() })
}

/// Reads a probe (7.2.4.6.12).
pub fn probe(payload: &[u8]) -> Result<Announcement<'_>, Fault> {
    let mut reader = Reader::new(payload);
    let (about, told) = match reader.u8()? {
        1 => match reader.u8()? {
            1 => (Discovery::PublisherEndpoints, Told::Nothing),
            2 => (Discovery::DataSetMetaData, Told::Asked(reader.read()?)),
            3 => (Discovery::DataSetWriterConfiguration, Told::Asked(reader.read()?)),
            4 => (Discovery::WriterGroupConfiguration, Told::Nothing),
            5 => (Discovery::ConnectionConfiguration, Told::Nothing),
            _ => (Discovery::Other, Told::Nothing),
        },
        2 => (Discovery::FindApplications, Told::Nothing),
        _ => (Discovery::Other, Told::Nothing),
    };
    Ok(Announcement { about, sequence: None, told, status: None, left: reader.left() })
}
