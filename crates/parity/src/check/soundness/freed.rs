//! `S001`: records that begin with what an allocator leaves in freed memory.
//!
//! **What.** Most records are ordinary from their fifth element on, but begin with links of a heap: pointers, list ends, keys
//! (see `heap_word` for what they look like), and may end with the size of a free chunk.
//!
//! **Why it matters.** It looks like a broken engine: element 0 of the logits at -46583 in one token and 0 in the
//! next. It is the logger that kept its numbers in memory and wrote them after that memory had been freed, typically at
//! exit: destructors of static objects run before exit handlers that were registered earlier.
//!
//! **Evidence wanted.** In exact text the upper half of an address is a positive subnormal beside something wild: two of these
//! are enough, no computation makes them. `printf("%f")` prints that upper half as zero, and zeros are common in sound
//! tensors; then it takes a checkpoint that is nowhere else zero, enough records, and two independent signs: wild values
//! beside the zeros, list ends, the second word, keys, chunk sizes at the tail, several checkpoints.
//!
//! **What it can't tell.** Fewer than 8 values a record; types other than `f32`; a freed chunk that was handed out again and
//! overwritten (then the values are somebody else's, perhaps text: `S002`); allocators that leave nothing.

use super::finding::{Finding, Records, Severity, counted, name_list};
use super::heap_word::{HeapWord, High, Low};
use super::observed::{Detector, Ended, Observed, PerName};

const CODE: &str = "S001";

/// Elements before this one may be links; two 8-byte words.
const HEAD: usize = 4;

/// What was seen of one checkpoint.
#[derive(Debug, Default)]
struct Heads {
    /// Records that were looked at.
    records: u64,
    /// Ordinary elements, and those of them that are zero.
    body: u64,
    body_zeros: u64,
    /// Records with an address, to the bit, and those where its lower half is wild.
    addresses: Records,
    wild_addresses: u64,
    /// Records with two of these.
    double_addresses: u64,
    /// Addresses of the usual regions that share their upper half with the address before.
    usual_addresses: u64,
    last_high: u64,
    /// Records with a zero for an upper half, in text with few decimals.
    zero_highs: Records,
    /// Of them, by word: those with a wild lower half, and those with a zero one.
    wild: [u64; 2],
    empty: [u64; 2],
    /// Wild or ordinary lower halves that agree with the one before in sign, exponent and 3 bits more.
    pinned: u64,
    last_low: Option<u32>,
    /// The largest group of equal second words.
    key: (u64, u64),
    /// Records that end with a chunk's size, or with two zeros in text with few decimals.
    tails: u64,
    /// A record in words.
    example: Option<String>,
}

/// The detector.
#[derive(Debug, Default)]
pub(super) struct Freed {
    names: PerName<Heads>,
}

impl Detector for Freed {
    fn observe(&mut self, seen: &Observed<'_>) {
        let values = &seen.record.values;
        if !seen.is_f32() || values.len() < 8 {
            return;
        }
        let tail_at = if values.len() % 2 == 0 { values.len() - 2 } else { values.len() };
        let body = &values[HEAD..tail_at];
        let largest = body.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
        let subnormal = |value: &f64| *value != 0.0 && value.abs() < f64::from(f32::MIN_POSITIVE);
        // Without an ordinary body there is nothing to be wild against; one with subnormals is softmax underflow.
        if largest == 0.0 || !body.iter().all(|value| value.is_finite()) || body.iter().any(subnormal) {
            return;
        }
        let words = [0, 1].map(|word| HeapWord::of(values[2 * word], values[2 * word + 1], largest));
        let tail = (tail_at < values.len()).then(|| HeapWord::of(values[tail_at], values[tail_at + 1], largest));
        let heads = self.names.of(seen.name);
        heads.records += 1;
        heads.body += body.len() as u64;
        heads.body_zeros += body.iter().filter(|value| **value == 0.0).count() as u64;
        heads.note_addresses(&words, seen.line);
        if seen.maybe_fixed {
            heads.note_zero_highs(&words, seen.line);
        }
        if heads.key.0 == words[1].bits && words[1].bits != 0 {
            heads.key.1 += 1;
        } else if heads.key.1 <= 1 {
            heads.key = (words[1].bits, 1);
        }
        let ends_in_size = tail.is_some_and(|word| word.is_chunk_size() || (seen.maybe_fixed && word.bits == 0));
        heads.tails += u64::from(ends_in_size);
        if heads.example.is_none() && words.iter().any(|word| word.low == Low::Wild && word.high != High::Other) {
            heads.example = Some(format!(
                "line {}: {:e}, {:e}, {:e}, {:e}, then {:e}, {:e}",
                seen.line, values[0], values[1], values[2], values[3], values[4], values[5]
            ));
        }
    }

    fn finish(&mut self, ended: &Ended<'_>) -> Vec<Finding> {
        let fixed = ended.fixed_half_step().is_some();
        let several = self.names.iter(ended.names).filter(|(_, heads)| fixed && heads.zeros_are_odd()).count() > 1;
        let mut looked_at = 0;
        let hit: Vec<(&str, &Heads)> = self
            .names
            .iter(ended.names)
            .filter(|(_, heads)| heads.records > 0)
            .inspect(|_| looked_at += 1)
            .filter(|(_, heads)| heads.shows_addresses() || (fixed && heads.shows_rounded_addresses(several)))
            .collect();
        if hit.is_empty() { Vec::new() } else { vec![finding(&hit, looked_at, ended.records)] }
    }
}

