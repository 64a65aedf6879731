//! UADP messages written from the specification (OPC 10000-14, 7.2.4): a small encoder that uses nothing of the parser's own code.

use super::opcua::text;

/// A network message of publisher 7 (UInt16) and what follows its flags.
#[derive(Clone, Copy)]
pub struct Network {
    /// UADPFlags beside the version, ExtendedFlags1 and 2.
    pub flags: [u8; 3],
}

/// Flags: publisher, group header, payload header.
pub const DATA: Network = Network { flags: [0xf0, 0x01, 0x00] };
/// Flags of a chunk of a data set message.
pub const CHUNK: Network = Network { flags: [0xf0, 0x81, 0x01] };
/// Flags of an announcement.
pub const ANNOUNCEMENT: Network = Network { flags: [0x90, 0x81, 0x08] };
/// Flags of a probe.
pub const PROBE: Network = Network { flags: [0x90, 0x81, 0x04] };

impl Network {
    /// Flags, publisher, and the rest as it is.
    pub fn message(self, rest: &[&[u8]]) -> Vec<u8> {
        let [flags, more, most] = self.flags;
        let mut bytes = vec![flags | 1, more];
        if more & 0x80 != 0 {
            bytes.push(most);
        }
        bytes.extend([7, 0]);
        bytes.extend(rest.concat());
        bytes
    }
}

/// Group header: group 3, version 9, network message 1, sequence number.
pub fn group(sequence: u16) -> Vec<u8> {
    [&[0x0f, 3, 0, 9, 0, 0, 0, 1, 0][..], &sequence.to_le_bytes()].concat()
}

/// Payload header of so many writers.
pub fn writers(ids: &[u16]) -> Vec<u8> {
    let mut bytes = vec![ids.len() as u8];
    ids.iter().for_each(|id| bytes.extend(id.to_le_bytes()));
    bytes
}

/// A field of metadata: name, built-in type, data type (numeric in namespace 0 or 1), rank, dimensions, longest string.
pub struct Field<'a>(pub &'a str, pub u8, pub (u16, u32), pub i32, pub &'a [u32], pub u32);

pub fn node((namespace, number): (u16, u32)) -> Vec<u8> {
    [&[2][..], &namespace.to_le_bytes(), &number.to_le_bytes()].concat()
}

fn count(count: usize) -> [u8; 4] {
    (count as u32).to_le_bytes()
}

fn dimensions(most: &[u32]) -> Vec<u8> {
    let mut bytes = count(most.len()).to_vec();
    most.iter().for_each(|most| bytes.extend(most.to_le_bytes()));
    bytes
}

/// A StructureDescription: data type 1:number with plain fields.
pub fn structure(number: u32, kind: u32, fields: &[Field<'_>]) -> Vec<u8> {
    let mut bytes = node((1, number));
    bytes.extend([1, 0]);
    bytes.extend(text("Structure"));
    bytes.extend(node((1, number + 1)));
    bytes.extend(node((0, 22)));
    bytes.extend(kind.to_le_bytes());
    bytes.extend(count(fields.len()));
    for Field(name, _, data_type, rank, most, longest) in fields {
        bytes.extend(text(name));
        bytes.push(0);
        bytes.extend(node(*data_type));
        bytes.extend(rank.to_le_bytes());
        bytes.extend(dimensions(most));
        bytes.extend(longest.to_le_bytes());
        bytes.push(u8::from(kind == 1));
    }
    bytes
}

/// An EnumDescription: data type 1:number with names from 0.
pub fn enumeration(number: u32, names: &[&str]) -> Vec<u8> {
    let mut bytes = node((1, number));
    bytes.extend([1, 0]);
    bytes.extend(text("Enumeration"));
    bytes.extend(count(names.len()));
    for (value, name) in (0_i64..).zip(names) {
        bytes.extend(value.to_le_bytes());
        bytes.extend([0, 0]);
        bytes.extend(text(name));
    }
    bytes.push(6);
    bytes
}

/// An announcement of the metadata of a writer's data set, of version 5.
pub fn metadata(writer: u16, structures: &[Vec<u8>], enumerations: &[Vec<u8>], fields: &[Field<'_>]) -> Vec<u8> {
    let mut bytes = vec![2, 1, 0];
    bytes.extend(writer.to_le_bytes());
    bytes.extend(count(0));
    bytes.extend(count(structures.len()));
    bytes.extend(structures.concat());
    bytes.extend(count(enumerations.len()));
    bytes.extend(enumerations.concat());
    bytes.extend(count(0));
    bytes.extend(text("Boiler"));
    bytes.push(0);
    bytes.extend(count(fields.len()));
    for Field(name, built_in, data_type, rank, most, longest) in fields {
        bytes.extend(text(name));
        bytes.extend([0, 0, 0, *built_in]);
        bytes.extend(node(*data_type));
        bytes.extend(rank.to_le_bytes());
        bytes.extend(dimensions(most));
        bytes.extend(longest.to_le_bytes());
        bytes.extend([0; 16]);
        bytes.extend(count(0));
    }
    bytes.extend([0; 16]);
    bytes.extend([5, 0, 0, 0, 6, 0, 0, 0]);
    bytes.extend([0; 4]);
    bytes
}

/// Parts of a message in chunks of so many bytes: sequence number, offset, total, data (7.2.4.4.4).
pub fn chunks(sequence: u16, message: &[u8], size: usize) -> Vec<Vec<u8>> {
    let parts = message.chunks(size).enumerate();
    parts
        .map(|(at, part)| {
            let mut bytes = sequence.to_le_bytes().to_vec();
            bytes.extend(((at * size) as u32).to_le_bytes());
            bytes.extend((message.len() as u32).to_le_bytes());
            bytes.extend((part.len() as u32).to_le_bytes());
            bytes.extend(part);
            bytes
        })
        .collect()
}
