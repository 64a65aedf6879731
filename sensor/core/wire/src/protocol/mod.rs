//! Application protocols: bytes of a conversation in, records out. No I/O, no clock but the packets' own.
//!
//! A protocol that is parsed says what it looks like (`probe`), and parses the conversations that are its own (`Conversation`). Adding one
//! touches `Probe` candidates in `probe` and one variant where the engine keeps its conversations. All others have a `signature`.

use crate::record::{PartyKey, Records};

pub mod identity;
pub mod modbus;
pub mod opcua;
pub mod signature;

/// Which party sent something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The party that asks.
    Client,
    /// The party that answers.
    Server,
}

impl Side {
    /// The other side.
    pub fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// What the first bytes of one direction say about a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// It is this protocol; the sender is this side where the bytes show it.
    Certain(Option<Side>),
    /// It may be: the port decides, or more bytes.
    Possible(Option<Side>),
    /// It is not.
    No,
}

/// How the bytes travelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// A TCP stream, reassembled.
    Stream,
    /// A UDP datagram, whole.
    Datagram,
    /// An Ethernet frame.
    Frame,
}

/// What a conversation may touch while it parses.
pub struct Context<'a> {
    /// Where rows go.
    pub records: &'a mut Records,
    /// State that all conversations of the sensor share: last values of points, what is known of devices, counters.
    pub shared: &'a mut Shared,
    /// Key of this conversation's party, for its rows.
    pub party: PartyKey,
    /// The same with client and server exchanged is never needed: a server's own statements are rows of the same party.
    pub server: crate::packet::Address,
    /// Hardware address of the server, where it is known.
    pub server_mac: Option<[u8; 6]>,
    /// Time of the packet that completed the bytes at hand, nanoseconds since 1970.
    pub ts: i64,
}

/// State that all conversations of one sensor share. Each part has its own bound and counters.
#[derive(Default)]
pub struct Shared {
    /// Last values of Modbus points.
    pub points: modbus::point::Points,
    /// What is known of OPC UA servers: monitored items, names, last values.
    pub opcua: opcua::Servers,
    /// What is known of devices.
    pub devices: crate::device::Devices,
    /// What was not used, or cut short, by cause.
    pub counters: Counters,
}

impl Shared {
    /// What was counted so far.
    pub fn counted(&self) -> Counters {
        Counters { opcua_forgotten: self.opcua.forgotten(), ..self.counters }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.points.bytes() + self.opcua.bytes() + self.devices.bytes()
    }
}

/// Counts of what the protocol parsers skipped or cut short: these go into table `sensor`, column `sensor.drops`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes skipped while looking for the next message after a gap or nonsense.
    pub skipped_bytes: u64,
    /// Requests that were let go without a response because a conversation had too many outstanding.
    pub pending_overflow: u64,
    /// Points whose last value was forgotten because the table of last values was full: their next value is a row, new or not.
    pub points_overflow: u64,
    /// Violations not recorded because a conversation made too many in a short time.
    pub violations_limited: u64,
    /// Device facts forgotten because the table of devices was full.
    pub devices_overflow: u64,
    /// Fingerprints not recorded because their device had shown many others.
    pub fingerprints_limited: u64,
    /// Bytes of OPC UA connections skipped while looking for the next message.
    pub opcua_skipped_bytes: u64,
    /// Bytes at the ends of long OPC UA chunks that were left out: the chunk is longer than what is collected of one, or there was no room.
    pub opcua_long_chunk_bytes: u64,
    /// OPC UA requests that were let go without a response because a conversation, or all of them, had too much outstanding.
    pub opcua_pending_overflow: u64,
    /// OPC UA messages given up because their next chunk did not come in time, or because too much was incomplete at a time.
    pub opcua_incomplete: u64,
    /// Monitored items of OPC UA servers that were forgotten or not taken in because there was no room: their notifications have no node.
    pub opcua_monitored_overflow: u64,
    /// PubSub messages of which not all chunks came.
    pub pubsub_incomplete: u64,
    /// Data set messages whose raw fields were not decoded, because the metadata of their data set was not seen or does not fit.
    pub pubsub_raw_fields: u64,
    /// PubSub messages of which only headers are decoded: actions, reserved types, announcements of applications and actions, and data set
    /// messages that only a configuration tells apart.
    pub pubsub_not_decoded: u64,
    /// Metadata of data sets that was not taken in because it is too large.
    pub pubsub_metadata_overflow: u64,
    /// Names, points, definitions and data sets of OPC UA that were forgotten to make room for others.
    pub opcua_forgotten: u64,
}

