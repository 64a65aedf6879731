//! Structures as servers define them: what their values say, not only how long they are.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::binary::{Definitions, ExtensionObject, NodeId, Variant};
use super::subscription::Server;

/// Servers whose definitions are held.
const SERVERS: usize = 64;
/// What a definition costs, an estimate.
const DEFINITION_COST: usize = 1_024;
/// Type of values that are structures, or may hold them: ExtensionObject, DataValue, Variant (OPC 10000-6, 5.1.2).
const STRUCTURED: std::ops::RangeInclusive<u8> = 22..=24;

/// Definitions of all servers.
#[derive(Default)]
pub struct Structures {
    /// Those that the specification defines.
    standard: Definitions,
    told: HashMap<Server, Definitions, FixedState>,
}

impl Structures {
    /// Bytes held, an estimate.
    pub fn bytes(&self) -> usize {
        (self.told.values().map(Definitions::len).sum::<usize>() + self.standard.len()) * DEFINITION_COST
    }

    /// A server told what a data type is (attribute DataTypeDefinition).
    pub fn learn(&mut self, server: Server, data_type: &NodeId<'_>, told: &ExtensionObject<'_>) {
        if self.told.len() < SERVERS || self.told.contains_key(&server) {
            self.told.entry(server).or_default().learn(data_type, told);
        }
    }

    /// A server told the types of a data type dictionary.
    pub fn learn_dictionary(&mut self, server: Server, xml: &[u8]) {
        if self.told.len() < SERVERS || self.told.contains_key(&server) {
            self.told.entry(server).or_default().learn_dictionary(xml);
        }
    }

    /// A server told which type of a dictionary an encoding is of.
    pub fn describe(&mut self, server: Server, encoding: &NodeId<'_>, name: &str) {
        if self.told.len() < SERVERS || self.told.contains_key(&server) {
            self.told.entry(server).or_default().describe(encoding, name);
        }
    }

    /// The definitions that a value of this server may need.
    pub fn of(&self, server: Server, value: &Variant<'_>) -> Option<&Definitions> {
        STRUCTURED.contains(&value.built_in().0).then(|| self.told.get(&server).unwrap_or(&self.standard))
    }
}
