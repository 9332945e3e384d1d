//! `S001`: records that begin with what an allocator leaves in freed memory.
//!
//! **What.** Most records are ordinary from their fifth element on, but begin with links of a heap: pointers, list ends, keys
//! (see `word` for what they look like), and may end with the size of a free chunk.
//!
//! **Why it matters.** It looks like a broken engine: element 0 of the logits at -46583 in one token and 0 in the
//! next. It is the logger that kept its numbers in memory and wrote them after that memory had been freed, typically at
//! exit: destructors of static objects run before exit handlers that were registered earlier.
//!
//! **Evidence wanted.** In exact text the upper half of an address is a positive subnormal beside something wild: two of these
//! are enough, no computation makes them. `printf("%f")` prints that upper half as zero, and zeros are common in sound
//! tensors; then it takes a checkpoint that is nowhere else zero, enough records, and two independent signs: wild values
//! beside the zeros, list ends, the second word, keys, chunk sizes at the tail. One sign alone is also what a channel of massive
//! activations beside a dead one looks like.
//!
//! **What it can't tell.** Fewer than 8 values a record; types other than `f32`; a freed chunk that was handed out again and
//! overwritten (then the values are somebody else's, perhaps text: `S002`); allocators that leave nothing.

mod finding;
mod heads;
mod word;

use super::finding::Finding;
use super::observed::{Detector, Ended, Observed, PerName};
use heads::Heads;

/// Elements before this one may be links; two 8-byte words.
const HEAD: usize = 4;

/// The detector.
#[derive(Debug, Default)]
pub(super) struct Freed {
    names: PerName<Heads>,
}

impl Detector for Freed {
    fn observe(&mut self, seen: &Observed<'_>) {
        let values = &seen.record.values;
        if !seen.is_f32() || values.len() < 2 * HEAD {
            return;
        }
        // A large chunk has four links; where enough is logged behind them, none of them counts as ordinary.
        let from = if values.len() >= 4 * HEAD {
            2 * HEAD
        } else {
            HEAD
        };
        let even = values.len().is_multiple_of(2);
        let (body, tail) = values[from..].split_at(values.len() - from - if even { 2 } else { 0 });
        let largest = body
            .iter()
            .fold(0.0_f64, |largest, value| largest.max(value.abs()));
        let subnormal = |value: &f64| *value != 0.0 && value.abs() < f64::from(f32::MIN_POSITIVE);
        // Without an ordinary body there is nothing to be wild against; one with subnormals is softmax underflow.
        if largest == 0.0
            || !body.iter().all(|value| value.is_finite())
            || body.iter().any(subnormal)
        {
            return;
        }
        self.names.of(seen.name).observe(seen, body, tail, largest);
    }

    fn finish(&mut self, ended: &Ended<'_>) -> Vec<Finding> {
        let fixed = ended.fixed_half_step().is_some();
        let mut looked_at = 0;
        let hit: Vec<(&str, &Heads)> = self
            .names
            .iter(ended.names)
            .filter(|(_, heads)| heads.records > 0)
            .inspect(|_| looked_at += 1)
            .filter(|(_, heads)| heads.shows_addresses() || (fixed && heads.zeros_are_odd()))
            .collect();
        // Once one checkpoint shows it beyond doubt, zeros at the same places of others need no second sign.
        let is_certain =
            |heads: &Heads| heads.shows_addresses() || (fixed && heads.shows_rounded_addresses());
        if hit.iter().any(|(_, heads)| is_certain(heads)) {
            vec![finding::finding(&hit, looked_at)]
        } else {
            Vec::new()
        }
    }
}
