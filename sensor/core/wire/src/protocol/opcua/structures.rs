//! Structures as servers define them: what their values say, not only how long they are.

use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::binary::{Definitions, ExtensionObject, NodeId, Variant};
use super::subscription::Server;

/// Servers whose definitions are held; the one whose were not used for longest makes room.
const SERVERS: usize = 64;
/// What a definition costs, an estimate.
const DEFINITION_COST: usize = 1_024;
/// Type of values that are structures, or may hold them: ExtensionObject, DataValue, Variant (OPC 10000-6, 5.1.2).
const STRUCTURED: std::ops::RangeInclusive<u8> = 22..=24;

/// Definitions of one server.
#[derive(Default)]
struct Told {
    definitions: Definitions,
    /// When they were used last.
    used: AtomicU64,
}

/// Definitions of all servers.
#[derive(Default)]
pub struct Structures {
    /// Those that the specification defines.
    standard: Definitions,
    told: HashMap<Server, Told, FixedState>,
    /// Uses so far.
    uses: AtomicU64,
    /// Servers whose definitions were forgotten to make room.
    pub forgotten: u64,
}

impl Structures {
    /// Bytes held, an estimate.
    pub fn bytes(&self) -> usize {
        (self.told.values().map(|told| told.definitions.len()).sum::<usize>() + self.standard.len()) * DEFINITION_COST
    }

    /// A server told what a data type is (attribute DataTypeDefinition).
    pub fn learn(&mut self, server: Server, data_type: &NodeId<'_>, told: &ExtensionObject<'_>) {
        self.of_server(server).learn(data_type, told);
    }

    /// A server told the types of a data type dictionary.
    pub fn learn_dictionary(&mut self, server: Server, xml: &[u8]) {
        self.of_server(server).learn_dictionary(xml);
    }

    /// A server told which type of a dictionary an encoding is of.
    pub fn describe(&mut self, server: Server, encoding: &NodeId<'_>, name: &str) {
        self.of_server(server).describe(encoding, name);
    }

    fn of_server(&mut self, server: Server) -> &mut Definitions {
        if self.told.len() >= SERVERS && !self.told.contains_key(&server) {
            let oldest = self.told.iter().min_by_key(|(Server(number), told)| (told.used.load(Ordering::Relaxed), *number));
            if let Some(oldest) = oldest.map(|(server, _)| *server) {
                self.told.remove(&oldest);
                self.forgotten += 1;
            }
        }
        let used = self.uses.get_mut();
        *used += 1;
        let told = self.told.entry(server).or_default();
        *told.used.get_mut() = *used;
        &mut told.definitions
    }

    /// The definitions that a value of this server may need.
    pub fn of(&self, server: Server, value: &Variant<'_>) -> Option<&Definitions> {
        STRUCTURED.contains(&value.built_in().0).then(|| match self.told.get(&server) {
            Some(told) => {
                told.used.store(self.uses.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                &told.definitions
            }
            None => &self.standard,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_of_another_server_take_the_room_of_those_that_are_not_used() {
        let mut all = Structures::default();
        (0..SERVERS as u64).for_each(|server| all.describe(Server(server), &NodeId::standard(1), "T"));
        // An ExtensionObject without a body.
        let value: Variant<'_> = crate::protocol::opcua::binary::Reader::new(&[22, 0, 0, 0]).read().unwrap();
        assert!(all.of(Server(0), &value).is_some());
        all.describe(Server(99), &NodeId::standard(1), "T");
        assert_eq!([0, 1, 99].map(|server| all.told.contains_key(&Server(server))), [true, false, true]);
        assert_eq!((all.told.len(), all.forgotten), (SERVERS, 1));
    }
}
