//! What the first and last words of a checkpoint's records look like, and what that means.

use super::super::finding::Records;
use super::super::observed::Observed;
use super::HEAD;
use super::word::{HeapWord, High, Low, WILD_RATIO};

/// An element this many times the largest of the rest is no outlier.
const EXTREME_RATIO: f64 = 1e9;

/// Second words that are remembered of a checkpoint.
const MAX_KEYS: usize = 8;

/// Lower halves that differ by less may be addresses of one heap: half a megabyte. As `f32` they differ by 6 % at most.
const NEAR: u32 = 1 << 19;

/// Groups of them: addresses of the heap and of the allocator's own tables, and the two halves of a key.
const MAX_GROUPS: usize = 4;

/// Links that are told apart.
const MAX_LINKS: usize = 3;

/// What was seen of one checkpoint.
#[derive(Debug, Default)]
pub(super) struct Heads {
    /// Records that were looked at.
    pub(super) records: u64,
    /// Ordinary elements, and those of them that are zero.
    body: u64,
    body_zeros: u64,
    /// Records with an address, to the bit, and those where its lower half is wild.
    addresses: Records,
    /// Different first words that are links, up to [`MAX_LINKS`].
    links: Vec<u64>,
    pub(super) wild_addresses: u64,
    /// Records with two of these.
    double_addresses: u64,
    /// Addresses of the usual regions that share their upper half with the address before.
    usual_addresses: u64,
    last_high: u64,
    /// Records with a zero for an upper half, in text with few decimals.
    zero_highs: Records,
    /// Of them, by word: those with a wild lower half, and those with a zero one.
    pub(super) wild: [u64; 2],
    pub(super) empty: [u64; 2],
    /// Lower halves of ordinary size, by word: groups of near ones, each with the first of them and their number, and how many
    /// found no group.
    groups: [Vec<(u32, u64)>; 2],
    ungrouped: u64,
    /// Of these records, those with an element that is beyond any outlier in the first two words.
    extreme: u64,
    /// Records whose two words are equal, as in a chunk that is alone in its bin.
    twins: u64,
    /// Second words out of scale, how often each was seen, and the first ordinary element beside it.
    keys: Vec<(u64, u64, f64)>,
    /// Records that end with a chunk's size, or with two zeros in text with few decimals.
    pub(super) tails: u64,
    /// A record in words.
    pub(super) example: Option<String>,
}

impl Heads {
    /// Takes in a record, which ends in the ordinary elements `body` and then `tail`, a word or nothing.
    pub(super) fn observe(
        &mut self,
        seen: &Observed<'_>,
        body: &[f64],
        tail: &[f64],
        largest: f64,
    ) {
        let values = &seen.record.values;
        let word = |at: usize| HeapWord::of(values[at], values[at + 1], largest);
        let words = [word(0), word(2)];
        self.records += 1;
        self.body += body.len() as u64;
        self.body_zeros += body.iter().filter(|value| **value == 0.0).count() as u64;
        self.note_addresses(&words, seen.line);
        if seen.maybe_fixed {
            self.note_zero_highs(&words, seen.line);
            let extreme = values[..HEAD]
                .iter()
                .any(|value| value.abs() >= EXTREME_RATIO * largest);
            self.extreme += u64::from(extreme && words.iter().any(|word| word.high == High::Zero));
            if values[2..HEAD]
                .iter()
                .any(|value| value.abs() >= WILD_RATIO * largest)
            {
                self.note_key(words[1].bits, body[0]);
            }
        }
        if words[0].high != High::Other && words[0].low != Low::Zero {
            self.note_link(words[0].bits);
        }
        if let [low, high] = tail {
            let tail = HeapWord::of(*low, *high, largest);
            self.tails += u64::from(tail.is_chunk_size() || (seen.maybe_fixed && tail.bits == 0));
        }
        if self.example.is_none()
            && words
                .iter()
                .any(|word| word.low == Low::Wild && word.high != High::Other)
        {
            let shown: Vec<String> = values[..6].iter().map(|value| shown(*value)).collect();
            self.example = Some(format!(
                "line {}: {}, then {}",
                seen.line,
                shown[..4].join(", "),
                shown[4..].join(", ")
            ));
        }
    }

    fn note_link(&mut self, bits: u64) {
        if self.links.len() < MAX_LINKS && !self.links.contains(&bits) {
            self.links.push(bits);
        }
    }