impl Heads {
    fn note_addresses(&mut self, words: &[HeapWord; 2], line: u64) {
        let is_link = |word: &&HeapWord| word.high == High::Address && word.low != Low::Ordinary;
        let links = words.iter().filter(is_link).count();
        if links > 0 {
            self.addresses.add(line);
        }
        self.double_addresses += u64::from(links == 2);
        self.wild_addresses += u64::from(words.iter().filter(is_link).any(|word| word.low == Low::Wild));
        for word in words.iter().filter(|word| word.high == High::Address && word.is_usual_address()) {
            self.usual_addresses += u64::from(self.last_high == word.bits >> 32);
            self.last_high = word.bits >> 32;
        }
    }

    fn note_zero_highs(&mut self, words: &[HeapWord; 2], line: u64) {
        if words.iter().any(|word| word.high == High::Zero) {
            self.zero_highs.add(line);
        }
        for (index, word) in words.iter().enumerate().filter(|(_, word)| word.high == High::Zero) {
            self.wild[index] += u64::from(word.low == Low::Wild);
            self.empty[index] += u64::from(word.low == Low::Zero);
            if word.low != Low::Zero {
                let low = word.bits as u32;
                self.pinned += u64::from(self.last_low.is_some_and(|last| last >> 20 == low >> 20));
                self.last_low = Some(low);
            }
        }
    }

    /// In exact text.
    fn shows_addresses(&self) -> bool {
        self.wild_addresses >= 2
            || (self.wild_addresses >= 1 && self.double_addresses >= 1)
            // Three of the usual regions, each beside the one before.
            || (self.usual_addresses >= 2 && self.addresses.count >= 3)
    }

    /// True where so many zeros at the places of upper halves cannot be chance: the checkpoint has none elsewhere.
    fn zeros_are_odd(&self) -> bool {
        let dense = self.body >= 12 && self.body_zeros * 100 <= self.body;
        // The rule of three bounds the rate of something that was hardly seen; 10^-9 for all records together.
        let rate = (self.body_zeros as f64 + 3.0) / (self.body as f64 + 3.0);
        dense && self.zero_highs.count as f64 * rate.ln() < -20.7
    }

    /// In text with few decimals.
    fn shows_rounded_addresses(&self, several_names: bool) -> bool {
        let wild: u64 = self.wild.iter().sum();
        let empty: u64 = self.empty.iter().sum();
        let signs = [
            wild >= 2 || self.pinned >= 2,
            empty >= 1,
            self.wild[1] + self.empty[1] >= 1,
            self.key.1 >= 3,
            self.tails >= 1,
            several_names,
        ];
        self.zeros_are_odd() && (wild >= 1 || self.pinned >= 2) && signs.iter().filter(|sign| **sign).count() >= 2
    }

    /// Records that are damaged.
    fn damaged(&self) -> &Records {
        if self.shows_addresses() { &self.addresses } else { &self.zero_highs }
    }
}

fn finding(hit: &[(&str, &Heads)], looked_at: u64, all_records: u64) -> Finding {
    let mut records = Records::default();
    let (mut wild, mut empty, mut tails, mut seen) = (0, 0, 0, 0);
    for (_, heads) in hit {
        records.extend(heads.damaged());
        wild += heads.wild_addresses.max(heads.wild.iter().sum());
        empty += heads.empty.iter().sum::<u64>();
        tails += heads.tails;
        seen += heads.records;
    }
    let mut evidence = format!(
        "{} of {} of {} begin with links of a heap where numbers should be",
        records.count,
        counted(seen, "record"),
        name_list(hit.iter().map(|(name, _)| *name)),
    );
    if let Some(example) = hit.iter().find_map(|(_, heads)| heads.example.as_ref()) {
        evidence.push_str(&format!(" ({example})"));
    }
    evidence.push_str(&format!("; {wild} with a wild lower half of an address beside its small upper half"));
    if empty > 0 {
        evidence.push_str(&format!(", {empty} with a word that is all zero, as at the end of a list of free chunks"));
    }
    if tails > 0 {
        evidence.push_str(&format!(
            "; {tails} end with a zero or small word, where the next chunk keeps the size of a free one"
        ));
    }
    evidence.push_str("; everything between is ordinary");
    let of_logger = hit.len() as u64 * 2 >= looked_at && records.count * 2 >= all_records.min(seen);
    Finding {
        code: CODE,
        severity: Severity::Error,
        title: "freed memory was logged".to_owned(),
        evidence,
        cause: Some(if of_logger {
            "the logger's own buffers were freed before they were written: it collects values in memory and writes them at \
             exit, when the destructor of the static logger has already run. This is not a fault of the engine: what it \
             computed stands behind the first 16 bytes of each record"
                .to_owned()
        } else {
            "these tensors had been freed when they were read: the logger keeps a pointer where it should copy, or the \
             engine hands out its buffers before the logging call; the trace's other checkpoints are not touched"
                .to_owned()
        }),
        advice: "do not compare this trace; log once more with a logger that has written a record when the call returns \
                 (`orch_log.hpp`, `orch_log!`), or flush before `main` returns"
            .to_owned(),
        records,
    }
}
