//! All conversations, within bounds: found by one look-up, ended by silence or to make room, the least valuable first.

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::{Flow, FlowKey};

/// How valuable a conversation is, from the first to go to the last, each with its own patience.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Over; kept for stragglers of the same connection.
    Ended,
    /// Not open yet.
    HalfOpen,
    /// Open, nothing was said in it, and no row has told of it: told when it has been silent for its patience, and not ended.
    Unspoken,
    /// Datagrams.
    Datagrams,
    /// A connection of a protocol that is not looked into.
    Other,
    /// A connection of an industrial protocol.
    Industrial,
}

impl Class {
    const ALL: [Self; 6] = [Self::Ended, Self::HalfOpen, Self::Unspoken, Self::Datagrams, Self::Other, Self::Industrial];

    /// Silence after which a conversation is over, in nanoseconds of packet time.
    const fn patience(self) -> i64 {
        const SECOND: i64 = 1_000_000_000;
        match self {
            Self::Ended => 5 * SECOND,
            // Longer than the widest gap between retransmissions of a SYN that Linux and Windows leave.
            Self::HalfOpen => 35 * SECOND,
            // As often as a conversation is told of while packets come.
            Self::Unspoken => 60 * SECOND,
            // RFC 4787, 4.3: a binding of datagrams lasts at least two minutes.
            Self::Datagrams => 120 * SECOND,
            Self::Other => 900 * SECOND,
            // Two hours is the default of TCP keep-alive (RFC 9293, 3.8.4); the pollers that matter speak more often.
            Self::Industrial => 3_600 * SECOND,
        }
    }
}

/// How far the order of conversations by their last packet may be off: moving one at each packet would cost three cache lines.
const TOUCH_NS: i64 = 1_000_000_000;

/// Which conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowId {
    index: u32,
    generation: u32,
}

/// No slot.
const NONE: u32 = u32::MAX;

struct Slot<A> {
    generation: u32,
    class: Class,
    before: u32,
    after: u32,
    touched: i64,
    flow: Option<Flow<A>>,
}

#[derive(Clone, Copy)]
struct List {
    oldest: u32,
    newest: u32,
}

/// All conversations.
pub struct Flows<A> {
    index: HashTable<u32>,
    slots: Vec<Slot<A>>,
    free: Vec<u32>,
    lists: [List; Class::ALL.len()],
    /// Seeded anew for each table, so that nobody can choose addresses that collide. No order depends on it.
    hasher: RandomState,
    limit: usize,
}

impl<A> Flows<A> {
    /// A table for so many conversations.
    pub fn new(limit: usize) -> Self {
        Self {
            index: HashTable::new(),
            slots: Vec::new(),
            free: Vec::new(),
            lists: [List { oldest: NONE, newest: NONE }; Class::ALL.len()],
            hasher: RandomState::default(),
            limit: limit.clamp(1, NONE as usize - 1),
        }
    }

    /// Number of conversations.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Whether the next conversation needs one to end.
    pub fn is_full(&self) -> bool {
        self.index.len() >= self.limit
    }

    /// Bytes of the table itself.
    pub fn bytes(&self) -> usize {
        // The index by its entries: how many more it has room for depends on where removed ones lay, and so on a random hash.
        self.slots.capacity() * size_of::<Slot<A>>() + self.index.len() * 5 + self.free.capacity() * 4
    }

    /// The conversation of this key.
    #[inline]
    pub fn find(&self, key: &FlowKey) -> Option<FlowId> {
        let hash = key.hash_with(&self.hasher);
        let index = *self.index.find(hash, |&index| self.key(index) == Some(key))?;
        Some(FlowId { index, generation: self.slots.get(index as usize)?.generation })
    }

    fn key(&self, index: u32) -> Option<&FlowKey> {
        self.slots.get(index as usize)?.flow.as_ref().map(|flow| &flow.key)
    }

    /// A conversation that has not ended since.
    #[inline]
    pub fn get_mut(&mut self, id: FlowId) -> Option<&mut Flow<A>> {
        self.slots.get_mut(id.index as usize).filter(|slot| slot.generation == id.generation)?.flow.as_mut()
    }

    /// Adds a conversation; there is none of its key.
    pub fn add(&mut self, flow: Flow<A>, class: Class, now: i64) -> FlowId {
        let hash = flow.key.hash_with(&self.hasher);
        let slot = Slot { generation: 0, class, before: NONE, after: NONE, touched: now, flow: Some(flow) };
        let index = match self.free.pop() {
            Some(index) => {
                if let Some(old) = self.slots.get_mut(index as usize) {
                    *old = Slot { generation: old.generation, ..slot };
                }
                index
            }
            None => {
                self.slots.push(slot);
                // The limit keeps the number below `NONE`.
                u32::try_from(self.slots.len() - 1).unwrap_or(NONE)
            }
        };
        let Self { index: table, slots, hasher, .. } = self;
        table.insert_unique(hash, index, |&index| {
            slots.get(index as usize).and_then(|slot| slot.flow.as_ref()).map_or(0, |flow| flow.key.hash_with(hasher))
        });
        self.link(index, class);
        FlowId { index, generation: self.slots.get(index as usize).map_or(0, |slot| slot.generation) }
    }

    /// Takes a conversation out.
    pub fn remove(&mut self, id: FlowId) -> Option<Flow<A>> {
        let key = self.get_mut(id)?.key;
        let hash = key.hash_with(&self.hasher);
        if let Ok(entry) = self.index.find_entry(hash, |&index| index == id.index) {
            entry.remove();
        }
        self.unlink(id.index);
        self.free.push(id.index);
        let slot = self.slots.get_mut(id.index as usize)?;
        slot.generation = slot.generation.wrapping_add(1);
        slot.flow.take()
    }

