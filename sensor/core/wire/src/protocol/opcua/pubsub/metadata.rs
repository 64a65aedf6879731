//! What the fields of data sets are, as publishers announced it: names, and the types of raw fields (OPC 10000-14, 6.2.3.2).

use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::announcement::DataSetMetaData;
use crate::protocol::opcua::binary::structure::{DIMENSIONS, FIELDS, owned_name};
use crate::protocol::opcua::binary::{Definition, Definitions, Field, NodeId, OwnedNodeId, Reader};
use crate::protocol::opcua::subscription::Server;

/// Data sets that may be held in all; the one that was not used for longest makes room, for fields and data types too.
pub const DATA_SETS: usize = 1_024;
/// Fields that may be held in all.
pub const DATA_SET_FIELDS: usize = 65_536;
/// Data types of their own that data sets may hold in all.
pub const DATA_TYPES: usize = 8_192;
/// What a field and a data type cost, estimates.
const FIELD_COST: usize = 160;
const TYPE_COST: usize = 1_024;

/// A data set.
pub struct DataSet {
    /// Its name.
    pub name: Box<str>,
    /// Its fields, in order.
    pub fields: Box<[Field]>,
    /// Version of its configuration; 0 is not told.
    pub major: u32,
    /// Data types that it has of its own.
    own: Option<Box<Definitions>>,
    own_types: usize,
    /// When it was used last.
    used: AtomicU64,
}

/// Data sets of all publishers, by publisher and writer.
#[derive(Default)]
pub struct DataSets {
    all: HashMap<(Server, u16), DataSet, FixedState>,
    fields: usize,
    types: usize,
    /// Data types of the specification.
    standard: Definitions,
    /// Uses so far.
    uses: AtomicU64,
    /// Data sets that were forgotten to make room.
    pub forgotten: u64,
}

impl DataSets {
    /// Bytes held, an estimate.
    pub fn bytes(&self) -> usize {
        self.fields * FIELD_COST + self.types * TYPE_COST + self.all.capacity() * size_of::<((Server, u16), DataSet)>()
    }

    /// A publisher announced what a writer's data set is. Returns whether there was room.
    pub fn learn(&mut self, publisher: Server, writer: u16, told: &DataSetMetaData<'_>) -> bool {
        self.remove((publisher, writer));
        let types = told.structures.len().saturating_add(told.enumerations.len());
        if told.fields.len() > FIELDS || types > DATA_TYPES {
            return false;
        }
        while self.all.len() >= DATA_SETS
            || self.fields.saturating_add(told.fields.len()) > DATA_SET_FIELDS
            || self.types.saturating_add(types) > DATA_TYPES
        {
            let used = |((Server(server), writer), set): &(&(Server, u16), &DataSet)| {
                (set.used.load(Ordering::Relaxed), *server, *writer)
            };
            let Some((oldest, _)) = self.all.iter().min_by_key(used) else { return false };
            self.remove(*oldest);
            self.forgotten += 1;
        }
        let mut data_set = DataSet::of(told, types);
        let uses = self.uses.get_mut();
        *uses += 1;
        *data_set.used.get_mut() = *uses;
        self.fields += data_set.fields.len();
        self.types += types;
        self.all.insert((publisher, writer), data_set);
        true
    }

    fn remove(&mut self, of: (Server, u16)) {
        if let Some(before) = self.all.remove(&of) {
            self.fields = self.fields.saturating_sub(before.fields.len());
            self.types = self.types.saturating_sub(before.own_types);
        }
    }

    /// The data set of a writer, and the definitions that its fields need.
    pub fn get(&self, publisher: Server, writer: u16) -> Option<(&DataSet, &Definitions)> {
        let data_set = self.all.get(&(publisher, writer))?;
        data_set.used.store(self.uses.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        Some((data_set, data_set.own.as_deref().unwrap_or(&self.standard)))
    }
}

impl DataSet {
    fn of(told: &DataSetMetaData<'_>, own_types: usize) -> Self {
        let simple = |data_type: &NodeId<'_>| {
            let found = told.simple_types.iter().take(FIELDS).find(|simple| simple.data_type == *data_type);
            found.map(|found| OwnedNodeId::from(&NodeId::standard(u32::from(found.built_in))))
        };
        let own = (own_types > 0).then(|| {
            let mut own = Definitions::default();
            for structure in told.structures.iter() {
                if let Ok((definition, encoding)) = Definition::read_structure(&mut Reader::new(structure.definition)) {
                    own.insert(&structure.data_type, &encoding, resolved(definition, &simple));
                }
            }
            for enumeration in told.enumerations.iter() {
                if let Ok(definition) = Definition::read_enumeration(&mut Reader::new(enumeration.definition)) {
                    own.insert(&enumeration.data_type, &NodeId::standard(0), definition);
                }
            }
            Box::new(own)
        });
        let fields = told.fields.iter().map(|field| {
            let is_own = own.as_ref().is_some_and(|own| own.of_data_type(&field.data_type).is_some());
            let is_structure = field.built_in == 22;
            // What is derived from a built-in type stands as that type (6.2.3.2.4).
            let built_in = NodeId::standard(u32::from(field.built_in));
            let data_type = if is_own || is_structure { &field.data_type } else { &built_in };
            Field {
                name: owned_name(field.name),
                data_type: OwnedNodeId::from(data_type),
                value_rank: field.value_rank,
                dimensions: field.dimensions.iter().take(DIMENSIONS).collect(),
                max_string_length: field.max_string_length,
                is_optional: false,
            }
        });
        Self {
            name: owned_name(told.name),
            fields: fields.collect(),
            major: told.major,
            own,
            own_types,
            used: AtomicU64::default(),
        }
    }
}

/// A definition whose fields of simple types are of the built-in ones.
fn resolved(definition: Definition, simple: &dyn Fn(&NodeId<'_>) -> Option<OwnedNodeId>) -> Definition {
    match definition {
        Definition::Structure(kind, mut fields) => {
            for field in &mut fields {
                if let Some(built_in) = simple(&field.data_type.borrow()) {
                    field.data_type = built_in;
                }
            }
            Definition::Structure(kind, fields)
        }
        other => other,
    }
}
