//! A conversation played as the engine does it, with what must hold at each step.

use wire::packet::Address;
use wire::protocol::opcua::Servers;
use wire::protocol::{Context, Conversation, Shared, Side};
use wire::record::{Batch, Identity, Party, PartyKey, Records};

use crate::rows::{Rows, counts};
use crate::script::{Event, Script};

/// Time of the first event: some day of 2026, in nanoseconds since 1970.
const START_NS: i64 = 1_790_000_000_000_000_000;

/// Bytes that a conversation may hold whatever it was given: rooms for use again.
const HELD_BYTES: usize = 64 * 1024;

/// Where the bytes of an event are cut into pieces.
#[derive(Clone, Copy, Debug)]
pub enum Cuts {
    /// Nowhere.
    Whole,
    /// Behind each byte.
    Each,
    /// Where this seed says: pieces of 1 to 16 bytes.
    Seeded(u64),
}

impl Cuts {
    /// Length of the next piece.
    fn next(&mut self, rest: usize) -> usize {
        match self {
            Self::Whole => rest,
            Self::Each => 1,
            Self::Seeded(seed) => {
                // Knuth's multiplier; the high bits are the random ones.
                *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (*seed >> 60) as usize + 1
            }
        }
        .min(rest)
    }
}

/// Adds what an event's bytes become on the wire: side, tag, bytes, where to.
pub trait Frame: FnMut(Side, u8, &[u8], &mut Vec<u8>) {}

impl<F: FnMut(Side, u8, &[u8], &mut Vec<u8>)> Frame for F {}

/// Tables and shared state, kept between inputs and emptied before each.
pub struct Room {
    /// The tables.
    pub records: Records,
    /// What conversations share.
    pub shared: Shared,
    party: PartyKey,
    /// Bytes of the structures that the specification defines.
    standard_bytes: usize,
    unused: [Vec<u8>; 2],
    ts: i64,
    /// Bytes given so far.
    pub given: usize,
    /// Whether bytes were lost.
    pub has_gap: bool,
}

impl Default for Room {
    fn default() -> Self {
        let mut records = Records::new(Identity::default(), 0);
        let party = records.parties.add(party());
        let shared = Shared::default();
        let standard_bytes = shared.opcua.structures.bytes();
        Self { records, shared, party, standard_bytes, unused: [Vec::new(), Vec::new()], ts: START_NS, given: 0, has_gap: false }
    }
}

fn party() -> Party {
    Party {
        client_ip: Some(Address::v4([10, 0, 0, 1])),
        server_ip: Some(Address::v4([10, 0, 0, 2])),
        client_port: Some(50_000),
        server_port: Some(502),
        server_mac: Some([0, 0x80, 0xf4, 1, 2, 3]),
        ..Party::default()
    }
}

impl Room {
    /// Lets go of what the input before left.
    pub fn clear(&mut self) {
        self.records.clear();
        self.party = self.records.parties.add(party());
        self.forget();
        self.unused.iter_mut().for_each(Vec::clear);
        (self.ts, self.given, self.has_gap) = (START_NS, 0, false);
    }

    /// Lets go of what conversations share. What is dear to make stays where it tells nothing of the inputs before: the standard structures of
    /// OPC UA, texts of numbers, and room for texts and messages.
    fn forget(&mut self) {
        let Shared { points, opcua, devices, counters } = &mut self.shared;
        (*points, *devices, *counters) = Default::default();
        // Every field by its name, so that a new one is not forgotten here.
        let Servers {
            subscriptions,
            names,
            secrets,
            structures,
            data_sets,
            points,
            polls,
            node_texts,
            number_texts: _,
            held_bytes,
            spares: _,
            room: _,
        } = opcua;
        (*subscriptions, *names, *secrets, *points, *polls, *node_texts, *held_bytes) = Default::default();
        if structures.bytes() != self.standard_bytes {
            *structures = Default::default();
        }
        if data_sets.bytes() > 0 {
            *data_sets = Default::default();
        }
    }

