//! Names of nodes, learned from what servers tell: references of Browse, paths, and names that are read.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::subscription::Server;

/// Names that may be held.
pub const NAMES: usize = 131_072;
/// Longest name that is held.
const NAME_BYTES: usize = 128;
/// What a name costs beside its text.
const NAME_COST: usize = 48;

/// Names of nodes, by server and hash of the node.
#[derive(Default)]
pub struct NodeNames {
    names: HashMap<(Server, u64), Box<str>, FixedState>,
    text_bytes: usize,
    changes: u64,
    /// Names that were not taken in because there was no room.
    pub overflow: u64,
}

impl NodeNames {
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.text_bytes + self.names.capacity() * NAME_COST
    }

    /// Whether no name is known.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Number of changes so far: what was looked up holds while it stands.
    #[inline]
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// A node has this name.
    pub fn learn(&mut self, server: Server, node: u64, name: &str) {
        if name.is_empty() || name.len() > NAME_BYTES {
            return;
        }
        if let Some(known) = self.names.get_mut(&(server, node)) {
            if **known != *name {
                self.text_bytes = (self.text_bytes + name.len()).saturating_sub(known.len());
                *known = name.into();
                self.changes += 1;
            }
        } else if self.names.len() >= NAMES {
            self.overflow += 1;
        } else {
            self.text_bytes += name.len();
            self.names.insert((server, node), name.into());
            self.changes += 1;
        }
    }

    /// The name of a node.
    pub fn get(&self, server: Server, node: u64) -> Option<&str> {
        if self.names.is_empty() {
            return None;
        }
        self.names.get(&(server, node)).map(|name| &**name)
    }
}
