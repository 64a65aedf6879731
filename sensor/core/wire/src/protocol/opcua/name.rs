//! Names of nodes, learned from what servers tell: references of Browse, paths, and names that are read.

use std::sync::atomic::{AtomicU32, Ordering};

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::subscription::Server;

/// Names that may be held; those that were not looked up for longest make room.
pub const NAMES: usize = 131_072;
/// How many are forgotten at once: looking at all of them is too much to do for one.
const FORGOTTEN: usize = NAMES / 8;
/// Longest name that is held.
const NAME_BYTES: usize = 128;
/// What a name costs beside its text.
const NAME_COST: usize = 48;

/// A name.
struct Known {
    text: Box<str>,
    /// The generation in which it was learned or looked up last.
    used: AtomicU32,
}

/// Names of nodes, by server and hash of the node.
#[derive(Default)]
pub struct NodeNames {
    names: HashMap<(Server, u64), Known, FixedState>,
    text_bytes: usize,
    changes: u64,
    /// New names so far. A generation is as many as are forgotten at once.
    learned: u64,
    /// Names that were forgotten to make room.
    pub forgotten: u64,
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
        let generation = self.generation();
        if let Some(known) = self.names.get_mut(&(server, node)) {
            *known.used.get_mut() = generation;
            if *known.text != *name {
                self.text_bytes = (self.text_bytes + name.len()).saturating_sub(known.text.len());
                known.text = name.into();
                self.changes += 1;
            }
            return;
        }
        if self.names.len() >= NAMES {
            self.forget();
        }
        self.text_bytes += name.len();
        self.names.insert((server, node), Known { text: name.into(), used: AtomicU32::new(generation) });
        self.learned += 1;
        self.changes += 1;
    }

    #[inline]
    fn generation(&self) -> u32 {
        u32::try_from(self.learned / FORGOTTEN as u64).unwrap_or(u32::MAX)
    }

    /// Those go that were not looked up for longest.
    #[cold]
    fn forget(&mut self) {
        let mut used: Vec<u32> = self.names.values().map(|known| known.used.load(Ordering::Relaxed)).collect();
        used.sort_unstable();
        let latest = used.get(FORGOTTEN).copied().unwrap_or_default();
        let (mut left, mut bytes) = (FORGOTTEN, 0);
        self.names.retain(|_, known| {
            let goes = left > 0 && *known.used.get_mut() <= latest;
            if goes {
                left -= 1;
                bytes += known.text.len();
            }
            !goes
        });
        self.text_bytes = self.text_bytes.saturating_sub(bytes);
        self.forgotten += (FORGOTTEN - left) as u64;
    }

    /// The name of a node.
    pub fn get(&self, server: Server, node: u64) -> Option<&str> {
        if self.names.is_empty() {
            return None;
        }
        let known = self.names.get(&(server, node))?;
        known.used.store(self.generation(), Ordering::Relaxed);
        Some(&known.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_name_takes_the_room_of_one_that_nobody_looks_up() {
        let mut names = NodeNames::default();
        let here = Server(1);
        (0..NAMES as u64).for_each(|node| names.learn(here, node, "a"));
        let looked_up = |names: &NodeNames| (0..1_000).filter(|node| names.get(here, 7 * node).is_some()).count();
        for node in 0..4 * NAMES as u64 {
            if node % 1_000 == 0 {
                assert_eq!(looked_up(&names), 1_000);
            }
            names.learn(here, NAMES as u64 + node, "b");
        }
        assert_eq!(names.get(here, 5 * NAMES as u64 - 1), Some("b"));
        assert!(names.names.len() <= NAMES && names.forgotten >= 3 * NAMES as u64);
        assert_eq!(names.text_bytes, names.names.len());
    }
}
