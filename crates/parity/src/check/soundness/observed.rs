//! What every detector is given: a record, and what is known of the trace so far.

use super::finding::Finding;
use super::repeated::{distinct, fingerprint, surely_distinct};
use super::text_grid::Printed;
use super::tokens::TokenIds;
use crate::align::{NameId, Names, Place, Stage};
use foldhash::fast::RandomState;
use orch_log::format::{Dtype, Record};
use std::borrow::Borrow;
use std::cell::OnceCell;
use std::collections::HashMap;
use std::hash::Hash;

/// A record on its way past the detectors.
pub(super) struct Observed<'r> {
    /// The record.
    pub(super) record: &'r Record,
    /// Its 1-based line.
    pub(super) line: u64,
    /// The number of its checkpoint's name.
    pub(super) name: NameId,
    /// What the name means, where it is canonical.
    pub(super) place: Option<Place>,
    /// True while all numbers of this team so far could be the output of `printf("%f")`: a zero may then be any
    /// number too small to be printed.
    pub(super) maybe_fixed: bool,
    /// Then half a unit of the last decimal, else 0.
    pub(super) half_step: f64,
    /// The token ids seen so far.
    pub(super) tokens: &'r TokenIds,
    /// What several detectors ask for, worked out once.
    pub(super) asked: Asked,
}

/// Answers that cost something.
#[derive(Debug, Default)]
pub(super) struct Asked {
    distinct: OnceCell<usize>,
    surely_distinct: OnceCell<usize>,
    fingerprint: OnceCell<u64>,
}

/// What is known when all records have passed.
pub(super) struct Ended<'t> {
    /// All names.
    pub(super) names: &'t Names,
    /// How the numbers were printed, by team.
    pub(super) printed: &'t [(String, Printed)],
}

impl Ended<'_> {
    /// Half a unit of the last decimal where some team printed a fixed number of decimals.
    pub(super) fn fixed_half_step(&self) -> Option<f64> {
        self.printed
            .iter()
            .filter_map(|(_, printed)| printed.fixed_half_step())
            .reduce(f64::max)
    }
}

/// Looks for one kind of damage.
///
/// Its memory is bounded by the number of names, of which [`Names::MAX`] are told apart, never by the records.
pub(super) trait Detector: Send {
    /// Takes in the next record.
    fn observe(&mut self, seen: &Observed<'_>);

    /// What was found.
    fn finish(&mut self, ended: &Ended<'_>) -> Vec<Finding>;
}

impl Observed<'_> {
    /// The logged values of a tensor of floats; `None` for integers.
    pub(super) fn floats(&self) -> Option<&[f64]> {
        (!self.record.dtype.is_integer()).then_some(self.record.values.as_slice())
    }

    /// How many different values were logged, zero left out, up to 16.
    pub(super) fn distinct(&self) -> usize {
        let count = || distinct(&self.record.values);
        *self.asked.distinct.get_or_init(count)
    }

    /// True where at least `count` different values were logged, zero left out; up to 16 can be asked for.
    pub(super) fn has_distinct(&self, count: usize) -> bool {
        let least = || surely_distinct(&self.record.values);
        *self.asked.surely_distinct.get_or_init(least) >= count || self.distinct() >= count
    }

    /// A hash of all that the record says about its numbers.
    pub(super) fn fingerprint(&self) -> u64 {
        let hash = || fingerprint(self.record);
        *self.asked.fingerprint.get_or_init(hash)
    }

    /// True for `f32`, and for quantised blocks, which are decoded to it.
    pub(super) fn is_f32(&self) -> bool {
        matches!(self.record.dtype, Dtype::F32)
    }

    /// Token positions that the record covers.
    ///
    /// Six-field loggers do not say it; a first of several dimensions is then taken for the tokens.
    pub(super) fn n_tokens(&self) -> usize {
        match self.record.shape.as_slice() {
            [first, _, ..] if !self.record.has_n_tokens => (*first).max(1),
            _ => self.record.n_tokens,
        }
    }

    /// True where one token's row is all there is.
    pub(super) fn single_token(&self) -> bool {
        self.n_tokens() == 1
    }
}

/// A value for each name, made when first asked for.
#[derive(Debug)]
pub(super) struct PerName<T> {
    values: Vec<T>,
}

impl<T> Default for PerName<T> {
    fn default() -> Self {
        Self { values: Vec::new() }
    }
}

impl<T: Default> PerName<T> {
    /// The value of a name.
    pub(super) fn of(&mut self, name: NameId) -> &mut T {
        if self.values.len() <= name.index() {
            self.values.resize_with(name.index() + 1, T::default);
        }
        &mut self.values[name.index()]
    }

    /// Names and values, in the order in which the names were first seen.
    pub(super) fn iter<'n>(&'n self, names: &'n Names) -> impl Iterator<Item = (&'n str, &'n T)> {
        names.iter().zip(&self.values)
    }
}

/// A value for each name and key; the key that a name had last is found without hashing it.
#[derive(Debug)]
pub(super) struct PerKey<K, T> {
    places: HashMap<(NameId, K), usize, RandomState>,
    values: Vec<(K, T)>,
    last: PerName<Option<usize>>,
}

impl<K, T> Default for PerKey<K, T> {
    fn default() -> Self {
        Self {
            places: HashMap::default(),
            values: Vec::new(),
            last: PerName::default(),
        }
    }
}

impl<K: Eq + Hash + Clone, T: Default> PerKey<K, T> {
    /// The value of a name and a key, of which `key` is a form that costs nothing; `None` where it is a new one and there
    /// are `most` already.
    pub(super) fn of<Q>(&mut self, name: NameId, key: &Q, most: usize) -> Option<&mut T>
    where
        K: Borrow<Q>,
        Q: ToOwned<Owned = K> + Eq + ?Sized,
    {
        let last = self.last.of(name);
        let place = match *last {
            Some(place) if self.values[place].0.borrow() == key => place,
            _ => {
                let own = (name, key.to_owned());
                let place = match self.places.get(&own) {
                    Some(place) => *place,
                    None if self.values.len() >= most => return None,
                    None => {
                        self.values.push((own.1.clone(), T::default()));
                        self.places.insert(own, self.values.len() - 1);
                        self.values.len() - 1
                    }
                };
                *last = Some(place);
                place
            }
        };
        Some(&mut self.values[place].1)
    }

    /// All names and keys in order, with their values.
    pub(super) fn sorted(&self) -> Vec<(NameId, &K, &T)>
    where
        K: Ord,
    {
        let mut all: Vec<_> = self
            .places
            .iter()
            .map(|((name, key), place)| (*name, key, &self.values[*place].1))
            .collect();
        all.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
        all
    }
}

/// True where a tensor holds weights from 0 to 1 that are often exactly 0 or 1: softmax rows.
pub(super) fn is_probabilities(place: Option<Place>) -> bool {
    matches!(place, Some(Place::Layer(_, Stage::AttnProbs)))
}

/// True where the values of a token may depend neither on its position nor on the tokens before it, so that a repeated
/// token repeats them bit for bit. With learned positions, as GPT-2 has them, they do depend on the position; the place
/// alone does not tell, and passing over them costs less than a false alarm.
pub(super) fn may_ignore_position(place: Place) -> bool {
    use Stage as S;
    match place {
        Place::Tokens | Place::Embedding => true,
        Place::Layer(0, stage) => matches!(
            stage,
            S::AttnNorm | S::Q | S::K | S::V | S::QNorm | S::KNorm
        ),
        _ => false,
    }
}
