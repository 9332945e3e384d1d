//! What a difference of logits does to the next token.

use super::exp::exp_nonpositive;
use crate::error::Error;
use crate::tensor::{Block, Blocks, Numbers};

/// How many of the likeliest tokens are compared as a set.
pub const TOP: usize = 10;

/// Rows of logits compared as distributions.
///
/// A row that holds a NaN on either side, or +∞, has no distribution: it is counted and left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Logits {
    /// Rows compared.
    pub rows: u64,
    /// Rows left out.
    pub without_distribution: u64,
    /// Σ over rows of KL(reference‖candidate), nats.
    pub sum_kl: f64,
    /// The largest KL(reference‖candidate) of a row, nats.
    pub max_kl: f64,
    /// Position of that row.
    pub max_kl_position: i64,
    /// Rows whose likeliest token is the same.
    pub same_top: u64,
    /// Σ over rows of the share of the reference's [`TOP`] likeliest tokens that are among the candidate's.
    pub sum_top_shared: f64,
    /// Smallest distance of the reference's likeliest token from its second, in logits; infinite before the first row.
    pub min_margin: Option<f64>,
    /// The first row, by position, whose likeliest token differs.
    pub first_change: Option<TokenChange>,
}

/// A row after which greedy decoding would go another way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenChange {
    /// Position of the row: the token that changes is the next one.
    pub position: i64,
    /// Sequence in a batch.
    pub seq: u64,
    /// The reference's likeliest token.
    pub reference_token: u64,
    /// The candidate's.
    pub candidate_token: u64,
    /// By how much the reference prefers its token to the candidate's, in logits.
    pub reference_margin: f64,
    /// By how much the candidate prefers its own, in logits.
    pub candidate_margin: f64,
    /// KL(reference‖candidate) of the row, nats.
    pub kl: f64,
}

impl Logits {
    /// Compares `rows` rows of `vocabulary` logits each, in memory of one row; the first belongs to `first_position`.
    ///
    /// # Errors
    ///
    /// When a payload cannot be read.
    pub fn of(
        reference: &dyn Numbers,
        candidate: &dyn Numbers,
        (rows, vocabulary): (u64, usize),
        first_position: i64,
        seq: u64,
    ) -> Result<Self, Error> {
        let (mut from_a, mut from_b) = (reference.blocks(), candidate.blocks());
        let (mut a, mut b) = (Vec::new(), Vec::new());
        let mut logits = Self::default();
        for row in 0..rows {
            read_row(&mut *from_a, row, vocabulary, &mut a)?;
            read_row(&mut *from_b, row, vocabulary, &mut b)?;
            logits.add(&a, &b, first_position.saturating_add_unsigned(row), seq);
        }
        Ok(logits)
    }

    fn add(&mut self, reference: &[f32], candidate: &[f32], position: i64, seq: u64) {
        let (Some(a), Some(b)) = (Top::of(reference), Top::of(candidate)) else {
            self.without_distribution += 1;
            return;
        };
        let kl = divergence((reference, a.values[0]), (candidate, b.values[0]));
        if self.rows == 0 || kl > self.max_kl {
            (self.max_kl, self.max_kl_position) = (kl, position);
        }
        self.rows += 1;
        self.sum_kl += kl;
        self.sum_top_shared += a.shared_with(&b);
        if let [first, second, ..] = a.values[..a.kept] {
            let margin = f64::from(first) - f64::from(second);
            self.min_margin = Some(self.min_margin.map_or(margin, |least| least.min(margin)));
        }
        let (ours, theirs) = (a.indices[0], b.indices[0]);
        self.same_top += u64::from(ours == theirs);
        if ours != theirs {
            let between = |row: &[f32], winner, loser| {
                f64::from(row[winner as usize]) - f64::from(row[loser as usize])
            };
            let change = TokenChange {
                position,
                seq,
                reference_token: u64::from(ours),
                candidate_token: u64::from(theirs),
                reference_margin: between(reference, ours, theirs),
                candidate_margin: between(candidate, theirs, ours),
                kl,
            };
            self.first_change = earlier(self.first_change, Some(change));
        }
    }

