//! Which logging call a record on the device came from: everything about it that does not change from pass to pass.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::{Arc, PoisonError, RwLock};

use super::program::Type;
use crate::format::{Dtype, Event, Shape, Shard};
use crate::recorder::Recorder;

/// A logging call: its event with texts of its own, and the elements' type.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Site {
    checkpoint: String,
    pub(super) of: Type,
    dtype: Option<Dtype>,
    seq: u64,
    occurrence: u64,
    token_axis: usize,
    shard: Option<Shard>,
    op: Option<String>,
    src: Vec<String>,
    source: Option<String>,
}

impl Site {
    fn new(event: &Event<'_>, of: Type) -> Self {
        Self {
            checkpoint: event.checkpoint.to_owned(),
            of,
            dtype: event.dtype,
            seq: event.seq,
            occurrence: event.occurrence,
            token_axis: event.token_axis,
            shard: event.shard,
            op: event.op.map(str::to_owned),
            src: event.src.iter().map(|name| (*name).to_owned()).collect(),
            source: event.source.map(str::to_owned),
        }
    }

    fn is(&self, event: &Event<'_>, of: Type) -> bool {
        self.of == of
            && self.checkpoint == event.checkpoint
            && self.dtype == event.dtype
            && (self.seq, self.occurrence) == (event.seq, event.occurrence)
            && (self.token_axis, self.shard) == (event.token_axis, event.shard)
            && (self.op.as_deref(), self.source.as_deref()) == (event.op, event.source)
            && self.src.iter().eq(event.src.iter())
    }

    /// Whether a record of it, from the position `token_idx` on, is written.
    pub(super) fn is_wanted(&self, recorder: &Recorder, token_idx: i64, n_tokens: usize) -> bool {
        recorder.wants(&self.checkpoint, token_idx, n_tokens)
    }

    /// Runs `work` with the site's event at `token_idx`, of a tensor of this shape.
    pub(super) fn with_event<R>(
        &self,
        token_idx: i64,
        shape: &[usize],
        work: impl FnOnce(Event<'_>) -> R,
    ) -> R {
        // An operation with more inputs than this is told without the rest.
        let mut src = [""; 16];
        let count = self.src.len().min(src.len());
        for (to, from) in src.iter_mut().zip(&self.src) {
            *to = from;
        }
        let mut event = Event::new(&self.checkpoint, token_idx);
        event.shape = Shape::Dims(shape);
        event.dtype = self.dtype;
        event.seq = self.seq;
        event.occurrence = self.occurrence;
        event.token_axis = self.token_axis;
        event.shard = self.shard;
        event.op = self.op.as_deref();
        event.src = &src[..count];
        event.source = self.source.as_deref();
        work(event)
    }
}

/// Mixes eight bytes at a time: every record looks its site up, and names come from the program itself.
#[derive(Default)]
struct Mixer(u64);

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.write_u64(u64::from_ne_bytes(*word));
        }
        if !rest.is_empty() {
            let mut word = [0; 8];
            word[..rest.len()].copy_from_slice(rest);
            self.write_u64(u64::from_ne_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        // Golden ratio, odd: a bijection whose upper bits depend on all below.
        let mixed = (self.0.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(byte.into());
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// What tells two sites apart, in short: looking one up allocates nothing.
fn digest(event: &Event<'_>, of: Type) -> u64 {
    let mut hasher = Mixer::default();
    (
        event.checkpoint,
        of,
        event.dtype,
        event.seq,
        event.occurrence,
        event.op,
        event.src,
    )
        .hash(&mut hasher);
    hasher.finish()
}

/// All logging calls so far. A site is added once and never removed.
#[derive(Debug, Default)]
pub(super) struct Sites(RwLock<Table>);

#[derive(Debug, Default)]
struct Table {
    all: Vec<Arc<Site>>,
    by_digest: HashMap<u64, Vec<u32>, BuildHasherDefault<Mixer>>,
}

impl Sites {
    /// Numbers are kept small, so that a slot's site can be told from garbage.
    pub(super) const MAX: usize = 65536;

    /// The number of the site of `event`, which is added if it is new; none past [`Sites::MAX`].
    pub(super) fn find_or_add(&self, event: &Event<'_>, of: Type) -> Option<u32> {
        let digest = digest(event, of);
        let find = |table: &Table| {
            let ids = table.by_digest.get(&digest)?;
            ids.iter()
                .copied()
                .find(|id| table.all[*id as usize].is(event, of))
        };
        if let Some(id) = find(&self.0.read().unwrap_or_else(PoisonError::into_inner)) {
            return Some(id);
        }
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(id) = find(&table) {
            return Some(id);
        }
        let id = u32::try_from(table.all.len()).ok()?;
        if table.all.len() == Self::MAX {
            return None;
        }
        table.all.push(Arc::new(Site::new(event, of)));
        table.by_digest.entry(digest).or_default().push(id);
        Some(id)
    }

    /// The site that a record names; none for a number that no site has.
    pub(super) fn get(&self, id: u32) -> Option<Arc<Site>> {
        let table = self.0.read().unwrap_or_else(PoisonError::into_inner);
        table.all.get(id as usize).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sites_are_told_apart_and_own_their_texts() {
        let sites = Sites::default();
        let name = "logits".to_owned();
        let event = Event::new(&name, 7).op("MUL_MAT").src(&["final_norm"]);
        let first = sites.find_or_add(&event, Type::F32);
        assert_eq!(first, Some(0));
        let at_another_position = Event {
            token_idx: 8,
            ..event
        };
        assert_eq!(sites.find_or_add(&at_another_position, Type::F32), first);
        for (number, (other, of)) in [
            (event.op("ADD"), Type::F32),
            (event, Type::F16),
            (event.seq(1), Type::F32),
            (event.src(&[]), Type::F32),
            (event.shard(1, 2, 0, 1, 2), Type::F32),
        ]
        .into_iter()
        .enumerate()
        {
            assert_eq!(sites.find_or_add(&other, of), Some(number as u32 + 1));
        }
        drop(name);
        let site = sites.get(0).unwrap();
        site.with_event(9, &[1, 2], |event| {
            assert_eq!(
                (event.checkpoint, event.token_idx, event.op),
                ("logits", 9, Some("MUL_MAT"))
            );
            assert_eq!(
                (event.src, event.shape),
                (&["final_norm"][..], Shape::Dims(&[1, 2]))
            );
        });
        assert!(sites.get(6).is_none());
    }
}
