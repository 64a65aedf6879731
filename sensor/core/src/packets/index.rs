//! Which packets of a segment belong to which conversation, and where they lie.
//!
//! An index is made while the segment is written, and anew from the segment where it is missing: the segment is the truth.
//! File: header, directory (an entry for each conversation), lists of places. A list holds the distances between the places of a
//! conversation's packets in the segment, each as a variable-length number (7 bits a byte, the highest bit set on all but the last).

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::Path;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use wire::packet::{Address, Content, Decoded, Decoder, Packet};
use wire::record::table::Transport;
use wire::transport::{Endpoint, FlowKey};

/// First bytes of an index, its version among them.
const MAGIC: [u8; 8] = *b"ICSPKT01";
/// Bytes of the header: magic, bytes of the segment, its SHA-256, first and last time, packets, conversations, checksum.
const HEADER_BYTES: usize = 8 + 8 + 32 + 8 + 8 + 8 + 8 + 16;
/// Bytes of an entry: Community ID, endpoints, kind, first and last time, packets, place and length of the list.
const ENTRY_BYTES: usize = 30 + 2 * 18 + 1 + 8 + 8 + 8 + 8 + 8;
/// Conversations of one segment; with the next one a new segment begins, so that memory stays bounded under a scan.
pub const CONVERSATIONS: usize = 65_536;
/// Datagrams completed inside one another that are followed.
const NESTED: usize = 12;

/// What a conversation runs over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Between two addresses without ports: fragments, ARP, ICMP; without addresses, all else.
    Other = 0,
    /// TCP.
    Tcp = 6,
    /// UDP.
    Udp = 17,
}

/// Two endpoints, the smaller one first, and what runs between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pair {
    /// The endpoints.
    pub endpoints: [Endpoint; 2],
    /// What runs between them.
    pub kind: Kind,
}

/// Packets of one conversation in one segment.
#[derive(Clone, Debug)]
pub struct Conversation {
    /// Community ID v1 as text; zeros where there are no ports.
    pub community_id: [u8; 30],
    /// Between whom.
    pub pair: Pair,
    /// Time of its first packet, nanoseconds since 1970.
    pub first: i64,
    /// Time of its last packet.
    pub last: i64,
    /// Number of packets.
    pub packets: u64,
    list_start: u64,
    list_bytes: u64,
}

/// What a segment holds.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Bytes of the segment that this speaks of.
    pub bytes: u64,
    /// SHA-256 of these bytes.
    pub sha256: [u8; 32],
    /// Time of the first packet, nanoseconds since 1970.
    pub first: i64,
    /// Time of the last packet.
    pub last: i64,
    /// Number of packets.
    pub packets: u64,
}

/// An index while its segment is written.
#[derive(Default)]
pub struct Builder {
    found: HashMap<Pair, Places>,
    list_bytes: usize,
    first: Option<i64>,
    last: i64,
    packets: u64,
}

struct Places {
    first: i64,
    last: i64,
    packets: u64,
    latest: u64,
    list: Vec<u8>,
}

impl Builder {
    /// Takes in the packet whose block begins at this place of the segment.
    pub fn add(&mut self, decoder: &mut Decoder, place: u64, packet: &Packet<'_>) {
        self.packets += 1;
        self.last = if self.first.is_none() { packet.ts } else { self.last.max(packet.ts) };
        self.first = Some(self.first.map_or(packet.ts, |first| first.min(packet.ts)));
        let decoded = decoder.decode(packet);
        let mut is_whole = matches!(decoded.content, Content::Reassembled);
        self.note(pair(&decoded), place, packet.ts);
        let mut left = NESTED;
        while is_whole && left > 0 {
            let decoded = decoder.reassembled();
            is_whole = matches!(decoded.content, Content::Reassembled);
            self.note(pair(&decoded), place, packet.ts);
            left -= 1;
        }
        if decoder.has_anomalies() {
            // They are the engine's to tell.
            drop(decoder.take_anomalies());
        }
    }

