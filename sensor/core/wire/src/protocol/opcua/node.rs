//! Nodes and names as messages have them, and as rows name them.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use super::binary::{ExpandedNodeId, List, LocalizedText, NodeId, QualifiedName, Text};
use super::item_text::NAME_BYTES;
use super::service::RelativePathElement;
use crate::record::Records;

/// A node of an item.
#[derive(Clone, Copy, Debug, Default)]
pub enum Node<'a> {
    /// None, or not known.
    #[default]
    None,
    /// On the server.
    Plain(NodeId<'a>),
    /// Maybe on another server, maybe with a namespace by URI.
    Expanded(ExpandedNodeId<'a>),
}

impl<'a> Node<'a> {
    /// A node; null is none.
    pub fn of(node: NodeId<'a>) -> Self {
        if node.is_null() { Self::None } else { Self::Plain(node) }
    }

    /// A node of a reference; what is on this server is plain.
    pub fn expanded(node: ExpandedNodeId<'a>) -> Self {
        if node.server_index == 0 && node.namespace_uri.is_none() { Self::of(node.node) } else { Self::Expanded(node) }
    }

    /// Writes it; false where there is none.
    pub fn write(&self, out: &mut String) -> bool {
        match self {
            Self::None => return false,
            Self::Plain(node) => node.write_text(out),
            Self::Expanded(node) => node.write_text(out),
        }
        true
    }

    /// Hash of a node of this server.
    pub fn hash(&self) -> Option<u64> {
        match self {
            Self::Plain(node) => Some(hash(node)),
            _ => None,
        }
    }
}

/// Hash of a node, for names and points.
pub fn hash(node: &NodeId<'_>) -> u64 {
    FixedState::default().hash_one(node)
}

/// A name as a message has it.
#[derive(Clone, Copy, Debug, Default)]
pub enum NameOf<'a> {
    /// None.
    #[default]
    None,
    /// A browse name.
    Browse(QualifiedName<'a>),
    /// A display name, and a browse name where that is empty.
    Display(LocalizedText<'a>, QualifiedName<'a>),
    /// A text.
    Text(Text<'a>),
    /// A path of browse names.
    Path(List<'a, RelativePathElement<'a>>),
}

impl NameOf<'_> {
    /// Writes it.
    pub fn write(&self, out: &mut String) {
        match self {
            Self::None => {}
            Self::Browse(name) => name.write_text(out),
            Self::Display(name, browse) if name.text.unwrap_or_default().is_empty() => browse.write_text(out),
            Self::Display(name, _) => name.write_text(out),
            Self::Text(text) => super::binary::text::write_escaped(text.unwrap_or_default(), out),
            Self::Path(path) => {
                for step in path.iter() {
                    out.push('/');
                    step.target_name.write_text(out);
                    if out.len() > NAME_BYTES {
                        return;
                    }
                }
            }
        }
    }
}

/// A key of a text in a column, as long as the tables are not cut.
#[derive(Clone, Copy, Debug)]
struct Key {
    /// Number of cuts that it was made behind, its lower half.
    made: u32,
    /// -1: there is none yet.
    key: i32,
}

impl Key {
    const NONE: Self = Self { made: 0, key: -1 };

    /// The key now; `make` is asked where it is of another time.
    #[inline]
    fn get(&mut self, cuts: u64, make: impl FnOnce() -> i32) -> i32 {
        if self.made != cuts as u32 || self.key < 0 {
            *self = Self { made: cuts as u32, key: make() };
        }
        self.key
    }
}

/// Keys of a node's text in the columns that name nodes.
#[derive(Clone, Copy, Debug)]
pub struct Keys {
    item: Key,
    point: Key,
}

impl Default for Keys {
    fn default() -> Self {
        Self { item: Key::NONE, point: Key::NONE }
    }
}

impl Keys {
    /// Key in `opcua.node_id`.
    #[inline]
    pub fn item(&mut self, text: &str, records: &mut Records) -> i32 {
        self.item.get(records.cuts(), || records.opcua_item.node_id.intern(text))
    }

    /// Key in `point.id`.
    #[inline]
    pub fn point(&mut self, text: &str, records: &mut Records) -> i32 {
        self.point.get(records.cuts(), || records.point.id.intern(text))
    }
}
