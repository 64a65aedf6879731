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
const ITEM_COST: usize = 128;

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
    items: HashMap<u32, Monitored, FixedState>,
}

/// Subscriptions of all servers.
#[derive(Default)]
pub struct Subscriptions {
    all: HashMap<(Server, u32), Subscription, FixedState>,
    items: usize,
    text_bytes: usize,
}

impl Subscriptions {
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.items * ITEM_COST + self.text_bytes + self.all.capacity() * size_of::<((Server, u32), Subscription)>()
    }

    /// A server created a subscription: what was known by its number is over.
    pub fn created(&mut self, server: Server, id: u32, session: Option<SessionKey>) {
        self.deleted(server, id);
        if self.all.len() < SUBSCRIPTIONS {
            self.all.insert((server, id), Subscription { session, ..Subscription::default() });
        }
    }

    /// A subscription is no more.
    pub fn deleted(&mut self, server: Server, id: u32) {
        if let Some(subscription) = self.all.remove(&(server, id)) {
            self.items = self.items.saturating_sub(subscription.items.len());
            self.text_bytes -= subscription.items.values().map(Monitored::text_bytes).sum::<usize>().min(self.text_bytes);
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

    /// An item is monitored. Returns whether there was room for it.
    pub fn monitored(&mut self, server: Server, id: u32, handle: u32, session: Option<SessionKey>, item: Monitored) -> bool {
        let bytes = item.text_bytes();
        let is_full = self.items >= MONITORED || self.text_bytes + bytes > TEXT_BYTES || item.node.len() > NODE_BYTES;
        let has_room = self.all.len() < SUBSCRIPTIONS || self.all.contains_key(&(server, id));
        if is_full || !has_room {
            return false;
        }
        let subscription = self.all.entry((server, id)).or_insert_with(|| Subscription { session, ..Subscription::default() });
        self.text_bytes += bytes;
        match subscription.items.insert(handle, item) {
            Some(before) => self.text_bytes = self.text_bytes.saturating_sub(before.text_bytes()),
            None => self.items += 1,
        }
        true
    }

    /// Items are monitored no more.
    pub fn removed(&mut self, server: Server, id: u32, item_ids: &HashSet<u32, FixedState>) {
        let Some(subscription) = self.all.get_mut(&(server, id)) else {
            return;
        };
        let (before, mut bytes) = (subscription.items.len(), 0);
        subscription.items.retain(|_, item| {
            let is_gone = item.item_id.is_some_and(|id| item_ids.contains(&id));
            bytes += if is_gone { item.text_bytes() } else { 0 };
            !is_gone
        });
        self.items = self.items.saturating_sub(before - subscription.items.len());
        self.text_bytes = self.text_bytes.saturating_sub(bytes);
    }

    /// The client gave an item another handle.
    pub fn renamed(&mut self, server: Server, id: u32, item_id: u32, handle: u32) {
        let Some(subscription) = self.all.get_mut(&(server, id)) else {
            return;
        };
        let before = subscription.items.iter().find(|(_, item)| item.item_id == Some(item_id)).map(|(handle, _)| *handle);
        if let Some(before) = before.filter(|before| *before != handle)
            && let Some(item) = subscription.items.remove(&before)
        {
            self.text_bytes = self.text_bytes.saturating_sub(subscription.items.get(&handle).map_or(0, Monitored::text_bytes));
            if subscription.items.insert(handle, item).is_some() {
                self.items = self.items.saturating_sub(1);
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
        self.all.get(&(server, id))?.items.values().find(|item| item.item_id == Some(item_id))
    }
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
        all.created(HERE, 5, one);
        all.monitored(HERE, 5, 10, one, item("i=1", 100));
        all.monitored(HERE, 5, 11, one, item("i=2", 101));
        assert_eq!(node(&mut all, 5, 10), Some("i=1".to_owned()));
        assert!(all.item(HERE, 5, 10, other).unwrap().1);
        all.transferred(HERE, 5, other);
        assert!(!all.item(HERE, 5, 10, other).unwrap().1);
        all.renamed(HERE, 5, 101, 12);
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
        let taken = (0..MONITORED as u32).take_while(|&handle| all.monitored(HERE, 1, handle, None, long(handle))).count();
        assert!((500..2_000).contains(&taken), "{taken}");
        all.deleted(HERE, 1);
        assert!(all.monitored(HERE, 1, 0, None, long(0)));
    }

    #[test]
    fn the_number_of_items_has_a_bound() {
        let mut all = Subscriptions::default();
        for handle in 0..=MONITORED as u32 {
            assert_eq!(all.monitored(HERE, 1, handle, None, item("i=1", handle)), (handle as usize) < MONITORED);
        }
        assert_eq!(all.items, MONITORED);
        all.created(HERE, 1, None);
        assert_eq!((all.items, all.text_bytes), (0, 0));
    }
}
