//! UADP network messages: headers, and the data set messages in them (OPC 10000-14, 7.2.4.4 and 7.2.4.5).

use crate::protocol::opcua::binary::{DataValue, Decode, Fault, FaultKind, Guid, Reader, Text, Variant};

/// Clauses.
const NETWORK: &str = "OPC 10000-14, 7.2.4.4.2";
const DATA_SET: &str = "OPC 10000-14, 7.2.4.5.4";
/// Version of UADP.
const VERSION: u8 = 1;
/// Bytes of the signature under PubSub-Aes128-CTR and PubSub-Aes256-CTR: HMAC-SHA256 (OPC 10000-7, 6.6).
const SIGNATURE_BYTES: usize = 32;

/// Who publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublisherId<'a> {
    /// A number: four of the five types.
    Number(u64),
    /// A text.
    String(Text<'a>),
}

/// What a network message carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Data set messages.
    DataSets,
    /// A question about publishers.
    DiscoveryRequest,
    /// Its answer, or an announcement.
    DiscoveryResponse,
    /// An action that is asked for, or its result (OPC 10000-14, 7.2.4.5.9): its header is not decoded.
    Action,
    /// A type that is reserved.
    Other,
}

/// Security of a network message (OPC 10000-14, 7.2.4.4.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Security {
    /// Whether it is signed.
    pub signed: bool,
    /// Whether its payload is encrypted.
    pub encrypted: bool,
    /// Key of the security group.
    pub token_id: u32,
}

/// What the headers of a network message say but for its publisher.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// What it carries.
    pub kind: Kind,
    /// Whether it is a part of that only.
    pub is_chunk: bool,
    /// Class of the data sets.
    pub class: Option<Guid>,
    /// Writer group.
    pub group: Option<u16>,
    /// Version of the group's configuration.
    pub group_version: Option<u32>,
    /// Number within the publishing interval.
    pub number: Option<u16>,
    /// Sequence number.
    pub sequence: Option<u16>,
    /// Whether the payload header says how many data set messages there are.
    pub has_payload_header: bool,
    /// Time, nanoseconds since 1970.
    pub timestamp: Option<i64>,
    /// Security.
    pub security: Option<Security>,
}

/// A network message.
#[derive(Clone, Copy, Debug)]
pub struct NetworkMessage<'a> {
    /// Its headers.
    pub header: Header,
    /// Who publishes.
    pub publisher: Option<PublisherId<'a>>,
    /// Writers of the data sets, two bytes each.
    pub writers: &'a [u8],
    /// Promoted fields: Variants, one behind the other.
    pub promoted: &'a [u8],
    /// The payload, without footer and signature.
    pub payload: &'a [u8],
}

impl<'a> NetworkMessage<'a> {
    /// Reads the headers of a message.
    pub fn decode(data: &'a [u8]) -> Result<Self, Fault> {
        let mut reader = Reader::new(data);
        let flags = reader.u8()?;
        if flags & 0x0f != VERSION {
            return Err(reader.fault(FaultKind::UnknownEncoding, NETWORK));
        }
        let more = if flags & 0x80 != 0 { reader.u8()? } else { 0 };
        let most = if more & 0x80 != 0 { reader.u8()? } else { 0 };
        let is_chunk = most & 0x01 != 0;
        let kind = match most >> 2 & 7 {
            _ if most & 0x20 != 0 => Kind::Action,
            0 => Kind::DataSets,
            1 => Kind::DiscoveryRequest,
            2 => Kind::DiscoveryResponse,
            _ => Kind::Other,
        };
        let publisher = if flags & 0x10 != 0 { Some(publisher(more & 7, &mut reader)?) } else { None };
        let class = if more & 0x08 != 0 { Some(reader.guid()?) } else { None };
        let group_flags = if flags & 0x20 != 0 { reader.u8()? } else { 0 };
        let group = if group_flags & 1 != 0 { Some(reader.u16()?) } else { None };
        let group_version = if group_flags & 2 != 0 { Some(reader.u32()?) } else { None };
        let number = if group_flags & 4 != 0 { Some(reader.u16()?) } else { None };
        let sequence = if group_flags & 8 != 0 { Some(reader.u16()?) } else { None };
        let has_payload_header = flags & 0x40 != 0;
        let writers = match (has_payload_header, is_chunk) {
            (false, _) => &[],
            // A chunk is of one data set message, and names its writer alone (7.2.4.4.4).
            (true, true) => reader.take(2, NETWORK)?,
            (true, false) => {
                let count = usize::from(reader.u8()?);
                reader.take(count.saturating_mul(2), NETWORK)?
            }
        };
        let timestamp = if more & 0x20 != 0 { reader.date_time()? } else { None };
        if more & 0x40 != 0 {
            reader.u16()?;
        }
        let promoted = if most & 0x02 != 0 {
            let size = usize::from(reader.u16()?);
            reader.take(size, NETWORK)?
        } else {
            &[]
        };
        let (mut security, mut trailer) = (None, 0_usize);
        if more & 0x10 != 0 {
            let flags = reader.u8()?;
            let token_id = reader.u32()?;
            let nonce = usize::from(reader.u8()?);
            reader.take(nonce, NETWORK)?;
            if flags & 0x04 != 0 {
                trailer = usize::from(reader.u16()?);
            }
            let found = Security { signed: flags & 1 != 0, encrypted: flags & 2 != 0, token_id };
            trailer = trailer.saturating_add(if found.signed { SIGNATURE_BYTES } else { 0 });
            security = Some(found);
        }
        let Some(length) = reader.left().checked_sub(trailer) else {
            return Err(reader.fault(FaultKind::Truncated, NETWORK));
        };
        let payload = reader.take(length, NETWORK)?;
        let header =
            Header { kind, is_chunk, class, group, group_version, number, sequence, has_payload_header, timestamp, security };
        Ok(Self { header, publisher, writers, promoted, payload })
    }