    fn note(&mut self, pair: Pair, place: u64, ts: i64) {
        let places = match self.found.entry(pair) {
            Entry::Occupied(found) => found.into_mut(),
            Entry::Vacant(free) => free.insert(Places { first: ts, last: ts, packets: 0, latest: 0, list: Vec::new() }),
        };
        // A packet is in a list once, also where it carries the conversation twice.
        if places.packets > 0 && places.latest == place {
            return;
        }
        places.first = places.first.min(ts);
        places.last = places.last.max(ts);
        places.packets += 1;
        let before = places.list.len();
        let mut distance = place - places.latest;
        while distance >= 0x80 {
            places.list.push(distance as u8 | 0x80);
            distance >>= 7;
        }
        places.list.push(distance as u8);
        places.latest = place;
        self.list_bytes += places.list.len() - before;
    }

    /// Bytes of the index as it would be written now.
    pub fn bytes(&self) -> u64 {
        (HEADER_BYTES + self.found.len() * ENTRY_BYTES + self.list_bytes) as u64
    }

    /// Whether another segment should begin.
    pub fn is_full(&self) -> bool {
        self.found.len() >= CONVERSATIONS
    }

    /// Number of packets.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// The index of a segment of so many bytes with this hash.
    pub fn finish(self, bytes: u64, sha256: [u8; 32]) -> Index {
        let first = self.first.unwrap_or_default();
        let summary = Summary { bytes, sha256, first, last: self.last, packets: self.packets };
        let mut conversations = Vec::with_capacity(self.found.len());
        let mut lists = Vec::with_capacity(self.list_bytes);
        for (pair, places) in self.found {
            conversations.push(Conversation {
                community_id: community_id(&pair),
                pair,
                first: places.first,
                last: places.last,
                packets: places.packets,
                list_start: lists.len() as u64,
                list_bytes: places.list.len() as u64,
            });
            lists.extend_from_slice(&places.list);
        }
        Index { summary, conversations, lists: Lists::Held(lists) }
    }
}

/// An index that can be asked.
pub struct Index {
    /// What the segment holds.
    pub summary: Summary,
    /// Its conversations, in no order.
    pub conversations: Vec<Conversation>,
    lists: Lists,
}

enum Lists {
    Held(Vec<u8>),
    /// In a file, behind so many bytes.
    Stored(File, u64),
}

impl Index {
    /// The index as a file.
    pub fn encode(&self) -> Vec<u8> {
        let Summary { bytes, sha256, first, last, packets } = &self.summary;
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&bytes.to_le_bytes());
        out.extend_from_slice(sha256);
        out.extend_from_slice(&first.to_le_bytes());
        out.extend_from_slice(&last.to_le_bytes());
        out.extend_from_slice(&packets.to_le_bytes());
        out.extend_from_slice(&(self.conversations.len() as u64).to_le_bytes());
        let mut directory = Vec::with_capacity(self.conversations.len() * ENTRY_BYTES);
        for conversation in &self.conversations {
            directory.extend_from_slice(&conversation.community_id);
            for endpoint in conversation.pair.endpoints {
                directory.extend_from_slice(&endpoint.address.0.to_be_bytes());
                directory.extend_from_slice(&endpoint.port.to_be_bytes());
            }
            directory.push(conversation.pair.kind as u8);
            directory.extend_from_slice(&conversation.first.to_le_bytes());
            directory.extend_from_slice(&conversation.last.to_le_bytes());
            for number in [conversation.packets, conversation.list_start, conversation.list_bytes] {
                directory.extend_from_slice(&number.to_le_bytes());
            }
        }
        let checksum = checksum(&out, &directory);
        out.extend_from_slice(&checksum);
        out.extend_from_slice(&directory);
        if let Lists::Held(lists) = &self.lists {
            out.extend_from_slice(lists);
        }
        out
    }

    /// Opens an index file; only its header and directory are read.
    ///
    /// # Errors
    /// It cannot be read, or is no whole index.
    pub fn open(path: &Path) -> io::Result<Self> {
        let damaged = || io::Error::from(ErrorKind::InvalidData);
        let file = File::open(path)?;
        let mut header = [0; HEADER_BYTES];
        file.read_exact_at(&mut header, 0)?;
        let mut fields = Fields(&header);
        if fields.take::<8>() != Some(MAGIC) {
            return Err(damaged());
        }
        let bytes = fields.number().ok_or_else(damaged)?;
        let sha256 = fields.take::<32>().ok_or_else(damaged)?;
        let [first, last] = [fields.time(), fields.time()];
        let (first, last) = first.zip(last).ok_or_else(damaged)?;
        let packets = fields.number().ok_or_else(damaged)?;
        let count = fields.number().and_then(|count| usize::try_from(count).ok()).ok_or_else(damaged)?;
        // One packet can complete datagrams inside one another, so that a segment has a few conversations more than its bound.
        if count > CONVERSATIONS + NESTED + 1 {
            return Err(damaged());
        }
        let told = fields.take::<16>().ok_or_else(damaged)?;
        let mut directory = vec![0; count * ENTRY_BYTES];
        file.read_exact_at(&mut directory, HEADER_BYTES as u64)?;
        if checksum(header.get(..HEADER_BYTES - 16).unwrap_or_default(), &directory) != told {
            return Err(damaged());
        }
        let conversations: Option<Vec<_>> = directory.chunks_exact(ENTRY_BYTES).map(entry).collect();
        let lists = Lists::Stored(file, (HEADER_BYTES + directory.len()) as u64);
        let summary = Summary { bytes, sha256, first, last, packets };
        Ok(Self { summary, conversations: conversations.ok_or_else(damaged)?, lists })
    }

    /// Adds the places of a conversation's packets.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn places(&self, of: &Conversation, out: &mut Vec<u64>) -> io::Result<()> {
        let list = match &self.lists {
            Lists::Held(lists) => {
                let (start, length) = (of.list_start as usize, of.list_bytes as usize);
                lists.get(start..start.saturating_add(length)).unwrap_or_default().to_vec()
            }
            Lists::Stored(file, start) => {
                if of.list_bytes > super::SEGMENT_BYTES {
                    return Err(ErrorKind::InvalidData.into());
                }
                let mut list = vec![0; of.list_bytes as usize];
                file.read_exact_at(&mut list, start.saturating_add(of.list_start))?;
                list
            }
        };
        let (mut place, mut distance, mut shift) = (0_u64, 0_u64, 0_u32);
        for byte in list {
            distance |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or_default();
            shift += 7;
            if byte & 0x80 == 0 {
                place = place.saturating_add(distance);
                out.push(place);
                (distance, shift) = (0, 0);
            }
        }
        Ok(())
    }
}