    fn note_addresses(&mut self, words: &[HeapWord; 2], line: u64) {
        let is_link = |word: &&HeapWord| {
            word.high == High::Address && (word.low != Low::Ordinary || word.is_usual_address())
        };
        let links = words.iter().filter(is_link).count();
        if links > 0 {
            self.addresses.add(line);
        }
        self.double_addresses += u64::from(links == 2);
        self.wild_addresses += u64::from(
            words
                .iter()
                .filter(is_link)
                .any(|word| word.low == Low::Wild),
        );
        for word in words
            .iter()
            .filter(|word| word.high == High::Address && word.is_usual_address())
        {
            self.usual_addresses += u64::from(self.last_high == word.bits >> 32);
            self.last_high = word.bits >> 32;
        }
    }

    fn note_zero_highs(&mut self, words: &[HeapWord; 2], line: u64) {
        if words.iter().any(|word| word.high == High::Zero) {
            self.zero_highs.add(line);
        }
        for (index, word) in words
            .iter()
            .enumerate()
            .filter(|(_, word)| word.high == High::Zero)
        {
            self.wild[index] += u64::from(word.low == Low::Wild);
            self.empty[index] += u64::from(word.low == Low::Zero);
            if matches!(word.low, Low::Ordinary | Low::Tiny) {
                let low = word.bits as u32;
                let groups = &mut self.groups[index];
                if let Some(group) = groups.iter_mut().find(|group| group.0.abs_diff(low) < NEAR) {
                    group.1 += 1;
                } else if groups.len() < MAX_GROUPS {
                    groups.push((low, 1));
                } else {
                    self.ungrouped += 1;
                }
            }
        }
    }

    /// A second word that is out of scale: perhaps the thread cache's key, which is the same in all its chunks.
    fn note_key(&mut self, bits: u64, body: f64) {
        if let Some(key) = self.keys.iter_mut().find(|key| key.0 == bits) {
            // The same token again repeats everything, which makes no key.
            key.1 += u64::from(key.2 != body);
            key.2 = body;
        } else if self.keys.len() < MAX_KEYS {
            self.keys.push((bits, 1, body));
        }
    }

    /// In exact text.
    pub(super) fn shows_addresses(&self) -> bool {
        self.wild_addresses >= 2
            || (self.wild_addresses >= 1 && self.double_addresses >= 1)
            // Three of the usual regions, each beside the one before.
            || self.usual_addresses >= 2
    }

    /// True where so many zeros at the places of upper halves cannot be chance: the checkpoint has none elsewhere.
    pub(super) fn zeros_are_odd(&self) -> bool {
        let dense = self.body >= 12 && self.body_zeros * 100 <= self.body;
        // The rule of three bounds the rate of something that was hardly seen; 10^-9 for all records together.
        let rate = (self.body_zeros as f64 + 3.0) / (self.body as f64 + 3.0);
        dense && self.zero_highs.count as f64 * rate.ln() < -20.7
    }

    /// In text with few decimals.
    pub(super) fn shows_rounded_addresses(&self) -> bool {
        let wild: u64 = self.wild.iter().sum();
        // What every record has is a property of the tensor, a dead channel perhaps; an allocator's state changes.
        let some = |count: u64| (1..self.records).contains(&count);
        let groups = || self.groups.iter().flatten();
        let pinned = groups().any(|group| group.1 >= 3);
        // Lower halves that are neither wild nor alike are ordinary elements beside a channel that is zero.
        let odd = self.ungrouped + groups().filter(|group| group.1 == 1).count() as u64;
        let explained =
            odd * 2 <= self.zero_highs.count || self.extreme * 2 >= self.zero_highs.count;
        let signs = [
            wild >= 2 || pinned,
            self.extreme >= 1,
            some(self.empty[0]),
            some(self.wild[1] + self.empty[1]),
            self.keys.iter().any(|key| key.1 >= 3),
            some(self.tails),
            some(self.twins),
        ];
        let enough = signs.iter().filter(|sign| **sign).count() >= 2;
        self.zeros_are_odd() && explained && (wild >= 1 || pinned) && enough
    }

    /// Records that are damaged.
    pub(super) fn damaged(&self) -> &Records {
        if self.shows_addresses() {
            &self.addresses
        } else {
            &self.zero_highs
        }
    }

    /// True where the records' links differ: then many chunks were free at once. A single buffer that is given back after each
    /// use has the same neighbour in the list every time.
    pub(super) fn were_free_together(&self) -> bool {
        self.links.len() >= MAX_LINKS
    }
}

/// A value as its own type would print it, short where it is far out of scale.
fn shown(value: f64) -> String {
    let value = value as f32;
    if value == 0.0 || (1e-4..1e7).contains(&value.abs()) {
        value.to_string()
    } else {
        format!("{value:e}")
    }
}
