//! Reads that come again and again: pollers ask for the same values in the same words, which are then not read anew.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::binary::{NodeId, OwnedNodeId};
use super::item::{Item, VALUE};
use super::node::{self, Keys, Node};
use super::service::{self, Decoded, Service};

/// Polls that are held; all are forgotten where there are more, of items or of bytes.
const POLLS: usize = 4_096;
/// Bytes of all polls.
const POLL_BYTES: usize = 4 * 1024 * 1024;
/// Requests that are remembered to be told again: only what comes twice is a poll. A power of two.
const HEARD: usize = 1_024;
/// Longest text of a node.
const NODE_BYTES: usize = 256;
/// What an item costs beside its text.
const ITEM_COST: usize = 128;

/// A value that is polled: the attribute Value, all of it, of a node that the specification does not define.
pub struct Polled {
    /// The node.
    pub node: OwnedNodeId,
    /// Its hash.
    pub hash: u64,
    /// Its text.
    pub text: Box<str>,
    /// Its keys.
    pub keys: Keys,
}

struct Poll {
    hash: u64,
    content: Box<[u8]>,
    items: Vec<Polled>,
}

/// Number of a poll, until the next request is looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PollId(u32);

/// Polls of all clients.
#[derive(Default)]
pub struct Polls {
    all: Vec<Poll>,
    index: HashTable<u32>,
    heard: Vec<u64>,
    bytes: usize,
}

impl Polls {
    /// Bytes held, an estimate.
    pub fn bytes(&self) -> usize {
        self.bytes + self.heard.len() * size_of::<u64>()
    }

    /// The poll that a request is, and what its header says. `latest`: the one that its conversation carried last.
    pub fn find<'a>(&self, body: &'a [u8], latest: &mut PollId) -> Option<(PollId, Decoded<'a>)> {
        if self.all.is_empty() {
            return None;
        }
        let (decoded, content) = read(body)?;
        let is_it = |at: &u32| self.all.get(*at as usize).is_some_and(|poll| *poll.content == *content);
        if !is_it(&latest.0) {
            latest.0 = *self.index.find(hash(content), is_it)?;
        }
        let operations = u32::try_from(self.len(*latest)).unwrap_or(u32::MAX);
        Some((*latest, Decoded { operations, ..decoded }))
    }

    /// Number of values of a poll.
    pub fn len(&self, poll: PollId) -> usize {
        self.all.get(poll.0 as usize).map_or(0, |poll| poll.items.len())
    }

    /// A value of a poll.
    #[inline]
    pub fn item(&mut self, poll: PollId, at: usize) -> Option<&mut Polled> {
        self.all.get_mut(poll.0 as usize)?.items.get_mut(at)
    }

    /// A request was read whole and without fault, and these are its items: a poll if it came before.
    pub fn learn(&mut self, body: &[u8], items: &[Item<'_>]) {
        let Some((_, content)) = read(body) else { return };
        let hash = hash(content);
        if self.heard.is_empty() {
            self.heard.resize(HEARD, 0);
        }
        let place = hash as usize % HEARD;
        match self.heard.get_mut(place) {
            Some(heard) if *heard == hash => {}
            Some(heard) => return *heard = hash,
            None => return,
        }
        let Some(items) = items.iter().map(polled).collect::<Option<Vec<_>>>().filter(|items| !items.is_empty()) else {
            return;
        };
        let bytes = content.len() + items.iter().map(|item| 2 * item.text.len() + ITEM_COST).sum::<usize>();
        if bytes > POLL_BYTES / 16 {
            return;
        }
        if self.all.len() >= POLLS || self.bytes + bytes > POLL_BYTES {
            (self.all, self.index, self.bytes) = (Vec::new(), HashTable::new(), 0);
        }
        let at = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        self.bytes += bytes;
        self.all.push(Poll { hash, content: content.into(), items });
        let all = &self.all;
        self.index.insert_unique(hash, at, |at| all.get(*at as usize).map_or(0, |poll| poll.hash));
    }
}

/// Header and content of a request to read.
fn read(body: &[u8]) -> Option<(Decoded<'_>, &[u8])> {
    service::request_header(body).filter(|(decoded, _)| decoded.service == Some(Service::Read) && decoded.irregular.is_none())
}

fn hash(content: &[u8]) -> u64 {
    FixedState::default().hash_one(content)
}

fn polled(item: &Item<'_>) -> Option<Polled> {
    let Node::Plain(node @ NodeId { namespace: 1.., .. }) = item.node else {
        return None;
    };
    if item.attribute != Some(VALUE) || !item.index_range.unwrap_or_default().is_empty() {
        return None;
    }
    let mut text = String::new();
    node.write_text(&mut text);
    let is_short = text.len() <= NODE_BYTES;
    is_short.then(|| Polled { node: (&node).into(), hash: node::hash(&node), text: text.into(), keys: Keys::default() })
}
