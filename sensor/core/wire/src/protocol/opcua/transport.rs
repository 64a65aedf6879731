//! The connection protocol: where messages begin and end in a stream (OPC 10000-6, 7.1.2).

use super::binary::{Fault, Reader, Text};
use crate::protocol::{Probe, Side};
use crate::record::table::opcua::MessageType;

/// TCP port of OPC UA (OPC 10000-6, 7.2).
pub const PORT: u16 = 4840;
/// Bytes of a message header: type, chunk type, size (OPC 10000-6, 7.1.2.2).
pub const HEADER_BYTES: usize = 8;
/// Longest chunk that is held back in the stream until it is whole. Most stacks use 64 KiB; what is longer is collected as it comes.
pub const CHUNK_BYTES: usize = 128 * 1024;
/// Bytes of a longer chunk that are collected: its operands stand there or begin there. What comes behind is counted and left out.
pub const LONG_CHUNK_BYTES: usize = 1024 * 1024;
/// Longest chunk that a header may tell of where headers are searched for: random bytes seldom say less.
const PLAUSIBLE_BYTES: usize = 16 * 1024 * 1024;
/// Least bytes of a symmetric chunk: header, channel, token, sequence number, request (OPC 10000-6, 6.7.2).
const SYMMETRIC_BYTES: usize = 24;
/// Least bytes of an asymmetric chunk: header, channel, three lengths, sequence number, request.
const ASYMMETRIC_BYTES: usize = 32;
/// Least bytes of a hello: header, five numbers, a length (OPC 10000-6, 7.1.2.3).
const HELLO_BYTES: usize = 32;

/// Which chunk of a message it is (OPC 10000-6, 6.7.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The last one.
    Final,
    /// More come.
    Continue,
    /// The sender gives the message up.
    Abort,
}

/// One chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// Its type.
    pub kind: MessageType,
    /// Its place in its message.
    pub part: Part,
    /// What follows the header.
    pub body: &'a [u8],
    /// All of it, or its beginning where it is too long.
    pub bytes: &'a [u8],
    /// Its bytes as its header says.
    pub size: usize,
}

impl Chunk<'_> {
    /// Whether only its beginning is here.
    pub fn is_cut(&self) -> bool {
        self.bytes.len() < self.size
    }
}

/// What begins at the start of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framed<'a> {
    /// A whole chunk.
    Chunk(Chunk<'a>),
    /// The beginning of one.
    NeedMore,
    /// A chunk of this length, too long to be held in the stream.
    Long(MessageType, usize),
    /// A header whose size does not even hold what its type needs.
    TooShort(MessageType, usize),
    /// No message.
    Nonsense,
}

fn kind(letters: [u8; 3]) -> Option<MessageType> {
    Some(match &letters {
        b"HEL" => MessageType::Hello,
        b"ACK" => MessageType::Acknowledge,
        b"ERR" => MessageType::Error,
        b"RHE" => MessageType::ReverseHello,
        b"OPN" => MessageType::Open,
        b"MSG" => MessageType::Message,
        b"CLO" => MessageType::Close,
        _ => return None,
    })
}

fn part(kind: MessageType, letter: u8) -> Option<Part> {
    match (kind, letter) {
        (_, b'F') => Some(Part::Final),
        // Only messages may be several chunks (OPC 10000-6, 6.7.2.2); what stacks accept beyond that is seen all the same.
        (MessageType::Message | MessageType::Open | MessageType::Close, b'C') => Some(Part::Continue),
        (MessageType::Message | MessageType::Open | MessageType::Close, b'A') => Some(Part::Abort),
        _ => None,
    }
}

/// Least size that a message of this type states.
fn least(kind: MessageType) -> usize {
    match kind {
        MessageType::Hello => HELLO_BYTES,
        MessageType::Acknowledge => 28,
        MessageType::Error | MessageType::ReverseHello => 16,
        MessageType::Open => ASYMMETRIC_BYTES,
        MessageType::Message | MessageType::Close => SYMMETRIC_BYTES,
    }
}