/// Between whom a packet went.
pub fn pair(decoded: &Decoded<'_>) -> Pair {
    let (kind, source_port, destination_port) = match &decoded.content {
        Content::Tcp(segment) => (Kind::Tcp, segment.source_port, segment.destination_port),
        Content::Udp(datagram) => (Kind::Udp, datagram.source_port, datagram.destination_port),
        _ => (Kind::Other, 0, 0),
    };
    let (from, to) = match &decoded.content {
        Content::Arp(message) => (message.sender, message.target),
        _ => (decoded.source, decoded.destination),
    };
    let source = Endpoint { address: from, port: source_port };
    let destination = Endpoint { address: to, port: destination_port };
    let endpoints = if source <= destination { [source, destination] } else { [destination, source] };
    Pair { endpoints, kind }
}

fn community_id(pair: &Pair) -> [u8; 30] {
    let transport = match pair.kind {
        Kind::Tcp => Transport::Tcp,
        Kind::Udp => Transport::Udp,
        Kind::Other => return [0; 30],
    };
    FlowKey { endpoints: pair.endpoints, transport }.community_id()
}

fn checksum(header: &[u8], directory: &[u8]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(header).update(directory);
    hasher.finalize().as_bytes().first_chunk::<16>().copied().unwrap_or_default()
}

fn entry(bytes: &[u8]) -> Option<Conversation> {
    let mut fields = Fields(bytes);
    let community_id = fields.take::<30>()?;
    let mut endpoint = || {
        let address = Address(u128::from_be_bytes(fields.take::<16>()?));
        Some(Endpoint { address, port: u16::from_be_bytes(fields.take::<2>()?) })
    };
    let endpoints = [endpoint()?, endpoint()?];
    let kind = match fields.take::<1>()? {
        [6] => Kind::Tcp,
        [17] => Kind::Udp,
        _ => Kind::Other,
    };
    Some(Conversation {
        community_id,
        pair: Pair { endpoints, kind },
        first: fields.time()?,
        last: fields.time()?,
        packets: fields.number()?,
        list_start: fields.number()?,
        list_bytes: fields.number()?,
    })
}

/// Fields one after another.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn number(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn time(&mut self) -> Option<i64> {
        self.take().map(i64::from_le_bytes)
    }
}
