//! What becomes of each pair of records.

use crate::align::{Key, Names, Pair};
use crate::check::{Code, Findings, SameInput, Side, contradiction};
use crate::error::Error;
use crate::judge::{Compared, Detail};
use crate::measure::{Evidence, measure};
use crate::tensor::{Numbers, Region, without_token_axis};
use crate::trace::Trace;
use orch_log::format::{Record, TOKENS};

/// What became of a pair.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Token ids: compared as inputs, not as numbers.
    Tokens,
    /// It lies past the point where the inputs part.
    PastInputs,
    /// The two shapes differ.
    Shapes(Vec<usize>, Vec<usize>),
    /// It could not be measured, for this reason.
    Unusable(String),
    /// It was measured.
    Measured(Box<Compared>),
}

/// Pairs by outcome, with the first of those that were not measured.
#[derive(Debug, Default)]
pub(crate) struct Pairing {
    pub(crate) pairs: u64,
    pub(crate) token_pairs: u64,
    pub(crate) past_inputs: u64,
    pub(crate) shape_mismatches: Vec<(Key, Vec<usize>, Vec<usize>)>,
    pub(crate) shape_mismatch_count: u64,
    pub(crate) unusable: Vec<(Key, String)>,
    pub(crate) unusable_count: u64,
    names: Names,
    by_name: Vec<u64>,
}

/// How many pairs of each kind are listed.
const LISTED: usize = 200;

impl Pairing {
    /// Counts a pair and gives back its figures, if it has any.
    pub(crate) fn note(&mut self, key: &Key, outcome: Outcome) -> Option<Compared> {
        self.pairs += 1;
        if let Some(id) = self.names.id(&key.checkpoint) {
            match self.by_name.get_mut(id.index()) {
                Some(count) => *count += 1,
                None => self.by_name.push(1),
            }
        }
        match outcome {
            Outcome::Tokens => self.token_pairs += 1,
            Outcome::PastInputs => self.past_inputs += 1,
            Outcome::Shapes(reference, candidate) => {
                self.shape_mismatch_count += 1;
                if self.shape_mismatches.len() < LISTED {
                    self.shape_mismatches
                        .push((key.clone(), reference, candidate));
                }
            }
            Outcome::Unusable(reason) => {
                self.unusable_count += 1;
                if self.unusable.len() < LISTED {
                    self.unusable.push((key.clone(), reason));
                }
            }
            Outcome::Measured(pair) => return Some(*pair),
        }
        None
    }

    /// Pairs of one checkpoint name.
    pub(crate) fn pairs_of(&self, checkpoint: &str) -> u64 {
        self.names
            .find(checkpoint)
            .map_or(0, |id| self.by_name[id.index()])
    }
}

/// The two traces, and what is known of their inputs.
pub(crate) struct Context<'a> {
    pub(crate) reference: &'a Trace,
    pub(crate) candidate: &'a Trace,
    pub(crate) inputs: &'a SameInput,
}

impl Context<'_> {
    /// Measures one pair, or says why not; damaged payloads go to `findings`.
    pub(crate) fn examine(&self, pair: &Pair, findings: &mut Findings) -> Result<Outcome, Error> {
        let (a, b) = (&pair.reference.record, &pair.candidate.record);
        if pair.key.checkpoint == TOKENS {
            return Ok(Outcome::Tokens);
        }
        for (side, record) in [(Side::Reference, a), (Side::Candidate, b)] {
            if let Some(contradiction) = contradiction(record) {
                return Ok(Outcome::Unusable(format!(
                    "{}: {contradiction}",
                    side.name()
                )));
            }
        }
        let (shape, other) = (compared_shape(a), compared_shape(b));
        if shape != other {
            return Ok(Outcome::Shapes(a.shape.clone(), b.shape.clone()));
        }
        let axes = (token_axis(a), token_axis(b));
        if axes.0 != axes.1 {
            let name = |axis: Option<usize>| {
                axis.map_or("no axis".to_owned(), |axis| format!("axis {axis}"))
            };
            let reason = format!(
                "{} holds the tokens in the reference, {} in the candidate",
                name(axes.0),
                name(axes.1)
            );
            return Ok(Outcome::Unusable(reason));
        }
        let (mut n_tokens, mut first_values) = (a.n_tokens as u64, Detail::FIRST_VALUES);
        let mut region = Region::whole(shape, axes.0);
        if pair.key.checkpoint.ends_with("attn_scores")
            && let Some(kv) = shape.last()
        {
            region = region.causal(*kv, pair.key.token_idx);
        }
        if let Some(end) = self.inputs.comparable_before(pair.key.seq) {
            let kept = end.saturating_sub(pair.key.token_idx);
            if kept <= 0 {
                return Ok(Outcome::PastInputs);
            }
            region = region.first_tokens(kept as u64);
            n_tokens = n_tokens.min(kept as u64);
            // Values of the rows past that point would be shown as if they had been compared.
            first_values = region
                .ranges()
                .next()
                .map_or(0, |(_, length)| length as usize);
        }
        let sources = [
            numbers(self.reference, a, Side::Reference, &pair.key, findings),
            numbers(self.candidate, b, Side::Candidate, &pair.key, findings),
        ];
        let measured = measure(
            &evidence(a, &*sources[0]),
            &evidence(b, &*sources[1]),
            &region,
        )?;
        Ok(match measured {
            Some(measured) => Outcome::Measured(Box::new(Compared {
                shape: shape.to_vec(),
                n_tokens,
                first_values,
                measured,
            })),
            None => Outcome::Unusable("no elements, sketch or statistics in common".to_owned()),
        })
    }
}

fn evidence<'r>(record: &'r Record, numbers: &'r dyn Numbers) -> Evidence<'r> {
    Evidence {
        numbers,
        stats: record.stats.as_ref(),
        sketch: record.sketch.as_ref(),
    }
}

/// The shape without the token axis of a single token, which some loggers write and some do not.
fn compared_shape(record: &Record) -> &[usize] {
    if record.n_tokens == 1 {
        without_token_axis(&record.shape)
    } else {
        &record.shape
    }
}

fn token_axis(record: &Record) -> Option<usize> {
    (record.n_tokens > 1).then_some(record.token_axis)
}

/// All elements where the payload is sound, else those that the line itself holds.
fn numbers<'r>(
    trace: &Trace,
    record: &'r Record,
    side: Side,
    key: &Key,
    findings: &mut Findings,
) -> Box<dyn Numbers + 'r> {
    match trace.payload(record) {
        Some(Ok(payload)) => return Box::new(payload),
        Some(Err(fault)) => findings.add_with_help(
            Code::PayloadUnusable,
            side,
            format!("{key}: {fault}"),
            "copy the `.tensors` files together with the `.jsonl`; values, statistics and sketch are used instead",
        ),
        None => {}
    }
    Box::new(record.values.as_slice())
}
