//! Which node a notification is about: monitored items of all servers, whichever connection created them.
//!
//! A notification names its item by the handle that the client chose; only the creation of the item tells the node (OPC 10000-4, 5.13.2).
//! Subscriptions outlive connections and may move to another session (5.14.7), so that they are kept by server.

use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};

use super::binary::List;
use super::item::Item;
use super::node::{Keys, Node};
use super::service::SimpleAttributeOperand;

/// Monitored items that may be held in all.
pub const MONITORED: usize = 131_072;
/// Subscriptions that may be held in all.
pub const SUBSCRIPTIONS: usize = 16_384;
/// Bytes of the items' texts that may be held in all.
const TEXT_BYTES: usize = 32 * 1024 * 1024;
/// Longest text of a node that is held.
const NODE_BYTES: usize = 512;
/// Fields of an event that are named: filters for alarms of a subtype select its own seventy before source, severity and message.
const EVENT_FIELDS: usize = 256;
/// What an item costs beside its texts.
const ITEM_COST: usize = 144;
/// A subscription that nobody heard of for less than this is not over: five minutes, nanoseconds.
const LEAST_LIFETIME_NS: i64 = 300_000_000_000;
/// How often those that are over are looked for, nanoseconds.
const SWEEP_NS: i64 = 60_000_000_000;

/// A server: a hash of its address and port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Server(pub u64);

/// A session: a hash of its authentication token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionKey(pub u64);

/// A monitored item.
#[derive(Clone, Debug)]
pub struct Monitored {
    /// Its node, as text.
    pub node: Arc<str>,
    /// Hash of its node, for names and points.
    pub hash: u64,
    /// Keys of its text.
    pub keys: Keys,
    /// Its attribute.
    pub attribute: u32,
    /// Whether a part of an array is monitored.
    pub is_part: bool,
    /// The server's number.
    pub item_id: Option<u32>,
    /// Names of the fields of its events, in order.
    pub fields: Option<Arc<[Box<str>]>>,
    /// Whether the server was seen to create it.
    pub is_confirmed: bool,
}

impl Monitored {
    /// Bytes of its texts: its node, and the names of its events' fields.
    fn text_bytes(&self) -> usize {
        let fields = self.fields.iter().flat_map(|names| names.iter());
        self.node.len() + fields.map(|name| name.len() + size_of::<Box<str>>()).sum::<usize>()
    }

    /// The item that a request creates.
    pub fn of(item: &Item<'_>, item_id: Option<u32>, is_confirmed: bool) -> Self {
        let mut node = String::new();
        if let Node::Plain(id) = &item.node {
            id.write_text(&mut node);
        }
        Self {
            node: Arc::from(node),
            hash: item.node.hash().unwrap_or_default(),
            keys: Keys::default(),
            attribute: item.attribute.unwrap_or_default(),
            is_part: !item.index_range.unwrap_or_default().is_empty(),
            item_id,
            fields: item.filter.map(|filter| field_names(filter.select)),
            is_confirmed,
        }
    }
}

#[derive(Default)]
struct Subscription {
    session: Option<SessionKey>,
    /// By the handle that the client chose.
    items: HashMap<u32, Monitored, FixedState>,
    /// Handles by the server's numbers.
    handles: HashMap<u32, u32, FixedState>,
    /// When it was created, or published last.
    used: i64,
    /// How long the server keeps it without hearing of its client, nanoseconds, where that was seen.
    lifetime: Option<i64>,
}

impl Subscription {
    /// Adds an item; the one that had its handle makes room.
    fn put(&mut self, handle: u32, item: Monitored) -> Option<Monitored> {
        let before = self.take(handle);
        if let Some(id) = item.item_id {
            self.handles.insert(id, handle);
        }
        self.items.insert(handle, item);
        before
    }

