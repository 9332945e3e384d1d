//! The traces of several processes put together as one.

use super::reader::{Entry, Located};
use super::store::Trace;
use crate::align::shards::{Apart, Joined, Slice, join};
use crate::error::Error;
use crate::tensor::Numbers;
use orch_log::format::{Event, Record, TOKENS};
use orch_log::{Detail, Filter, Logged, Recorder, Settings, TensorView};
use std::collections::HashMap;
use std::path::Path;

/// What became of the records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// Records of the merged trace.
    pub records: u64,
    /// Of them put side by side.
    pub concatenated: u64,
    /// Of them added up.
    pub summed: u64,
    /// Of them the same on several ranks.
    pub replicated: u64,
    /// Tensors that could not be put together; they are not in the merged trace.
    pub refused: u64,
    /// Of them copies that differ.
    pub replicas_differ: u64,
    /// The first reasons, at most [`Merged::LISTED`].
    pub reasons: Vec<String>,
}

impl Merged {
    /// How many reasons are kept.
    pub const LISTED: usize = 50;

    fn refuse(&mut self, record: &Record, reason: &str) {
        self.refused += 1;
        if self.reasons.len() < Self::LISTED {
            self.reasons.push(format!(
                "`{}` at position {}: {reason}",
                record.checkpoint.escape_debug(),
                record.token_idx
            ));
        }
    }
}

/// Checkpoint, position, sequence, occurrence.
type Tensor = (String, i64, u64, u64);

/// Where one rank's record lies.
#[derive(Clone, Copy)]
struct Place {
    trace: usize,
    offset_bytes: u64,
}

/// Merges the records of all ranks, in one file or in several, into a new trace at `out`.
///
/// Ranks of a tensor-parallel run hold slices (`shard`), partial sums (checkpoints that pass `sums`) or copies; ranks of a
/// pipeline hold different layers, which are taken over as they are. Tensors must be known in full. Memory: about 100 bytes for
/// each record, and all slices of one tensor.
///
/// # Errors
///
/// When a trace cannot be read, or the merged one not be written.
pub fn merge_ranks(traces: &[Trace], sums: Option<&Filter>, out: &Path) -> Result<Merged, Error> {
    let write_error = |source| Error::WriteTrace {
        path: out.to_owned(),
        source,
    };
    let (mut groups, team) = group(traces)?;
    groups.sort_by_key(|(tensor, _)| (tensor.1, tensor.2));
    let mut settings = Settings::new(out, team);
    settings.detail = Detail::Full;
    let recorder = Recorder::create(settings).map_err(write_error)?;
    let mut merged = Merged::default();
    for (tensor, places) in &groups {
        let mut slices = Vec::new();
        let mut first: Option<Record> = None;
        for place in places {
            let trace = &traces[place.trace];
            let Located { record, .. } = trace.record_at(place.offset_bytes)?;
            let data = whole(trace, &record)?;
            first.get_or_insert_with(|| record.clone());
            match data {
                Some(data) => slices.push(Slice {
                    rank: rank_of(&record).unwrap_or(place.trace as u64),
                    shape: record.shape.clone(),
                    shard: record
                        .shard
                        .map(|shard| (shard.axis, shard.index, shard.count)),
                    data,
                    dtype: record.dtype,
                }),
                None => break,
            }
        }
        let Some(record) = first else { continue };
        if slices.len() < places.len() {
            merged.refuse(
                &record,
                "not all of its elements are known; log with `ORCH_LOG_DETAIL=full`",
            );
            continue;
        }
        // Token ids pass every filter.
        let is_partial_sum = tensor.0 != TOKENS && sums.is_some_and(|sums| sums.passes(&tensor.0));
        match join(slices, is_partial_sum) {
            Ok(whole) => {
                merged.records += 1;
                match whole.joined {
                    Joined::Alone => {}
                    Joined::Concatenated => merged.concatenated += 1,
                    Joined::Summed => merged.summed += 1,
                    Joined::Replicated => merged.replicated += 1,
                }
                // What could not be written is told by the recorder's status, below.
                let _ = write(&recorder, &record, &whole.shape, &whole.data);
            }
            Err(Apart::Incomplete(reason)) => merged.refuse(&record, &reason),
            Err(Apart::ReplicasDiffer(reason)) => {
                merged.replicas_differ += 1;
                merged.refuse(
                    &record,
                    &format!("{reason}; if these are partial sums: --sum '{}'", tensor.0),
                );
            }
        }
    }
    recorder.flush().map_err(write_error)?;
    let status = recorder.status();
    if !status.is_complete() {
        let lost = || std::io::Error::other("records were lost");
        return Err(write_error(status.last_error.unwrap_or_else(lost)));
    }
    copy_run_file(&traces[0], out)?;
    Ok(merged)
}

