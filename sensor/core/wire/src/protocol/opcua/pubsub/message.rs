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
    /// A part of a data set message.
    Chunk,
    /// A question about publishers.
    DiscoveryRequest,
    /// Its answer, or an announcement.
    DiscoveryResponse,
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

/// Headers of a network message, and its payload.
#[derive(Clone, Copy, Debug)]
pub struct NetworkMessage<'a> {
    /// What it carries.
    pub kind: Kind,
    /// Who publishes.
    pub publisher: Option<PublisherId<'a>>,
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
    /// Writers of the data sets, two bytes each.
    pub writers: &'a [u8],
    /// Time, nanoseconds since 1970.
    pub timestamp: Option<i64>,
    /// Security.
    pub security: Option<Security>,
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
        let kind = match (most & 0x01 != 0, most >> 2 & 7) {
            (true, 0) => Kind::Chunk,
            (false, 0) => Kind::DataSets,
            (_, 1) => Kind::DiscoveryRequest,
            (_, 2) => Kind::DiscoveryResponse,
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
        let writers = match kind {
            Kind::DataSets if has_payload_header => {
                let count = usize::from(reader.u8()?);
                reader.take(count.saturating_mul(2), NETWORK)?
            }
            Kind::Chunk if has_payload_header => reader.take(2, NETWORK)?,
            _ => &[],
        };
        let timestamp = if more & 0x20 != 0 { reader.date_time()? } else { None };
        if more & 0x40 != 0 {
            reader.u16()?;
        }
        if most & 0x02 != 0 {
            let size = usize::from(reader.u16()?);
            reader.take(size, NETWORK)?;
        }
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
        Ok(Self {
            kind,
            publisher,
            class,
            group,
            group_version,
            number,
            sequence,
            has_payload_header,
            writers,
            timestamp,
            security,
            payload,
        })
    }

    /// The data set messages with their writers. None where the payload does not say where they end.
    pub fn data_sets(&self) -> Option<Vec<(Option<u16>, &'a [u8])>> {
        let writers = self.writers.as_chunks::<2>().0;
        match writers {
            [] if !self.has_payload_header => Some(vec![(None, self.payload)]),
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

/// Reads a data set message. Calls `each` with the position of a field and its value.
pub fn data_set<'a>(data: &'a [u8], each: &mut dyn FnMut(u16, DataValue<'a>)) -> Result<(DataSet, usize), Fault> {
    let mut reader = Reader::new(data);
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
    let mut set = DataSet { valid: flags & 1 != 0, kind, encoding, sequence, timestamp, status, major, minor, fields: None };
    let is_readable = encoding != Encoding::Raw && !matches!(kind, DataSetKind::KeepAlive | DataSetKind::Other);
    if is_readable {
        let count = reader.u16()?;
        set.fields = Some(count);
        for position in 0..count {
            let position = if kind == DataSetKind::DeltaFrame { reader.u16()? } else { position };
            let value = match encoding {
                Encoding::DataValue => DataValue::decode(&mut reader)?,
                _ => DataValue { value: Some(Variant::decode(&mut reader)?), ..DataValue::default() },
            };
            each(position, value);
        }
    }
    Ok((set, if is_readable { reader.left() } else { 0 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_sets_of_several_writers_are_told_apart_by_their_sizes() {
        // Publisher 7 (Byte), group 3, payload header of two writers; the first has an Int32, the second is a keep-alive.
        let message = [0x71, 7, 0x01, 3, 0, 2, 10, 0, 11, 0, 8, 0, 2, 0, 0x01, 1, 0, 6, 0x2a, 0, 0, 0, 0x81, 3];
        let network = NetworkMessage::decode(&message).unwrap();
        assert_eq!((network.publisher, network.group, network.kind), (Some(PublisherId::Number(7)), Some(3), Kind::DataSets));
        let sets = network.data_sets().unwrap();
        assert_eq!(sets.iter().map(|(writer, data)| (*writer, data.len())).collect::<Vec<_>>(), [(Some(10), 8), (Some(11), 2)]);
        let mut values = Vec::new();
        let (first, left) = data_set(sets[0].1, &mut |at, value| values.push((at, value.value.unwrap().number()))).unwrap();
        assert_eq!(
            (first.kind, first.valid, first.fields, left, values),
            (DataSetKind::KeyFrame, true, Some(1), 0, vec![(0, Some(42.0))])
        );
        assert_eq!(data_set(sets[1].1, &mut |_, _| {}).unwrap().0.kind, DataSetKind::KeepAlive);
    }

    #[test]
    fn the_payload_of_a_signed_message_ends_before_its_signature() {
        let message = [&[0x91, 0x10, 7, 0x01, 5, 0, 0, 0, 0][..], &[1, 2, 3], &[9; 32]].concat();
        let network = NetworkMessage::decode(&message).unwrap();
        assert_eq!(network.payload, [1, 2, 3]);
        assert_eq!(network.security, Some(Security { signed: true, encrypted: false, token_id: 5 }));
        assert!(NetworkMessage::decode(&message[..30]).is_err());
    }
}