    /// The data set messages with their writers. None where the payload does not say where they end.
    pub fn data_sets(&self) -> Option<Vec<(Option<u16>, &'a [u8])>> {
        let writers = self.writers.as_chunks::<2>().0;
        match writers {
            [] if !self.header.has_payload_header => Some(vec![(None, self.payload)]),
            [] => Some(Vec::new()),
            [writer] => Some(vec![(Some(u16::from_le_bytes(*writer)), self.payload)]),
            several => {
                let (sizes, mut rest) = self.payload.split_at_checked(several.len().checked_mul(2)?)?;
                let mut found = Vec::with_capacity(several.len());
                for (writer, size) in several.iter().zip(sizes.as_chunks::<2>().0) {
                    let (message, behind) = rest.split_at_checked(usize::from(u16::from_le_bytes(*size)))?;
                    found.push((Some(u16::from_le_bytes(*writer)), message));
                    rest = behind;
                }
                rest.is_empty().then_some(found)
            }
        }
    }
}

fn publisher<'a>(kind: u8, reader: &mut Reader<'a>) -> Result<PublisherId<'a>, Fault> {
    Ok(match kind {
        0 => PublisherId::Number(u64::from(reader.u8()?)),
        1 => PublisherId::Number(u64::from(reader.u16()?)),
        2 => PublisherId::Number(u64::from(reader.u32()?)),
        3 => PublisherId::Number(reader.u64()?),
        4 => PublisherId::String(reader.string()?),
        _ => return Err(reader.fault(FaultKind::UnknownEncoding, NETWORK)),
    })
}

/// Kind of a data set message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataSetKind {
    /// All fields.
    KeyFrame,
    /// Fields that changed.
    DeltaFrame,
    /// An event.
    Event,
    /// Nothing new.
    KeepAlive,
    /// An action that is asked for.
    ActionRequest,
    /// Its result.
    ActionResponse,
    /// A type that is reserved.
    Other,
}

/// How fields are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As Variants.
    Variant,
    /// As bare values: who does not know the configuration cannot tell them apart.
    Raw,
    /// As DataValues.
    DataValue,
}

/// Header of a data set message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataSet {
    /// Whether the publisher calls it valid.
    pub valid: bool,
    /// Its kind.
    pub kind: DataSetKind,
    /// How its fields are written.
    pub encoding: Encoding,
    /// Sequence number.
    pub sequence: Option<u16>,
    /// Time, nanoseconds since 1970.
    pub timestamp: Option<i64>,
    /// Upper half of its status code.
    pub status: Option<u16>,
    /// Major version of its configuration.
    pub major: Option<u32>,
    /// Minor version of its configuration.
    pub minor: Option<u32>,
    /// Number of fields, where it says so.
    pub fields: Option<u16>,
}

/// A field of a data set message: where it stands in its data set, and its value.
pub type Field<'a> = (u16, DataValue<'a>);