/// All records by tensor, in the order in which the tensors first come, and who logged.
#[allow(clippy::type_complexity, reason = "a list of pairs")]
fn group(traces: &[Trace]) -> Result<(Vec<(Tensor, Vec<Place>)>, String), Error> {
    let mut groups: Vec<(Tensor, Vec<Place>)> = Vec::new();
    let mut known: HashMap<Tensor, usize> = HashMap::new();
    let mut team = String::new();
    for (trace, file) in traces.iter().enumerate() {
        let mut records = file.records()?;
        while let Some(entry) = records.next()? {
            let Entry::Record(located) = entry else {
                continue;
            };
            let record = &located.record;
            if team.is_empty() {
                team.clone_from(&record.team);
            }
            let tensor = (
                record.checkpoint.clone(),
                record.token_idx,
                record.seq,
                record.occurrence,
            );
            let index = *known.entry(tensor.clone()).or_insert_with(|| {
                groups.push((tensor, Vec::new()));
                groups.len() - 1
            });
            groups[index].1.push(Place {
                trace,
                offset_bytes: located.offset_bytes,
            });
        }
    }
    Ok((groups, team))
}

fn rank_of(record: &Record) -> Option<u64> {
    record.rank.or(record.shard.map(|shard| shard.rank))
}

/// All elements; `None` where they are not known.
fn whole(trace: &Trace, record: &Record) -> Result<Option<Vec<f64>>, Error> {
    let Some(len) = record.len() else {
        return Ok(None);
    };
    let numbers: Box<dyn Numbers> = match trace.payload(record) {
        Some(Ok(payload)) => Box::new(payload),
        _ => Box::new(record.values.as_slice()),
    };
    if numbers.available() != len as u64 {
        return Ok(None);
    }
    let mut data = Vec::with_capacity(len);
    numbers.read(0, len, &mut data)?;
    Ok(Some(data))
}

/// One record with all elements: as `f32`, which every narrower type widens to exactly, or as what is wider.
fn write(recorder: &Recorder, record: &Record, shape: &[usize], data: &[f64]) -> Logged {
    let mut event = Event::new(&record.checkpoint, record.token_idx)
        .shape(shape)
        .dtype(record.dtype)
        .seq(record.seq)
        .occurrence(record.occurrence)
        .token_axis(record.token_axis);
    if record.has_n_tokens {
        event = event.n_tokens(record.n_tokens);
    }
    if let Some(step) = record.step {
        event = event.step(step);
    }
    if let Some(op) = &record.op {
        event = event.op(op);
    }
    if record.checkpoint == TOKENS {
        let ids: Vec<i32> = data.iter().map(|id| *id as i32).collect();
        return recorder.log(&event, TensorView::new(&ids));
    }
    let narrow: Vec<f32> = data.iter().map(|x| *x as f32).collect();
    let is_exact = narrow
        .iter()
        .zip(data)
        .all(|(x, y)| f64::from(*x).to_bits() == y.to_bits() || y.is_nan());
    if is_exact {
        recorder.log(&event, TensorView::new(&narrow))
    } else {
        recorder.log(&event, TensorView::new(data))
    }
}

/// The first rank's run file speaks of the same model and prompt.
fn copy_run_file(first: &Trace, out: &Path) -> Result<(), Error> {
    let from = first.path().with_extension("run.json");
    let to = out.with_extension("run.json");
    if !from.exists() {
        return Ok(());
    }
    std::fs::copy(from, &to)
        .map(drop)
        .map_err(|source| Error::WriteTrace { path: to, source })
}
