//! What waits for its partner.

use super::key::Key;
use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

/// 128 bits of everything in a key but the position, so that what waits takes little memory.
///
/// Two different lanes share one with probability 2⁻¹²⁸; whoever uses it compares the keys once both records are
/// at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Lane(u64, u64);

impl Lane {
    pub(super) fn of(key: &Key) -> Self {
        let half = |salt: u8| {
            let mut hasher = DefaultHasher::new();
            salt.hash(&mut hasher);
            (&key.checkpoint, key.seq, key.occurrence, key.rank).hash(&mut hasher);
            hasher.finish()
        };
        Self(half(0), half(1))
    }
}

/// Positions of one record that found no partner yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    /// Positions.
    pub(super) n_tokens: u32,
    /// Which of the checkpoints that the record stands for.
    pub(super) target: u8,
    /// True where other positions of the record have been paired.
    pub(super) is_rest: bool,
    /// Where the record's line begins.
    pub(super) offset_bytes: u64,
}

/// All of one trace that waits, by lane and first position; about 50 bytes each.
#[derive(Clone, Debug, Default)]
pub(super) struct WaitingRoom {
    lanes: HashMap<Lane, BTreeMap<i64, Waiting>>,
    len: usize,
}

impl WaitingRoom {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn put(&mut self, lane: Lane, first: i64, waiting: Waiting) {
        let before = self.lanes.entry(lane).or_default().insert(first, waiting);
        self.len += usize::from(before.is_none());
    }

    /// Takes out the first entry of the lane that shares a position with `positions`.
    pub(super) fn take(&mut self, lane: Lane, positions: &Range<i64>) -> Option<(i64, Waiting)> {
        let entries = self.lanes.get_mut(&lane)?;
        let reaches_in = |(first, waiting): &(&i64, &Waiting)| {
            first.saturating_add(i64::from(waiting.n_tokens)) > positions.start
        };
        let earlier = entries.range(..=positions.start).next_back();
        let first = earlier
            .filter(reaches_in)
            .or_else(|| entries.range(positions.clone()).next())
            .map(|(first, _)| *first)?;
        let waiting = entries.remove(&first)?;
        if entries.is_empty() {
            self.lanes.remove(&lane);
        }
        self.len -= 1;
        Some((first, waiting))
    }

    /// All that still waits, in file order, with its first position.
    pub(super) fn in_file_order(&self) -> Vec<(i64, Waiting)> {
        let mut all: Vec<(i64, Waiting)> = self
            .lanes
            .values()
            .flatten()
            .map(|(first, waiting)| (*first, *waiting))
            .collect();
        all.sort_unstable_by_key(|(first, waiting)| (waiting.offset_bytes, waiting.target, *first));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(n_tokens: u32) -> Waiting {
        Waiting {
            n_tokens,
            target: 0,
            is_rest: false,
            offset_bytes: 0,
        }
    }

    #[test]
    fn the_first_that_shares_a_position() {
        let lane = Lane(1, 2);
        let mut room = WaitingRoom::default();
        room.put(lane, 0, waiting(4));
        room.put(lane, 6, waiting(1));
        room.put(lane, 9, waiting(3));
        assert_eq!(room.take(lane, &(4..6)), None);
        assert_eq!(room.take(Lane(0, 0), &(0..9)), None);
        assert_eq!(room.take(lane, &(3..20)).map(|(first, _)| first), Some(0));
        assert_eq!(room.take(lane, &(3..20)).map(|(first, _)| first), Some(6));
        assert_eq!(room.take(lane, &(11..12)).map(|(first, _)| first), Some(9));
        assert_eq!((room.take(lane, &(0..99)), room.len()), (None, 0));
    }
}