/// Reads the header of a data set message, and leaves the reader behind it.
pub fn data_set<'a>(reader: &mut Reader<'a>) -> Result<DataSet, Fault> {
    let flags = reader.u8()?;
    let more = if flags & 0x80 != 0 { reader.u8()? } else { 0 };
    let encoding = match flags >> 1 & 3 {
        0 => Encoding::Variant,
        1 => Encoding::Raw,
        2 => Encoding::DataValue,
        _ => return Err(reader.fault(FaultKind::UnknownEncoding, DATA_SET)),
    };
    let kind = match more & 0x0f {
        0 => DataSetKind::KeyFrame,
        1 => DataSetKind::DeltaFrame,
        2 => DataSetKind::Event,
        3 => DataSetKind::KeepAlive,
        4 => DataSetKind::ActionRequest,
        5 => DataSetKind::ActionResponse,
        _ => DataSetKind::Other,
    };
    let sequence = if flags & 0x08 != 0 { Some(reader.u16()?) } else { None };
    let timestamp = if more & 0x10 != 0 { reader.date_time()? } else { None };
    if more & 0x20 != 0 {
        reader.u16()?;
    }
    let status = if flags & 0x10 != 0 { Some(reader.u16()?) } else { None };
    let major = if flags & 0x20 != 0 { Some(reader.u32()?) } else { None };
    let minor = if flags & 0x40 != 0 { Some(reader.u32()?) } else { None };
    Ok(DataSet { valid: flags & 1 != 0, kind, encoding, sequence, timestamp, status, major, minor, fields: None })
}

impl DataSet {
    /// Whether its fields say themselves what they are.
    pub fn is_readable(&self) -> bool {
        self.encoding != Encoding::Raw && self.has_fields()
    }

    /// Whether fields follow.
    pub fn has_fields(&self) -> bool {
        matches!(self.kind, DataSetKind::KeyFrame | DataSetKind::DeltaFrame | DataSetKind::Event)
    }

    /// Reads the fields behind a header that `is_readable`. Calls `each` with them in order.
    pub fn read<'a>(&mut self, reader: &mut Reader<'a>, each: &mut dyn FnMut(Field<'a>)) -> Result<(), Fault> {
        let count = reader.u16()?;
        self.fields = Some(count);
        for position in 0..count {
            let position = if self.kind == DataSetKind::DeltaFrame { reader.u16()? } else { position };
            let value = match self.encoding {
                Encoding::DataValue => DataValue::decode(reader)?,
                _ => DataValue { value: Some(Variant::decode(reader)?), ..DataValue::default() },
            };
            each((position, value));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_sets_of_several_writers_are_told_apart_by_their_sizes() {
        // Publisher 7 (Byte), group 3, payload header of two writers; the first has an Int32, the second is a keep-alive.
        let message = [0x71, 7, 0x01, 3, 0, 2, 10, 0, 11, 0, 8, 0, 2, 0, 0x01, 1, 0, 6, 0x2a, 0, 0, 0, 0x81, 3];
        let network = NetworkMessage::decode(&message).unwrap();
        assert_eq!((network.publisher, network.header.group), (Some(PublisherId::Number(7)), Some(3)));
        assert_eq!((network.header.kind, network.header.is_chunk), (Kind::DataSets, false));
        let sets = network.data_sets().unwrap();
        assert_eq!(sets.iter().map(|(writer, data)| (*writer, data.len())).collect::<Vec<_>>(), [(Some(10), 8), (Some(11), 2)]);
        let (mut values, mut reader) = (Vec::new(), Reader::new(sets[0].1));
        let mut first = data_set(&mut reader).unwrap();
        first.read(&mut reader, &mut |(at, value)| values.push((at, value.value.unwrap().number()))).unwrap();
        assert_eq!((first.kind, first.valid, first.fields), (DataSetKind::KeyFrame, true, Some(1)));
        assert_eq!((reader.left(), values), (0, vec![(0, Some(42.0))]));
        assert_eq!(data_set(&mut Reader::new(sets[1].1)).unwrap().kind, DataSetKind::KeepAlive);
    }

    #[test]
    fn the_payload_of_a_signed_message_ends_before_its_signature() {
        let message = [&[0x91, 0x10, 7, 0x01, 5, 0, 0, 0, 0][..], &[1, 2, 3], &[9; 32]].concat();
        let network = NetworkMessage::decode(&message).unwrap();
        assert_eq!(network.payload, [1, 2, 3]);
        assert_eq!(network.header.security, Some(Security { signed: true, encrypted: false, token_id: 5 }));
        assert!(NetworkMessage::decode(&message[..30]).is_err());
    }
}