    /// Adds other rows.
    pub fn merge(&mut self, other: &Self) {
        if other.rows > 0 && (self.rows == 0 || other.max_kl > self.max_kl) {
            (self.max_kl, self.max_kl_position) = (other.max_kl, other.max_kl_position);
        }
        self.rows += other.rows;
        self.without_distribution += other.without_distribution;
        self.sum_kl += other.sum_kl;
        self.same_top += other.same_top;
        self.sum_top_shared += other.sum_top_shared;
        let least = self.min_margin.into_iter().chain(other.min_margin);
        self.min_margin = least.reduce(f64::min);
        self.first_change = earlier(self.first_change, other.first_change);
    }
}

fn earlier(a: Option<TokenChange>, b: Option<TokenChange>) -> Option<TokenChange> {
    let changes = a.into_iter().chain(b);
    changes.reduce(|a, b| {
        if (b.position, b.seq) < (a.position, a.seq) {
            b
        } else {
            a
        }
    })
}

fn read_row(from: &mut dyn Blocks, row: u64, len: usize, out: &mut Vec<f32>) -> Result<(), Error> {
    /// Elements that are asked for at a time.
    const AT_ONCE: usize = 1 << 16;
    out.clear();
    let first = row * len as u64;
    while out.len() < len {
        let count = (len - out.len()).min(AT_ONCE);
        let before = out.len();
        match from.block(first + before as u64, count)? {
            Block::F32(narrow) => out.extend_from_slice(narrow),
            Block::F64(wide) => out.extend(wide.iter().map(|value| *value as f32)),
        }
        if out.len() == before {
            break;
        }
    }
    Ok(())
}

/// The largest elements of a row, largest first; of equal ones the first.
struct Top {
    values: [f32; TOP],
    indices: [u32; TOP],
    kept: usize,
}

impl Top {
    /// `None` for a row that is no distribution: empty, with a NaN or +∞, or all −∞.
    fn of(row: &[f32]) -> Option<Self> {
        let mut top = Self {
            values: [f32::NEG_INFINITY; TOP],
            indices: [u32::MAX; TOP],
            kept: 0,
        };
        for (index, chunk) in row.chunks(64).enumerate() {
            // Most stretches hold none of the largest: one comparison for all of them, which NaN fails too.
            let least = top.values[TOP - 1];
            if top.kept == TOP && chunk.iter().all(|value| *value <= least) {
                continue;
            }
            for (offset, value) in chunk.iter().enumerate() {
                if value.is_nan() {
                    return None;
                }
                top.offer(*value, (index * 64 + offset) as u32);
            }
        }
        (top.kept > 0 && top.values[0].is_finite()).then_some(top)
    }

    fn offer(&mut self, value: f32, index: u32) {
        if self.kept == TOP && value <= self.values[TOP - 1] {
            return;
        }
        let mut at = self.kept.min(TOP - 1);
        self.kept = (self.kept + 1).min(TOP);
        while at > 0 && self.values[at - 1] < value {
            self.values[at] = self.values[at - 1];
            self.indices[at] = self.indices[at - 1];
            at -= 1;
        }
        (self.values[at], self.indices[at]) = (value, index);
    }

    fn shared_with(&self, other: &Self) -> f64 {
        let others = &other.indices[..other.kept];
        let mine = &self.indices[..self.kept];
        let shared = mine.iter().filter(|index| others.contains(index)).count();
        shared as f64 / self.kept as f64
    }
}

/// Sums kept apart, so that the loop runs on vectors.
const LANES: usize = 8;