    fn with<T>(&mut self, act: impl FnOnce(&mut Context<'_>) -> T) -> T {
        act(&mut Context {
            records: &mut self.records,
            shared: &mut self.shared,
            party: self.party,
            server: Address::v4([10, 0, 0, 2]),
            server_mac: Some([0, 0x80, 0xf4, 1, 2, 3]),
            ts: self.ts,
        })
    }

    /// Plays a script on a stream, its bytes in pieces. `frame` adds what an event's bytes become on the wire.
    pub fn play(&mut self, conversation: &mut impl Conversation, script: Script<'_>, mut cuts: Cuts, mut frame: impl Frame) {
        let mut framed = Vec::new();
        for event in script {
            match event {
                Event::Bytes(side, tag, bytes) => {
                    framed.clear();
                    frame(side, tag, bytes, &mut framed);
                    self.given += framed.len();
                    let mut rest = framed.as_slice();
                    while !rest.is_empty() {
                        let (piece, behind) = rest.split_at(cuts.next(rest.len()));
                        self.hear(conversation, side, piece);
                        rest = behind;
                    }
                }
                Event::Gap(side, lost) => self.lose(conversation, side, lost),
                Event::Wait(nanoseconds) => self.wait(conversation, nanoseconds),
            }
        }
    }

    /// Plays a script whose pieces are datagrams.
    pub fn play_datagrams(&mut self, conversation: &mut impl Conversation, script: Script<'_>, mut frame: impl Frame) {
        let mut framed = Vec::new();
        for event in script {
            match event {
                Event::Bytes(side, tag, bytes) => {
                    framed.clear();
                    frame(side, tag, bytes, &mut framed);
                    // A datagram may be empty, and that may be worth a row.
                    self.given += framed.len().max(1);
                    self.with(|context| conversation.datagram(side, &framed, context));
                }
                Event::Gap(side, lost) => self.lose(conversation, side, lost),
                Event::Wait(nanoseconds) => self.wait(conversation, nanoseconds),
            }
        }
    }

    /// Gives bytes behind those that were not used yet, as the engine does.
    fn hear(&mut self, conversation: &mut impl Conversation, side: Side, bytes: &[u8]) {
        let mut unused = std::mem::take(&mut self.unused[side as usize]);
        unused.extend_from_slice(bytes);
        let mut used = 0;
        while used < unused.len() {
            let rest = &unused[used..];
            let count = self.with(|context| conversation.stream(side, rest, context));
            assert!(count <= rest.len(), "{count} of {} bytes used", rest.len());
            if count == 0 {
                break;
            }
            used += count;
        }
        unused.drain(..used);
        let left = unused.len();
        self.unused[side as usize] = unused;
        if left > conversation.message_bytes() {
            self.lose(conversation, side, left as u64);
        }
    }

    fn lose(&mut self, conversation: &mut impl Conversation, side: Side, lost: u64) {
        self.has_gap = true;
        self.unused[side as usize].clear();
        self.with(|context| conversation.gap(side, lost, context));
    }

    fn wait(&mut self, conversation: &mut impl Conversation, nanoseconds: i64) {
        self.ts += nanoseconds;
        let now = self.ts;
        if conversation.deadline().is_some_and(|deadline| deadline <= now) {
            self.with(|context| conversation.expire(now, context));
            assert!(conversation.deadline().is_none_or(|next| next > now), "what was due is not done");
        }
    }

    /// Ends a conversation: nothing is held any more.
    pub fn close(&mut self, conversation: &mut impl Conversation) {
        let most = HELD_BYTES + 64 * self.given;
        assert!(conversation.bytes() <= most, "{} bytes held of {} given", conversation.bytes(), self.given);
        self.with(|context| conversation.close(context));
        assert_eq!(conversation.deadline(), None, "something waits behind the end");
        assert_eq!(self.shared.opcua.held_bytes, 0, "bodies held behind the end");
    }

    /// Rows of each table that has any.
    pub fn counts(&mut self) -> Rows {
        counts(&mut self.records)
    }

    /// Takes out all rows.
    pub fn cut(&mut self) -> Vec<Batch> {
        self.records.cut(self.ts)
    }
}