impl Counters {
    /// Names and values of what was not used, in fixed order; violations are counted together with the engine's own.
    pub fn named(&self) -> [(&'static str, u64); 15] {
        [
            ("modbus_skipped_bytes", self.skipped_bytes),
            ("modbus_pending_overflow", self.pending_overflow),
            ("points_overflow", self.points_overflow),
            ("devices_overflow", self.devices_overflow),
            ("fingerprints_limited", self.fingerprints_limited),
            ("opcua_skipped_bytes", self.opcua_skipped_bytes),
            ("opcua_long_chunk_bytes", self.opcua_long_chunk_bytes),
            ("opcua_pending_overflow", self.opcua_pending_overflow),
            ("opcua_incomplete", self.opcua_incomplete),
            ("opcua_monitored_overflow", self.opcua_monitored_overflow),
            ("pubsub_incomplete", self.pubsub_incomplete),
            ("pubsub_raw_fields", self.pubsub_raw_fields),
            ("pubsub_not_decoded", self.pubsub_not_decoded),
            ("pubsub_metadata_overflow", self.pubsub_metadata_overflow),
            ("opcua_forgotten", self.opcua_forgotten),
        ]
    }
}

/// A conversation of one protocol. One direction may never be seen; either may start in the middle.
pub trait Conversation {
    /// In-order bytes of one side, from the first that was not consumed. Returns how many are consumed; the rest comes again with more
    /// behind it, but never more than `message_bytes` unconsumed. `context.ts` is the time of the packet that brought the newest bytes.
    /// Stops between messages when `context.records` is full: the engine cuts, and comes back with the rest at once.
    fn stream(&mut self, side: Side, data: &[u8], context: &mut Context<'_>) -> usize;

    /// A whole datagram of one side.
    fn datagram(&mut self, side: Side, data: &[u8], context: &mut Context<'_>);

    /// Bytes of one side were lost (`lost` of them, 0 if not known); unconsumed bytes before the gap are gone. The next bytes need not be at the
    /// start of a message.
    fn gap(&mut self, side: Side, lost: u64, context: &mut Context<'_>);

    /// When `expire` wants to be called at the latest: the packet time at which the oldest outstanding request is given up.
    fn deadline(&self) -> Option<i64>;

    /// Gives up what is older than its deadline at packet time `now`.
    fn expire(&mut self, now: i64, context: &mut Context<'_>);

    /// The conversation is over (closed, reset, silent, or the capture ended): whatever is outstanding becomes rows.
    fn close(&mut self, context: &mut Context<'_>);

    /// Bytes of what it holds until more comes, incomplete messages and requests without answers, which count towards a bound that all
    /// conversations of the protocol share (`opcua::chunk::HELD_BYTES`).
    fn held(&self) -> usize {
        0
    }

    /// That bound is reached, and this conversation holds most: it lets go of all that `held` tells. What cannot go because the tables are
    /// full stays until it is asked again.
    fn relieve(&mut self, _context: &mut Context<'_>) {}

    /// Bytes held by this conversation, for the memory bound.
    fn bytes(&self) -> usize;

    /// Most bytes of an incomplete message that the engine holds back for this protocol.
    fn message_bytes(&self) -> usize {
        MESSAGE_BYTES
    }
}

/// Most bytes of an incomplete message that the engine holds back for a conversation, unless its protocol says otherwise: longer ones are the
/// parser's to skip.
pub const MESSAGE_BYTES: usize = 16 * 1024;
