//! All forward passes of a run.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use orch_log::Recorder;

use super::plan::Plan;
use super::{Config, Observer, Progress};
use crate::Error;
use crate::capture::{Columns, Pass, Rows, Session};
use crate::llama::{Context, Entry, Sampler};

/// How far a generation came.
pub(super) struct Course {
    /// One for each prompt.
    pub(super) sequences: Vec<Sequence>,
    /// Tokens of each pass.
    pub(super) batches: Vec<usize>,
    /// Where each pass was computed unwatched too.
    pub(super) observer: Option<Observer>,
    pub(super) prefill: Duration,
    pub(super) decode: Duration,
}

/// A prompt and what follows it.
pub(super) struct Sequence {
    /// What was fed, and in the end the token that would be fed next.
    pub(super) tokens: Vec<i32>,
    pub(super) picks: Vec<i32>,
    sampler: Sampler,
    /// What is fed after the prompt, whatever is picked.
    forced: VecDeque<i32>,
    /// What is fed in the next step.
    next: VecDeque<i32>,
}

impl Sequence {
    fn new(config: &Config, prompt: Vec<i32>, forced: VecDeque<i32>) -> Self {
        Self {
            tokens: Vec::new(),
            picks: Vec::new(),
            sampler: Sampler::new(config.temperature, config.seed),
            forced,
            next: prompt.into(),
        }
    }
}

impl Course {
    pub(super) fn new(config: &Config, plan: &Plan) -> Self {
        let first = Sequence::new(config, plan.prompt.clone(), plan.forced.clone());
        let beside = plan.beside.iter();
        let beside = beside.map(|prompt| Sequence::new(config, prompt.clone(), VecDeque::new()));
        Self {
            sequences: std::iter::once(first).chain(beside).collect(),
            batches: Vec::new(),
            observer: None,
            prefill: Duration::ZERO,
            decode: Duration::ZERO,
        }
    }

    /// What the next step feeds, sequence after sequence.
    fn entries(&self) -> Vec<Entry> {
        let sequences = self.sequences.iter().enumerate();
        let entries = sequences.flat_map(|(seq, sequence)| {
            let entries = sequence.next.iter().zip(sequence.tokens.len()..);
            entries.map(move |(token, position)| Entry {
                token: *token,
                position,
                seq,
            })
        });
        entries.collect()
    }

    /// Runs all forward passes of `plan`, in the unwatched context too where there is one.
    pub(super) fn run(
        &mut self,
        config: &Config,
        plan: &Plan,
        (context, mut unwatched): (&mut Context<'_>, Option<&mut Context<'_>>),
        session: &RefCell<Session<&Recorder>>,
        report: &mut dyn FnMut(Progress) -> bool,
    ) -> Result<(), Error> {
        let total = plan.fed();
        // The cells of the KV cache, which llama.cpp fills one after the other.
        let mut cells = Vec::with_capacity(total);
        for step in 0..plan.picks {
            let entries = self.entries();
            // llama.cpp would split a longer batch itself, but then nobody could tell its passes apart.
            for batch in entries.chunks(plan.n_ubatch) {
                let started = Instant::now();
                let places: Vec<(i64, u64)> = batch.iter().map(place).collect();
                cells.extend_from_slice(&places);
                let columns = if self.sequences.len() > 1 {
                    Columns::Tokens(cells.as_slice().into())
                } else {
                    Columns::Positions
                };
                session.borrow_mut().set_columns(columns);
                session.borrow_mut().begin(Pass {
                    step: step as u64,
                    tokens: batch.iter().map(|entry| entry.token).collect(),
                    rows: Rows::new(&places, None),
                });
                let decoded = context.decode_batch(batch);
                session.borrow_mut().end();
                decoded?;
                self.batches.push(batch.len());
                if step == 0 {
                    self.prefill += started.elapsed();
                } else {
                    self.decode += started.elapsed();
                }
                if let Some(unwatched) = &mut unwatched {
                    let observer = self.observer.get_or_insert_default();
                    observer.compare(batch, context, unwatched)?;
                }
                self.advance(config, batch, context)?;
                if !report(Progress::Decoded {
                    done: cells.len(),
                    total,
                }) {
                    return Err(Error::Cancelled);
                }
            }
        }
        // An end token does not end the run: what follows is as good a function to compare.
        for sequence in &mut self.sequences {
            sequence.tokens.extend(sequence.next.drain(..));
        }
        Ok(())
    }

    /// Notes what was fed, and picks what follows the sequences whose last token was.
    fn advance(
        &mut self,
        config: &Config,
        batch: &[Entry],
        context: &Context<'_>,
    ) -> Result<(), Error> {
        for (index, entry) in batch.iter().enumerate() {
            let sequence = &mut self.sequences[entry.seq];
            sequence.tokens.extend(sequence.next.pop_front());
            if !sequence.next.is_empty() {
                continue;
            }
            let logits = context.logits(index).unwrap_or_default();
            let pick = sequence.sampler.pick(logits).ok_or_else(|| Error::Model {
                path: config.model.clone(),
                message: format!(
                    "all {} logits at position {} are NaN",
                    logits.len(),
                    entry.position
                ),
            })?;
            sequence.picks.push(pick);
            let next = sequence.forced.pop_front().unwrap_or(pick);
            sequence.next.push_back(next);
        }
        Ok(())
    }
}

/// Position and sequence of a token, as records have them.
fn place(entry: &Entry) -> (i64, u64) {
    let position = i64::try_from(entry.position).unwrap_or(i64::MAX);
    (position, entry.seq as u64)
}
