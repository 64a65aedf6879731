//! Texts that come again and again: those of nodes that are polled, and of values that stay as they are. They are written once.

use hashbrown::HashTable;

use super::binary::{NodeId, OwnedNodeId, number_text};
use super::node;

/// Numbers whose texts are held.
const NUMBERS: usize = 1_024;
/// Bits of a hash that choose the place of a number.
const NUMBER_BITS: u32 = NUMBERS.ilog2();
/// What the text of a number takes, an estimate.
const NUMBER_COST: usize = 64;
/// Marks the key of a Float: doubles with these bits are no numbers.
const FLOAT: u64 = 0xfff8 << 48;
/// Nodes whose texts are held; all are forgotten where there are more.
const NODES: usize = 16_384;
/// Longest text of a node that is held.
const NODE_BYTES: usize = 256;
/// What a node costs beside its text.
const NODE_COST: usize = 128;

/// Texts of numbers: each has one place, which it shares with others.
#[derive(Default)]
pub struct Numbers {
    all: Vec<(u64, String)>,
}

impl Numbers {
    /// Bytes held, an estimate.
    pub fn bytes(&self) -> usize {
        self.all.len() * NUMBER_COST
    }

    /// Writes a Double.
    pub fn write_double(&mut self, value: f64, out: &mut String) {
        self.write(value.to_bits(), value.is_finite(), out, |text| number_text::write_double(value, text));
    }

    /// Writes a Float.
    pub fn write_float(&mut self, value: f32, out: &mut String) {
        let key = FLOAT | u64::from(value.to_bits());
        self.write(key, value.is_finite(), out, |text| number_text::write_float(value, text));
    }

    #[inline]
    fn write(&mut self, key: u64, is_held: bool, out: &mut String, text: impl Fn(&mut String) -> std::fmt::Result) {
        if self.all.is_empty() {
            self.all.resize_with(NUMBERS, || (0, "0.0".to_owned()));
        }
        let place = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - NUMBER_BITS);
        match self.all.get_mut(place as usize).filter(|_| is_held) {
            Some((known, known_text)) => {
                if *known != key {
                    *known = key;
                    known_text.clear();
                    let _ = text(known_text);
                }
                out.push_str(known_text);
            }
            None => drop(text(out)),
        }
    }
}

/// A node with its text.
struct Known {
    node: OwnedNodeId,
    hash: u64,
    text: Box<str>,
    /// The node that came behind it last: pollers ask for the same nodes in the same order.
    next: u32,
}

/// Texts of nodes.
#[derive(Default)]
pub struct Nodes {
    all: Vec<Known>,
    index: HashTable<u32>,
    text_bytes: usize,
    latest: u32,
}

impl Nodes {
    /// Bytes held, an estimate.
    pub fn bytes(&self) -> usize {
        self.all.len() * NODE_COST + 2 * self.text_bytes
    }

    /// Text and hash of a node. None: the text is too long to be held.
    #[inline]
    pub fn text(&mut self, node: &NodeId<'_>) -> Option<(&str, u64)> {
        let expected = self.all.get(self.latest as usize).map(|known| known.next);
        let is_it = |at: &u32| self.all.get(*at as usize).is_some_and(|known| known.node.borrow() == *node);
        let at = match expected.filter(is_it) {
            Some(at) => at,
            None => self.find(node)?,
        };
        self.latest = at;
        self.all.get(at as usize).map(|known| (&*known.text, known.hash))
    }

    #[inline(never)]
    fn find(&mut self, node: &NodeId<'_>) -> Option<u32> {
        let hash = node::hash(node);
        let is_it = |at: &u32| self.all.get(*at as usize).is_some_and(|known| known.node.borrow() == *node);
        let at = match self.index.find(hash, is_it) {
            Some(at) => *at,
            None => {
                let mut text = String::new();
                node.write_text(&mut text);
                if text.len() > NODE_BYTES {
                    return None;
                }
                if self.all.len() >= NODES {
                    *self = Self::default();
                }
                let at = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
                self.text_bytes += text.len();
                self.all.push(Known { node: node.into(), hash, text: text.into(), next: at });
                let all = &self.all;
                self.index.insert_unique(hash, at, |at| all.get(*at as usize).map_or(0, |known| known.hash));
                at
            }
        };
        if let Some(latest) = self.all.get_mut(self.latest as usize) {
            latest.next = at;
        }
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::opcua::binary::Identifier;

    #[test]
    fn numbers_that_share_a_place_keep_their_own_texts() {
        let mut numbers = Numbers::default();
        for round in 0..3 {
            for value in (0..4_000).map(|at| f64::from(at) * 0.25).chain([-0.0, f64::NAN, f64::INFINITY, 1e300]) {
                let mut text = String::new();
                numbers.write_double(value, &mut text);
                assert_eq!(text, format!("{value:?}"), "{round}");
                text.clear();
                numbers.write_float(value as f32 + 0.1, &mut text);
                assert_eq!(text, format!("{:?}", value as f32 + 0.1), "{round}");
            }
        }
    }

    #[test]
    fn nodes_keep_their_texts_in_any_order_and_beyond_the_bound() {
        let mut nodes = Nodes::default();
        let numbers = (0..NODES as u32 + 50).chain([3, 3, 7, 5, 3, 7, 5]).chain(0..20);
        for number in numbers {
            let name = format!("Tank{number}");
            let text = NodeId { namespace: 2, identifier: Identifier::String(name.as_bytes()) };
            for node in [NodeId { namespace: 1, identifier: Identifier::Numeric(number) }, text] {
                let mut expected = String::new();
                node.write_text(&mut expected);
                assert_eq!(nodes.text(&node), Some((&*expected, node::hash(&node))));
            }
            assert!(nodes.all.len() <= NODES);
        }
        let long = [b'x'; NODE_BYTES];
        assert_eq!(nodes.text(&NodeId { namespace: 1, identifier: Identifier::Opaque(&long) }), None);
    }
}
