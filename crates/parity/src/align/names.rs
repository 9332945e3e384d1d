//! Checkpoint names as small numbers.

use foldhash::fast::RandomState;
use std::collections::HashMap;

/// A name's number: names count from 0 in the order in which they were first seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NameId(u32);

impl NameId {
    /// As an index into a list that grows with the names.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// The names seen so far, up to a bound: a trace that invents a name for every record must not fill the memory.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Every record is looked up in several of these: the standard hash is a tenth of a comparison.
    ids: HashMap<String, NameId, RandomState>,
    names: Vec<String>,
}

impl Names {
    /// How many names are told apart. A 200-layer model has about 4,000.
    pub const MAX: usize = 1 << 16;

    /// The number of a name, a new one where it was not seen before; `None` once [`Names::MAX`] are known.
    pub fn id(&mut self, name: &str) -> Option<NameId> {
        if let Some(id) = self.ids.get(name) {
            return Some(*id);
        }
        if self.names.len() == Self::MAX {
            return None;
        }
        let id = NameId(self.names.len() as u32);
        self.names.push(name.to_owned());
        self.ids.insert(name.to_owned(), id);
        Some(id)
    }

    /// The number of a name that was seen.
    pub fn find(&self, name: &str) -> Option<NameId> {
        self.ids.get(name).copied()
    }

    /// The name of a number.
    pub fn name(&self, id: NameId) -> &str {
        &self.names[id.index()]
    }

    /// All names in the order in which they were first seen.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }
}