    /// A packet of this conversation came; its class may have changed.
    #[inline]
    pub fn touch(&mut self, id: FlowId, class: Class, now: i64) {
        if let Some(slot) = self.slots.get_mut(id.index as usize)
            && (slot.class != class || now.wrapping_sub(slot.touched).unsigned_abs() >= TOUCH_NS.unsigned_abs())
        {
            slot.touched = now;
            self.unlink(id.index);
            self.link(id.index, class);
        }
    }

    /// A conversation that has been silent for too long at `now`; one whose last packet lies that far ahead belongs to another time too.
    pub fn silent(&self, now: i64) -> Option<FlowId> {
        Class::ALL.into_iter().zip(&self.lists).find_map(|(class, list)| {
            let slot = self.slots.get(list.oldest as usize)?;
            let silence = now.saturating_sub(slot.touched).saturating_abs();
            (silence > class.patience().saturating_add(TOUCH_NS))
                .then_some(FlowId { index: list.oldest, generation: slot.generation })
        })
    }

    /// The least valuable conversation.
    pub fn least(&self) -> Option<FlowId> {
        self.lists.iter().find_map(|list| {
            let slot = self.slots.get(list.oldest as usize)?;
            Some(FlowId { index: list.oldest, generation: slot.generation })
        })
    }

    /// All conversations, in an order that depends on nothing but the packets.
    pub fn ids(&self) -> Vec<FlowId> {
        let mut ids: Vec<(i64, u32, FlowId)> = Vec::with_capacity(self.len());
        for (index, slot) in (0_u32..).zip(&self.slots) {
            if let Some(flow) = &slot.flow {
                ids.push((flow.first_ts, index, FlowId { index, generation: slot.generation }));
            }
        }
        ids.sort_unstable_by_key(|(ts, index, _)| (*ts, *index));
        ids.into_iter().map(|(_, _, id)| id).collect()
    }

    /// All conversations themselves.
    pub fn iter(&self) -> impl Iterator<Item = &Flow<A>> {
        self.slots.iter().filter_map(|slot| slot.flow.as_ref())
    }

    fn list(&mut self, class: Class) -> Option<&mut List> {
        self.lists.get_mut(class as usize)
    }

    fn link(&mut self, index: u32, class: Class) {
        let newest = self.list(class).map_or(NONE, |list| list.newest);
        if let Some(slot) = self.slots.get_mut(index as usize) {
            slot.class = class;
            slot.before = newest;
            slot.after = NONE;
        }
        match self.slots.get_mut(newest as usize) {
            Some(before) => before.after = index,
            None => {
                if let Some(list) = self.list(class) {
                    list.oldest = index;
                }
            }
        }
        if let Some(list) = self.list(class) {
            list.newest = index;
        }
    }

    fn unlink(&mut self, index: u32) {
        let Some((class, before, after)) = self.slots.get(index as usize).map(|slot| (slot.class, slot.before, slot.after))
        else {
            return;
        };
        match self.slots.get_mut(before as usize) {
            Some(slot) => slot.after = after,
            None => {
                if let Some(list) = self.list(class) {
                    list.oldest = after;
                }
            }
        }
        match self.slots.get_mut(after as usize) {
            Some(slot) => slot.before = before,
            None => {
                if let Some(list) = self.list(class) {
                    list.newest = before;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Address;
    use crate::record::table::Transport;
    use crate::transport::Endpoint;

    const SECOND: i64 = 1_000_000_000;

    fn flow(port: u16, ts: i64) -> Flow<()> {
        let endpoint = |last, port| Endpoint { address: Address::v4([10, 0, 0, last]), port };
        let (key, client) = FlowKey::new(endpoint(1, port), endpoint(2, 502), Transport::Tcp);
        Flow::new(key, client, ts, ())
    }

    #[test]
    fn half_open_conversations_make_room_before_industrial_ones() {
        let mut flows = Flows::new(2);
        let industrial = flows.add(flow(1, 0), Class::Industrial, 0);
        let half_open = flows.add(flow(2, 5), Class::HalfOpen, 5);
        assert!(flows.is_full());
        assert_eq!(flows.least(), Some(half_open));
        assert!(flows.remove(half_open).is_some());
        assert_eq!(flows.least(), Some(industrial));
        assert!(flows.get_mut(half_open).is_none());
        assert_eq!(flows.find(&flow(1, 0).key), Some(industrial));
    }

    #[test]
    fn silence_ends_a_conversation_after_its_class_s_patience_and_a_packet_renews_it() {
        let mut flows = Flows::new(8);
        let first = flows.add(flow(1, 0), Class::Other, 0);
        let second = flows.add(flow(2, 0), Class::Other, 0);
        flows.touch(first, Class::Other, 600 * SECOND);
        assert_eq!(flows.silent(900 * SECOND), None);
        assert_eq!(flows.silent(902 * SECOND), Some(second));
        flows.remove(second);
        assert_eq!(flows.silent(902 * SECOND), None);
        flows.touch(first, Class::Ended, 902 * SECOND);
        assert_eq!(flows.silent(909 * SECOND), Some(first));
    }

    #[test]
    fn conversations_of_another_time_end_when_the_clock_was_set_back() {
        let mut flows = Flows::new(8);
        let id = flows.add(flow(1, 0), Class::Industrial, i64::MAX);
        assert_eq!(flows.silent(i64::MIN), Some(id));
    }
}
