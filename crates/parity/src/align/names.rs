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
    /// For each name the one that was asked for after it: passes repeat each other, and a guess needs no hash.
    after: Vec<NameId>,
    /// The one that was asked for last.
    last: Option<NameId>,
}

impl Names {
    /// How many names are told apart. A 200-layer model has about 4,000.
    pub const MAX: usize = 1 << 16;

    /// The number of a name, a new one where it was not seen before; `None` once [`Names::MAX`] are known.
    pub fn id(&mut self, name: &str) -> Option<NameId> {
        let guess = self.last.map(|last| self.after[last.index()]);
        if let Some(guess) = guess
            && self.names[guess.index()] == name
        {
            self.last = Some(guess);
            return Some(guess);
        }
        let id = match self.ids.get(name) {
            Some(id) => *id,
            None => self.add(name)?,
        };
        if let Some(last) = self.last.replace(id) {
            self.after[last.index()] = id;
        }
        Some(id)
    }

    fn add(&mut self, name: &str) -> Option<NameId> {
        if self.names.len() == Self::MAX {
            return None;
        }
        let id = NameId(self.names.len() as u32);
        self.names.push(name.to_owned());
        self.ids.insert(name.to_owned(), id);
        self.after.push(id);
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn names_count_from_0_in_any_order(asked in proptest::collection::vec("[ab]{0,2}", 0..60)) {
            let (mut names, mut plain) = (Names::default(), Vec::new());
            for name in asked {
                let expected = plain.iter().position(|known| *known == name).unwrap_or_else(|| {
                    plain.push(name.clone());
                    plain.len() - 1
                });
                prop_assert_eq!(names.id(&name).map(NameId::index), Some(expected));
                prop_assert_eq!(names.find(&name).map(NameId::index), Some(expected));
            }
            prop_assert_eq!(names.iter().collect::<Vec<_>>(), plain);
        }
    }

    #[test]
    fn a_bounded_number_is_told_apart() {
        let mut names = Names::default();
        for index in 0..Names::MAX {
            assert_eq!(names.id(&index.to_string()), Some(NameId(index as u32)));
        }
        assert_eq!(names.id("one more"), None);
        assert_eq!(names.id("0"), Some(NameId(0)));
        assert_eq!(names.id("1"), Some(NameId(1)));
        assert_eq!(names.id("1"), Some(NameId(1)));
    }
}