fn header(data: &[u8]) -> Option<(MessageType, Part, usize)> {
    let [a, b, c, d, size @ ..] = *data.first_chunk::<HEADER_BYTES>()?;
    let kind = kind([a, b, c])?;
    Some((kind, part(kind, d)?, u32::from_le_bytes(size) as usize))
}

/// What begins at the start of these bytes.
#[inline]
pub fn frame(data: &[u8]) -> Framed<'_> {
    let Some((kind, part, size)) = header(data) else {
        // What breaks is told with the whole header, however its bytes come.
        return if data.len() < HEADER_BYTES { Framed::NeedMore } else { Framed::Nonsense };
    };
    if size < least(kind) {
        return Framed::TooShort(kind, size);
    }
    if size > CHUNK_BYTES {
        return Framed::Long(kind, size);
    }
    match data.get(..size) {
        Some(bytes) => Framed::Chunk(Chunk { kind, part, body: bytes.get(HEADER_BYTES..).unwrap_or_default(), bytes, size }),
        None => Framed::NeedMore,
    }
}

/// The chunk that these bytes are, or are the beginning of; none where not even what its type needs is there.
pub fn beginning(bytes: &[u8]) -> Option<Chunk<'_>> {
    let (kind, part, size) = header(bytes).filter(|(kind, ..)| bytes.len() >= least(*kind))?;
    Some(Chunk { kind, part, body: bytes.get(HEADER_BYTES..).unwrap_or_default(), bytes, size })
}

/// Whether a header may begin with these few bytes.
fn may_begin(data: &[u8]) -> bool {
    const TYPES: [&[u8; 3]; 7] = [b"HEL", b"ACK", b"ERR", b"RHE", b"OPN", b"MSG", b"CLO"];
    TYPES.iter().any(|letters| letters.iter().zip(data).all(|(letter, byte)| letter == byte))
        && data.get(3).is_none_or(|byte| matches!(byte, b'F' | b'C' | b'A'))
}

/// Whether a message can begin here.
fn begins(data: &[u8]) -> bool {
    match header(data) {
        Some((kind, _, size)) => size >= least(kind) && size <= PLAUSIBLE_BYTES,
        None => data.len() < HEADER_BYTES && may_begin(data),
    }
}

/// Where the next message can begin, at the earliest at the start; the end where none can. However the bytes come, what is skipped in all is the
/// same: a place is given up when the bytes that it has cannot be a header, and held when there are too few to say.
pub fn resynchronise(data: &[u8]) -> usize {
    let can_begin = |at: &usize| {
        let rest = data.get(*at..).unwrap_or_default();
        matches!(rest.first(), Some(b'H' | b'A' | b'E' | b'R' | b'O' | b'M' | b'C')) && begins(rest)
    };
    (0..data.len()).find(can_begin).unwrap_or(data.len())
}

/// What the first bytes of one side look like, and who sends them where they show it.
pub fn probe(data: &[u8]) -> Probe {
    let Some((kind, _, size)) = header(data) else {
        return if data.len() < HEADER_BYTES && data.len() >= 3 && may_begin(data) { Probe::Possible(None) } else { Probe::No };
    };
    if size < least(kind) || size > PLAUSIBLE_BYTES {
        return Probe::No;
    }
    Probe::Certain(match kind {
        MessageType::Hello => Some(Side::Client),
        MessageType::Acknowledge | MessageType::Error | MessageType::ReverseHello => Some(Side::Server),
        MessageType::Open => super::channel::asymmetric(data.get(HEADER_BYTES..).unwrap_or_default())
            .ok()
            .filter(|open| super::channel::is_none(open.policy))
            .and_then(|open| super::channel::direction(open.secured)),
        MessageType::Message | MessageType::Close => super::channel::direction(data.get(HEADER_BYTES + 8..).unwrap_or_default()),
    })
}

