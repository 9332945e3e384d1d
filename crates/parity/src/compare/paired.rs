//! The pairing without the measuring.

use super::options::Options;
use crate::align::maps::{Chosen, Sample, choose};
use crate::align::{Lockstep, Pair, Progress, Source};
use crate::check::Survey;
use crate::error::Error;
use crate::exit_code;
use crate::report::map_uses;
use crate::report::v1::{PairedName, Pairing, SCHEMA_VERSION, UnpairedName};
use crate::trace::Trace;
use orch_log::format::TOKENS;
use std::collections::HashMap;

/// Says which record of one trace is which record of the other, as [`compare`](crate::compare) would have it; reads no
/// numbers.
///
/// # Errors
///
/// When a file cannot be read.
pub fn pairing(
    reference: &Trace,
    candidate: &Trace,
    options: &Options,
    progress: &mut dyn FnMut(Progress),
) -> Result<Pairing, Error> {
    let maps = [
        choose(&Sample::of(reference)?, &options.reference_map),
        choose(&Sample::of(candidate)?, &options.candidate_map),
    ];
    let source = |map| Source {
        map: Chosen::bound(map),
        token_offset: 0,
    };
    let theirs = Source {
        token_offset: options.token_offset.unwrap_or(0),
        ..source(&maps[1])
    };
    let mut lockstep = Lockstep::new(
        (reference, source(&maps[0])),
        (candidate, theirs),
        &options.filter,
    )?;
    let mut paired: Vec<PairedName> = Vec::new();
    let mut places: HashMap<String, (usize, [u64; 2])> = HashMap::new();
    while let Some(pair) = lockstep.next_pair()? {
        if pair.key.checkpoint == TOKENS {
            continue;
        }
        progress(lockstep.progress());
        let name = &pair.key.checkpoint;
        if !places.contains_key(name) {
            places.insert(name.clone(), (paired.len(), [0; 2]));
            paired.push(first_pair(&pair, [reference, candidate])?);
        }
        if let Some((place, records)) = places.get_mut(name) {
            let entry = &mut paired[*place];
            entry.pairs += 1;
            let end = pair.key.token_idx.saturating_add(pair.n_tokens as i64);
            entry.positions = [
                entry.positions[0].min(pair.key.token_idx),
                entry.positions[1].max(end),
            ];
            for (count, share) in records.iter_mut().zip(&pair.shares) {
                *count += u64::from(share.is_first);
            }
        }
    }
    let [(reference_survey, _), (candidate_survey, _)] = lockstep.finish();
    let surveys = (reference_survey, candidate_survey);
    let found = |name: &str, side: usize| places.get(name).map_or(0, |(_, records)| records[side]);
    let wanted = |name: &str| options.filter.passes(name) && name != TOKENS;
    let unpaired = |survey: &Survey, other: &Survey, side: usize| {
        let rest = survey
            .names()
            .filter(|(name, _)| wanted(name))
            .filter_map(|(name, seen)| {
                let records = seen.records.saturating_sub(found(name, side));
                (records > 0).then(|| UnpairedName {
                    checkpoint: name.to_owned(),
                    records,
                    elsewhere: other.name(name).is_some(),
                })
            });
        rest.collect::<Vec<_>>()
    };
    Ok(Pairing {
        schema_version: SCHEMA_VERSION,
        exit_code: if paired.is_empty() {
            exit_code::NOT_COMPARABLE
        } else {
            exit_code::AGREES
        },
        maps: map_uses([&maps[0], &maps[1]], [&surveys.0, &surveys.1]),
        only_in_reference: unpaired(&surveys.0, &surveys.1, 0),
        only_in_candidate: unpaired(&surveys.1, &surveys.0, 1),
        paired,
    })
}

/// The own names of a pair's records are in the files alone: the records at hand have canonical ones.
fn first_pair(pair: &Pair, traces: [&Trace; 2]) -> Result<PairedName, Error> {
    let own = |trace: &Trace, offset_bytes| Ok(trace.record_at(offset_bytes)?.record.checkpoint);
    let [reference, candidate] = traces;
    Ok(PairedName {
        checkpoint: pair.key.checkpoint.clone(),
        names: [
            own(reference, pair.reference.offset_bytes)?,
            own(candidate, pair.candidate.offset_bytes)?,
        ],
        shapes: [
            pair.reference.record.shape.clone(),
            pair.candidate.record.shape.clone(),
        ],
        pairs: 0,
        positions: [pair.key.token_idx, pair.key.token_idx],
    })
}
