//! The last so many different things that passed.

use foldhash::fast::RandomState;
use std::collections::VecDeque;
use std::hash::{BuildHasher, Hash};

/// The last `MOST` things, each once, in the order in which they came.
#[derive(Debug)]
pub(super) struct Window<K, T, const MOST: usize, H = RandomState> {
    /// The things' hashes: a search goes over them, and so over 32 KB of 4096 things.
    hashes: VecDeque<u64>,
    things: VecDeque<(K, T)>,
    /// Most things are new, and these tell so from 16 KB without a search: of the things that came since the last time, and
    /// of those before.
    marks: [Marks; 2],
    marked: usize,
    hasher: H,
}

/// Two bits for each thing; one without both is not there.
#[derive(Debug)]
struct Marks(Box<[u64; Self::WORDS]>);

impl Marks {
    /// Of 4096 things one in 70 has both bits by chance.
    const WORDS: usize = 1 << 10;

    fn new() -> Self {
        Self(Box::new([0; Self::WORDS]))
    }

    fn places(hash: u64) -> [(usize, u64); 2] {
        [hash, hash >> 32].map(|part| {
            let word = (part >> 6) as usize % Self::WORDS;
            (word, 1 << (part % 64))
        })
    }

    fn set(&mut self, hash: u64) {
        for (word, bit) in Self::places(hash) {
            self.0[word] |= bit;
        }
    }

    fn has(&self, hash: u64) -> bool {
        let [(first, a), (second, b)] = Self::places(hash);
        (self.0[first] & a != 0) & (self.0[second] & b != 0)
    }
}

impl<K, T, const MOST: usize, H: Default> Default for Window<K, T, MOST, H> {
    fn default() -> Self {
        Self {
            hashes: VecDeque::new(),
            things: VecDeque::new(),
            marks: [Marks::new(), Marks::new()],
            marked: 0,
            hasher: H::default(),
        }
    }
}

impl<K: Eq + Hash, T, const MOST: usize, H: BuildHasher> Window<K, T, MOST, H> {
    /// The thing of a key.
    pub(super) fn find(&mut self, key: &K) -> Option<&mut T> {
        let hash = self.hasher.hash_one(key);
        if !self.marks.iter().any(|marks| marks.has(hash)) {
            return None;
        }
        let mut end = self.hashes.len();
        // Equal things mostly are near each other.
        while let Some(place) = last_place(&self.hashes, end, hash) {
            if self.things[place].0 == *key {
                return Some(&mut self.things[place].1);
            }
            end = place;
        }
        None
    }

    /// Adds a thing whose key is not there; gives back the one that came first where there is no more room.
    pub(super) fn add(&mut self, key: K, thing: T) -> Option<T> {
        let hash = self.hasher.hash_one(&key);
        if self.marked == MOST {
            self.marks.swap(0, 1);
            self.marks[0].0.fill(0);
            self.marked = 0;
        }
        self.marks[0].set(hash);
        self.marked += 1;
        self.hashes.push_back(hash);
        self.things.push_back((key, thing));
        if self.things.len() > MOST {
            return self.pop();
        }
        None
    }

    /// Takes out the thing that came first.
    pub(super) fn pop(&mut self) -> Option<T> {
        self.hashes.pop_front();
        self.things.pop_front().map(|(_, thing)| thing)
    }
}

/// The last place before `end` with this hash.
fn last_place(hashes: &VecDeque<u64>, end: usize, hash: u64) -> Option<usize> {
    /// So many are looked at without a branch.
    const TOGETHER: usize = 32;
    let (front, back) = hashes.as_slices();
    let in_part = |part: &[u64], first: usize| {
        let mut end = part.len();
        for chunk in part.rchunks(TOGETHER) {
            end -= chunk.len();
            if chunk.iter().fold(false, |any, one| any | (*one == hash)) {
                let within = chunk.iter().rposition(|one| *one == hash)?;
                return Some(first + end + within);
            }
        }
        None
    };
    let in_back = &back[..end.saturating_sub(front.len())];
    in_part(in_back, front.len()).or_else(|| in_part(&front[..end.min(front.len())], 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::hash::Hasher;

    /// Gives few hashes, so that most keys collide.
    #[derive(Debug, Default)]
    struct Poor(u64);

    impl BuildHasher for Poor {
        type Hasher = Self;

        fn build_hasher(&self) -> Self {
            Self(0)
        }
    }

    impl Hasher for Poor {
        fn finish(&self) -> u64 {
            self.0 % 3
        }

        fn write(&mut self, bytes: &[u8]) {
            self.0 += bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>();
        }
    }

    fn agrees_with_a_plain_list<H: BuildHasher + Default, const MOST: usize>(
        keys: Vec<u64>,
    ) -> Result<(), TestCaseError> {
        let mut window = Window::<u64, Vec<usize>, MOST, H>::default();
        let mut plain: VecDeque<(u64, Vec<usize>)> = VecDeque::new();
        for (index, key) in keys.into_iter().enumerate() {
            let expected = plain.iter_mut().find(|(known, _)| *known == key);
            match (window.find(&key), expected) {
                (Some(found), Some((_, expected))) => {
                    found.push(index);
                    expected.push(index);
                    prop_assert_eq!(found, expected);
                }
                (None, None) => {
                    plain.push_back((key, vec![index]));
                    let left = (plain.len() > MOST).then(|| plain.pop_front()).flatten();
                    prop_assert_eq!(window.add(key, vec![index]), left.map(|(_, thing)| thing));
                }
                (found, expected) => {
                    prop_assert!(false, "{:?}, not {:?}", found, expected);
                }
            }
        }
        while let Some((_, expected)) = plain.pop_front() {
            prop_assert_eq!(window.pop(), Some(expected));
        }
        prop_assert_eq!(window.pop(), None);
        Ok(())
    }

    proptest! {
        #[test]
        fn keys_that_collide(keys in proptest::collection::vec(0_u64..20, 0..200)) {
            agrees_with_a_plain_list::<Poor, 7>(keys)?;
        }

        #[test]
        fn keys_that_come_again(keys in proptest::collection::vec(0_u64..300, 0..900)) {
            agrees_with_a_plain_list::<RandomState, 100>(keys)?;
        }
    }
}