/// KL(reference‖candidate) = Σ p (a − b) + ln Σ eᵇ − ln Σ eᵃ with p = softmax(a); each side's maximum is taken off first.
///
/// Infinite where the candidate has no probability (−∞) for a token that the reference has one for.
fn divergence((reference, max_a): (&[f32], f32), (candidate, max_b): (&[f32], f32)) -> f64 {
    let (max_a, max_b) = (f64::from(max_a), f64::from(max_b));
    let (mut sum_a, mut sum_b, mut weighted) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
    let mut add = |lane: usize, a: f32, b: f32| {
        let (a, b) = (f64::from(a) - max_a, f64::from(b) - max_b);
        let (exp_a, exp_b) = (exp_nonpositive(a), exp_nonpositive(b));
        // Below e⁻⁷⁰⁰ nothing has any weight, and −∞ must not meet zero.
        let exp_a = if a > -700.0 { exp_a } else { 0.0 };
        let exp_b = if b > -700.0 { exp_b } else { 0.0 };
        let apart = if a > -700.0 { a - b } else { 0.0 };
        sum_a[lane] += exp_a;
        sum_b[lane] += exp_b;
        weighted[lane] += exp_a * apart;
    };
    let (whole_a, rest_a) = reference.as_chunks::<LANES>();
    let (whole_b, rest_b) = candidate.as_chunks::<LANES>();
    for (a, b) in whole_a.iter().zip(whole_b) {
        for lane in 0..LANES {
            add(lane, a[lane], b[lane]);
        }
    }
    for (lane, (a, b)) in rest_a.iter().zip(rest_b).enumerate() {
        add(lane, *a, *b);
    }
    let total = |lanes: [f64; LANES]| lanes.iter().sum::<f64>();
    let (sum_a, sum_b) = (total(sum_a), total(sum_b));
    // Never negative but for rounding.
    (total(weighted) / sum_a + sum_b.ln() - sum_a.ln()).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(a: &[f64], b: &[f64], rows: u64) -> Logits {
        let vocabulary = a.len() / rows as usize;
        Logits::of(&a, &b, (rows, vocabulary), 5, 0).unwrap()
    }

    #[test]
    fn two_tokens_by_hand() {
        // p = (3/4, 1/4), q = (1/4, 3/4): KL = 3/4 ln 3 − 1/4 ln 3 = ln 3 / 2.
        let ln3 = f64::from(3_f32.ln());
        let logits = of(&[ln3, 0.0], &[0.0, ln3], 1);
        assert!((logits.sum_kl - ln3 / 2.0).abs() < 1e-7);
        let change = logits.first_change.unwrap();
        assert_eq!(
            (
                change.position,
                change.reference_token,
                change.candidate_token
            ),
            (5, 0, 1)
        );
        assert_eq!(
            (change.reference_margin, change.candidate_margin),
            (ln3, ln3)
        );
        assert_eq!((logits.same_top, logits.sum_top_shared), (0, 1.0));
    }

    #[test]
    fn the_first_change_by_position() {
        let a = [1.0, 0.0, 1.0, 0.0, 1.0, 0.0];
        let b = [9.0, 0.0, 0.0, 1.0, 0.0, 1.0];
        let mut later = of(&a[2..], &b[2..], 2);
        later.first_change.as_mut().unwrap().position = 70;
        later.merge(&of(&a, &b, 3));
        assert_eq!(later.first_change.unwrap().position, 6);
        assert_eq!((later.rows, later.same_top), (5, 1));
        assert_eq!(later.min_margin, Some(1.0));
    }

    #[test]
    fn rows_without_a_distribution() {
        let (nan, inf) = (f64::NAN, f64::INFINITY);
        assert_eq!(of(&[nan, 0.0], &[0.0, 0.0], 1).without_distribution, 1);
        assert_eq!(of(&[0.0, 0.0], &[inf, 0.0], 1).without_distribution, 1);
        assert_eq!(of(&[-inf, -inf], &[0.0, 0.0], 1).without_distribution, 1);
        // −∞ on both sides is a token that cannot come; on one side it is an infinite disagreement.
        assert_eq!(of(&[0.0, -inf], &[1.0, -inf], 1).sum_kl, 0.0);
        assert_eq!(of(&[0.0, 0.0], &[0.0, -inf], 1).sum_kl, inf);
    }
}
