//! OPC UA: binary encoding of messages (OPC 10000-6), the services that they carry (OPC 10000-4), and the rows that they become.

mod about;
mod answers;
mod asked;
pub mod binary;
pub mod certificate;
pub mod channel;
mod check;
pub mod chunk;
mod conversation;
mod diagnostics;
mod exchange;
mod history;
mod identity;
mod item;
mod item_text;
mod known_text;
mod long_chunk;
mod monitored_row;
pub mod name;
mod node;
mod number_row;
mod over;
pub mod point;
pub mod poll;
pub mod pubsub;
mod row;
mod secret;
pub mod service;
mod service_name;
mod session;
pub mod status;
pub mod structures;
pub mod subscription;
pub mod transport;
mod violation;

pub use conversation::Opcua;
pub use transport::{PORT, probe};

/// What the conversations of all OPC UA servers share.
#[derive(Default)]
pub struct Servers {
    /// Monitored items.
    pub subscriptions: subscription::Subscriptions,
    /// Names of nodes.
    pub names: name::NodeNames,
    /// Which arguments of methods are secrets.
    pub secrets: secret::Secrets,
    /// Definitions of structures.
    pub structures: structures::Structures,
    /// What the fields of PubSub data sets are.
    pub data_sets: pubsub::metadata::DataSets,
    /// Last values of points.
    pub points: point::Points,
    /// Reads that come again and again.
    pub polls: poll::Polls,
    /// Texts of nodes.
    pub node_texts: known_text::Nodes,
    /// Texts of numbers.
    pub number_texts: known_text::Numbers,
    /// Bytes of incomplete messages and outstanding requests that all conversations hold together.
    pub held_bytes: usize,
    /// Bodies of messages that are done with.
    pub spares: chunk::Spares,
    /// Room for the texts of a row.
    pub room: item_text::Room,
}

impl Servers {
    /// Names, points, servers' definitions and data sets that were forgotten to make room for others.
    pub fn forgotten(&self) -> u64 {
        self.names.forgotten + self.points.forgotten + self.structures.forgotten + self.data_sets.forgotten
    }

    /// Bytes held, but for what the conversations count themselves.
    pub fn bytes(&self) -> usize {
        let texts = self.node_texts.bytes() + self.number_texts.bytes() + self.spares.bytes() + self.room.bytes();
        self.subscriptions.bytes()
            + self.structures.bytes()
            + self.names.bytes()
            + self.secrets.bytes()
            + self.points.bytes()
            + self.polls.bytes()
            + self.data_sets.bytes()
            + texts
    }
}

impl super::Shared {
    /// An item is monitored; counts what there is no room for.
    fn monitored(
        &mut self,
        server: subscription::Server,
        id: u32,
        handle: u32,
        session: Option<subscription::SessionKey>,
        item: subscription::Monitored,
        now: i64,
    ) {
        let lost = self.opcua.subscriptions.monitored(server, id, handle, session, item, now);
        self.counters.opcua_monitored_overflow += lost as u64;
    }
}