/// Buffers that a side offers (OPC 10000-6, 7.1.2.3, 7.1.2.4). Zero: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// Version of the protocol.
    pub version: u32,
    /// Longest chunk that it takes.
    pub receive_buffer: u32,
    /// Longest chunk that it sends.
    pub send_buffer: u32,
    /// Longest message that it takes.
    pub message_bytes: u32,
    /// Most chunks of a message that it takes.
    pub chunks: u32,
}

fn offer(reader: &mut Reader<'_>) -> Result<Offer, Fault> {
    Ok(Offer {
        version: reader.u32()?,
        receive_buffer: reader.u32()?,
        send_buffer: reader.u32()?,
        message_bytes: reader.u32()?,
        chunks: reader.u32()?,
    })
}

/// A hello: what the client offers, and the URL of the endpoint that it wants (OPC 10000-6, 7.1.2.3).
pub fn hello(body: &[u8]) -> Result<(Offer, Text<'_>), Fault> {
    let mut reader = Reader::new(body);
    Ok((offer(&mut reader)?, reader.string()?))
}

/// An acknowledgement: what the server offers (OPC 10000-6, 7.1.2.4).
pub fn acknowledge(body: &[u8]) -> Result<Offer, Fault> {
    offer(&mut Reader::new(body))
}

/// An error, or the body of an abort chunk: status code and text (OPC 10000-6, 7.1.2.5, 6.7.3).
pub fn error(body: &[u8]) -> Result<(u32, Text<'_>), Fault> {
    let mut reader = Reader::new(body);
    Ok((reader.u32()?, reader.string()?))
}

/// A reverse hello: URI of the server and the URL of its endpoint (OPC 10000-6, 7.1.2.6).
pub fn reverse_hello(body: &[u8]) -> Result<(Text<'_>, Text<'_>), Fault> {
    let mut reader = Reader::new(body);
    Ok((reader.string()?, reader.string()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: &[u8] = b"HELF\x20\0\0\0\0\0\0\0\0\0\x01\0\0\0\x01\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff";

    #[test]
    fn a_chunk_ends_where_its_header_says() {
        let stream = [HELLO, b"MSGF"].concat();
        let Framed::Chunk(chunk) = frame(&stream) else { panic!("no chunk") };
        assert_eq!((chunk.kind, chunk.part, chunk.bytes.len(), chunk.body.len()), (MessageType::Hello, Part::Final, 32, 24));
        for length in 0..HELLO.len() {
            assert_eq!(frame(&HELLO[..length]), Framed::NeedMore, "{length}");
        }
        assert_eq!(frame(b"MSGF\xff\xff\xff\x7f"), Framed::Long(MessageType::Message, 0x7fff_ffff));
        assert_eq!(frame(b"MSGF\x08\0\0\0"), Framed::TooShort(MessageType::Message, 8));
        assert_eq!(frame(b"MSGX\x20\0\0\0"), Framed::Nonsense);
        assert_eq!(frame(b"HELC\x20\0\0\0"), Framed::Nonsense);
    }

    #[test]
    fn a_message_is_found_behind_nonsense() {
        let stream = [b"MSGX....MSGF\x00\0\0\0", HELLO].concat();
        assert_eq!(resynchronise(&stream), 16);
        assert_eq!(resynchronise(b"........"), 8);
        assert_eq!((resynchronise(b"....MS"), resynchronise(b"....MSX")), (4, 7));
    }

    #[test]
    fn the_first_message_tells_who_sends_it() {
        assert_eq!(probe(HELLO), Probe::Certain(Some(Side::Client)));
        assert_eq!(probe(b"ACKF\x1c\0\0\0"), Probe::Certain(Some(Side::Server)));
        assert_eq!(probe(b"HELLO there"), Probe::No);
        assert_eq!(probe(b"HEL"), Probe::Possible(None));
    }
}