    fn take(&mut self, handle: u32) -> Option<Monitored> {
        let item = self.items.remove(&handle)?;
        if let Some(id) = item.item_id
            && self.handles.get(&id) == Some(&handle)
        {
            self.handles.remove(&id);
        }
        Some(item)
    }

    fn text_bytes(&self) -> usize {
        self.items.values().map(Monitored::text_bytes).sum()
    }

    /// Whether the server has ended it: nothing was published for its lifetime, and once more because not everything may have been seen.
    fn is_over(&self, now: i64) -> bool {
        let most = |lifetime: i64| lifetime.saturating_mul(2).max(LEAST_LIFETIME_NS);
        self.lifetime.is_some_and(|lifetime| now.saturating_sub(self.used) > most(lifetime))
    }
}

/// Subscriptions of all servers.
#[derive(Default)]
pub struct Subscriptions {
    all: HashMap<(Server, u32), Subscription, FixedState>,
    items: usize,
    text_bytes: usize,
    /// When those that are over were looked for.
    swept: i64,
}

impl Subscriptions {
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.items * ITEM_COST + self.text_bytes + self.all.capacity() * size_of::<((Server, u32), Subscription)>()
    }

    /// A server created a subscription: what was known by its number is over. Returns how many items were forgotten to make room.
    pub fn created(&mut self, server: Server, id: u32, session: Option<SessionKey>, lifetime: i64, now: i64) -> usize {
        self.deleted(server, id);
        if now.saturating_sub(self.swept).saturating_abs() >= SWEEP_NS {
            self.swept = now;
            let over = self.all.iter().filter(|(_, subscription)| subscription.is_over(now)).map(|(key, _)| *key);
            for (server, id) in over.collect::<Vec<_>>() {
                self.deleted(server, id);
            }
        }
        let forgotten = self.make_room((server, id), 0);
        let lifetime = Some(lifetime);
        self.all.insert((server, id), Subscription { session, used: now, lifetime, ..Subscription::default() });
        forgotten
    }

    /// A server gave a subscription another lifetime.
    pub fn modified(&mut self, server: Server, id: u32, lifetime: i64) {
        if let Some(subscription) = self.all.get_mut(&(server, id)) {
            subscription.lifetime = Some(lifetime);
        }
    }

    /// A subscription published.
    pub fn published(&mut self, server: Server, id: u32, now: i64) {
        if let Some(subscription) = self.all.get_mut(&(server, id)) {
            subscription.used = now;
        }
    }

    /// A subscription is no more.
    pub fn deleted(&mut self, server: Server, id: u32) {
        if let Some(subscription) = self.all.remove(&(server, id)) {
            self.items = self.items.saturating_sub(subscription.items.len());
            self.text_bytes = self.text_bytes.saturating_sub(subscription.text_bytes());
        }
    }

    /// A session ended with its subscriptions.
    pub fn ended(&mut self, server: Server, session: SessionKey) {
        let ids: Vec<u32> = self
            .all
            .iter()
            .filter(|((of, _), subscription)| *of == server && subscription.session == Some(session))
            .map(|((_, id), _)| *id)
            .collect();
        for id in ids {
            self.deleted(server, id);
        }
    }

    /// A subscription belongs to another session now.
    pub fn transferred(&mut self, server: Server, id: u32, session: Option<SessionKey>) {
        if let Some(subscription) = self.all.get_mut(&(server, id)) {
            subscription.session = session;
        }
    }

    /// An item is monitored. Returns how many items were forgotten to make room, or not taken in.
    pub fn monitored(
        &mut self,
        server: Server,
        id: u32,
        handle: u32,
        session: Option<SessionKey>,
        item: Monitored,
        now: i64,
    ) -> usize {
        let bytes = item.text_bytes();
        if item.node.len() > NODE_BYTES {
            return 1;
        }
        let forgotten = self.make_room((server, id), bytes);
        if self.items >= MONITORED || self.text_bytes + bytes > TEXT_BYTES {
            return forgotten + 1;
        }
        let new = || Subscription { session, used: now, ..Subscription::default() };
        let subscription = self.all.entry((server, id)).or_insert_with(new);
        self.text_bytes += bytes;
        match subscription.put(handle, item) {
            Some(before) => self.text_bytes = self.text_bytes.saturating_sub(before.text_bytes()),
            None => self.items += 1,
        }
        forgotten
    }

    /// Where there is no room for another item of a subscription, those others go that published least lately, until a sixteenth is free: looking at
    /// all of them is too much to do for one. Returns how many items went.
    fn make_room(&mut self, of: (Server, u32), bytes: usize) -> usize {
        let has_room = self.items < MONITORED
            && self.text_bytes + bytes <= TEXT_BYTES
            && (self.all.len() < SUBSCRIPTIONS || self.all.contains_key(&of));
        if has_room {
            return 0;
        }
        let mut others: Vec<(i64, u64, u32)> = self
            .all
            .iter()
            .filter(|(key, _)| **key != of)
            .map(|((Server(server), id), known)| (known.used, *server, *id))
            .collect();
        others.sort_unstable();
        let before = self.items;
        for (_, server, id) in others {
            let is_enough = self.items <= MONITORED - MONITORED / 16
                && self.text_bytes + bytes <= TEXT_BYTES - TEXT_BYTES / 16
                && self.all.len() <= SUBSCRIPTIONS - SUBSCRIPTIONS / 16;
            if is_enough {
                break;
            }
            self.deleted(Server(server), id);
        }
        before - self.items
    }

    /// Items are monitored no more.
    pub fn removed(&mut self, server: Server, id: u32, item_ids: &HashSet<u32, FixedState>) {
        let Some(subscription) = self.all.get_mut(&(server, id)) else {
            return;
        };
        for item_id in item_ids {
            if let Some(handle) = subscription.handles.get(item_id).copied()
                && let Some(item) = subscription.take(handle)
            {
                self.items = self.items.saturating_sub(1);
                self.text_bytes = self.text_bytes.saturating_sub(item.text_bytes());
            }
        }
    }

    /// The client gave items other handles, all at once: two may have exchanged theirs. Each is the server's number and the new handle.
    pub fn renamed(&mut self, server: Server, id: u32, renames: &[(u32, u32)]) {
        let Some(subscription) = self.all.get_mut(&(server, id)) else {
            return;
        };
        // Of an item that is named twice the last handle holds.
        let mut latest: HashMap<u32, u32, FixedState> = renames.iter().copied().collect();
        let mut moved = Vec::new();
        for (item_id, _) in renames {
            if let Some(handle) = latest.remove(item_id)
                && let Some(before) = subscription.handles.get(item_id).copied()
                && let Some(item) = subscription.take(before)
            {
                moved.push((handle, item));
            }
        }
        for (handle, item) in moved {
            if let Some(before) = subscription.put(handle, item) {
                self.items = self.items.saturating_sub(1);
                self.text_bytes = self.text_bytes.saturating_sub(before.text_bytes());
            }
        }
    }

    /// The item of a handle, and whether its subscription belongs to another session than this as far as is known.
    pub fn item(&mut self, server: Server, id: u32, handle: u32, session: Option<SessionKey>) -> Option<(&mut Monitored, bool)> {
        let subscription = self.all.get_mut(&(server, id))?;
        let is_foreign = matches!((subscription.session, session), (Some(owner), Some(user)) if owner != user);
        Some((subscription.items.get_mut(&handle)?, is_foreign))
    }

    /// The node of an item by the server's number, as text.
    pub fn node(&self, server: Server, id: u32, item_id: u32) -> Option<&Monitored> {
        let subscription = self.all.get(&(server, id))?;
        subscription.items.get(subscription.handles.get(&item_id)?)
    }
}

