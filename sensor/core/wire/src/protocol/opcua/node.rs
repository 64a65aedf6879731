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

/// Keys of a node's text in the columns that name nodes, as long as the tables are not cut.
#[derive(Clone, Copy, Debug, Default)]
pub struct Keys {
    /// Number of cuts that the keys were made behind.
    item: Option<(u64, i32)>,
    point: Option<(u64, i32)>,
}

impl Keys {
    /// Key in `opcua.node_id`.
    #[inline]
    pub fn item(&mut self, text: &str, records: &mut Records) -> i32 {
        let cuts = records.cuts();
        match self.item {
            Some((made, key)) if made == cuts => key,
            _ => {
                let key = records.opcua_item.node_id.intern(text);
                self.item = Some((cuts, key));
                key
            }
        }
    }

    /// Key in `point.id`.
    #[inline]
    pub fn point(&mut self, text: &str, records: &mut Records) -> i32 {
        let cuts = records.cuts();
        match self.point {
            Some((made, key)) if made == cuts => key,
            _ => {
                let key = records.point.id.intern(text);
                self.point = Some((cuts, key));
                key
            }
        }
    }
}