/// How long a server keeps a subscription without hearing of its client, nanoseconds: its publishing interval, milliseconds, so many times (OPC
/// 10000-4, 5.14.2.2).
pub fn lifetime(publishing_interval: f64, lifetime_count: u32) -> i64 {
    (publishing_interval * f64::from(lifetime_count) * 1e6) as i64
}

/// Names of the fields that an event filter selects: the last browse name of each path.
pub fn field_names(select: List<'_, SimpleAttributeOperand<'_>>) -> Arc<[Box<str>]> {
    let mut names: Vec<Box<str>> = Vec::new();
    for operand in select.iter().take(EVENT_FIELDS) {
        let mut text = String::new();
        match operand.path.iter().last() {
            Some(name) => name.write_text(&mut text),
            None => text.push_str("ConditionId"),
        }
        names.push(text.chars().take(128).collect::<String>().into());
    }
    names.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Server = Server(1);

    fn item(node: &str, item_id: u32) -> Monitored {
        Monitored {
            node: node.into(),
            hash: 7,
            keys: Keys::default(),
            attribute: 13,
            is_part: false,
            item_id: Some(item_id),
            fields: None,
            is_confirmed: true,
        }
    }

    fn node(all: &mut Subscriptions, id: u32, handle: u32) -> Option<String> {
        all.item(HERE, id, handle, None).map(|(item, _)| item.node.to_string())
    }

    #[test]
    fn items_follow_their_subscription_until_they_are_deleted() {
        let mut all = Subscriptions::default();
        let (one, other) = (Some(SessionKey(1)), Some(SessionKey(2)));
        all.created(HERE, 5, one, 0, 0);
        all.monitored(HERE, 5, 10, one, item("i=1", 100), 0);
        all.monitored(HERE, 5, 11, one, item("i=2", 101), 0);
        assert_eq!(node(&mut all, 5, 10), Some("i=1".to_owned()));
        assert!(all.item(HERE, 5, 10, other).unwrap().1);
        all.transferred(HERE, 5, other);
        assert!(!all.item(HERE, 5, 10, other).unwrap().1);
        all.renamed(HERE, 5, &[(101, 12)]);
        assert_eq!([11, 12].map(|handle| node(&mut all, 5, handle)), [None, Some("i=2".to_owned())]);
        all.removed(HERE, 5, &HashSet::from_iter([100]));
        assert_eq!([10, 12].map(|handle| node(&mut all, 5, handle)), [None, Some("i=2".to_owned())]);
        assert_eq!(all.item(Server(2), 5, 12, None).map(|_| ()), None);
        all.ended(HERE, SessionKey(1));
        assert_eq!(node(&mut all, 5, 12), Some("i=2".to_owned()));
        all.ended(HERE, SessionKey(2));
        assert_eq!(node(&mut all, 5, 12), None);
        assert_eq!((all.items, all.text_bytes), (0, 0));
    }

    #[test]
    fn the_texts_of_items_have_a_bound() {
        let mut all = Subscriptions::default();
        let fields: Arc<[Box<str>]> = vec!["x".repeat(128).into_boxed_str(); EVENT_FIELDS].into();
        let long = |handle| Monitored { fields: Some(fields.clone()), ..item("i=1", handle) };
        let taken =
            (0..MONITORED as u32).take_while(|&handle| all.monitored(HERE, 1, handle, None, long(handle), 0) == 0).count();
        assert!((500..2_000).contains(&taken), "{taken}");
        all.deleted(HERE, 1);
        assert_eq!(all.monitored(HERE, 1, 0, None, long(0), 0), 0);
    }

    #[test]
    fn the_number_of_items_of_one_subscription_has_a_bound() {
        let mut all = Subscriptions::default();
        for handle in 0..=MONITORED as u32 {
            let lost = all.monitored(HERE, 1, handle, None, item("i=1", handle), 0);
            assert_eq!(lost, usize::from(handle as usize == MONITORED));
        }
        assert_eq!(all.items, MONITORED);
        all.created(HERE, 1, None, 0, 0);
        assert_eq!((all.items, all.text_bytes), (0, 0));
    }

    #[test]
    fn a_new_subscription_takes_the_room_of_those_that_published_least_lately() {
        let mut all = Subscriptions::default();
        let each = 1_024;
        let count = (MONITORED / each) as u32;
        for id in 0..count {
            (0..each as u32).for_each(|handle| assert_eq!(all.monitored(HERE, id, handle, None, item("i=1", handle), 0), 0));
        }
        (0..count).filter(|id| id % 2 == 0).for_each(|id| all.published(HERE, id, 5));
        assert_eq!(all.monitored(HERE, count, 1, None, item("i=2", 1), 6), each * count as usize / 16);
        assert_eq!(node(&mut all, count, 1), Some("i=2".to_owned()));
        let known = |all: &mut Subscriptions, rest| {
            (0..count).filter(|id| id % 2 == rest && all.item(HERE, *id, 7, None).is_some()).count()
        };
        assert_eq!(known(&mut all, 0), count as usize / 2);
        assert_eq!(known(&mut all, 1), count as usize / 2 - count as usize / 16);
    }

    #[test]
    fn the_number_of_subscriptions_has_a_bound() {
        let mut all = Subscriptions::default();
        (0..2 * SUBSCRIPTIONS as u32).for_each(|id| {
            all.created(HERE, id, None, i64::MAX, i64::from(id));
        });
        assert!((SUBSCRIPTIONS - SUBSCRIPTIONS / 16..=SUBSCRIPTIONS).contains(&all.all.len()));
        assert!(all.all.contains_key(&(HERE, 2 * SUBSCRIPTIONS as u32 - 1)));
    }

    #[test]
    fn a_subscription_is_over_when_nothing_was_published_for_long() {
        let mut all = Subscriptions::default();
        let second = 1_000_000_000;
        let lifetime = lifetime(100.0, 6_000);
        assert_eq!(lifetime, 600 * second);
        for id in [1, 2] {
            all.created(HERE, id, None, lifetime, 0);
            all.monitored(HERE, id, 1, None, item("i=1", 1), 0);
        }
        // Whose creation was not seen.
        all.monitored(HERE, 3, 1, None, item("i=1", 1), 0);
        all.published(HERE, 2, 600 * second);
        all.created(HERE, 9, None, lifetime, 1_200 * second);
        assert_eq!([1, 2, 3].map(|id| node(&mut all, id, 1).is_some()), [true; 3]);
        all.created(HERE, 9, None, lifetime, 1_290 * second);
        assert_eq!([1, 2, 3].map(|id| node(&mut all, id, 1).is_some()), [false, true, true]);
        assert_eq!(super::lifetime(f64::NAN, 9), 0);
    }

    #[test]
    fn items_that_exchange_their_handles_keep_their_nodes() {
        let mut all = Subscriptions::default();
        all.monitored(HERE, 5, 1, None, item("i=1", 101), 0);
        all.monitored(HERE, 5, 2, None, item("i=2", 102), 0);
        all.monitored(HERE, 5, 3, None, item("i=3", 103), 0);
        all.renamed(HERE, 5, &[(101, 9), (102, 1), (101, 2), (999, 3)]);
        assert_eq!([1, 2, 3].map(|handle| node(&mut all, 5, handle).unwrap()), ["i=2", "i=1", "i=3"]);
        assert_eq!([101, 102].map(|id| &*all.node(HERE, 5, id).unwrap().node), ["i=1", "i=2"]);
        all.renamed(HERE, 5, &[(101, 3)]);
        assert_eq!((all.items, all.node(HERE, 5, 103).is_none()), (2, true));
        all.removed(HERE, 5, &HashSet::from_iter([101, 102]));
        assert_eq!((all.items, all.text_bytes), (0, 0));
    }
}
