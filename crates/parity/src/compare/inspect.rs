//! A second look at few pairs: histograms, and where along its axes the error lies.

use super::options::Options;
use super::pairing::Outcome;
use super::setup::Setup;
use crate::align::{Key, NameId};
use crate::error::Error;
use crate::judge::{Detail, Limit, PairSummary, Tally};
use crate::measure::Resolution;
use crate::report::inspection;
use crate::report::v1::Inspection;
use crate::trace::Trace;
use orch_log::Filter;
use std::collections::HashMap;

/// Which pair to look at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Which {
    /// Checkpoint name.
    pub checkpoint: String,
    /// Position of the first token, counted as in the reference.
    pub token_idx: i64,
    /// Sequence in a batch.
    pub seq: u64,
}

impl Which {
    fn of(key: &Key) -> Self {
        Self {
            checkpoint: key.checkpoint.clone(),
            token_idx: key.token_idx,
            seq: key.seq,
        }
    }
}

/// Looks closely at one pair; `None` where there is none, or nothing of it could be measured.
///
/// # Errors
///
/// When a file cannot be read.
pub fn inspect(
    reference: &Trace,
    candidate: &Trace,
    options: &Options,
    which: &Which,
) -> Result<Option<Inspection>, Error> {
    let setup = Setup::of(reference, candidate, options)?;
    let limit = super::run::limit(reference, candidate, options);
    let wanted = HashMap::from([(which.clone(), 0)]);
    let found = look(
        &setup,
        (reference, candidate),
        &limit,
        wanted,
        Resolution::FULL,
    )?;
    Ok(found.into_iter().next())
}

/// The worst pair of each checkpoint, as many as `options` ask for: first those that exceed what is allowed most.
pub(super) fn inspect_worst(
    setup: &Setup,
    traces: (&Trace, &Trace),
    tally: &Tally,
    options: &Options,
) -> Result<Vec<Inspection>, Error> {
    if options.inspect == 0 {
        return Ok(Vec::new());
    }
    let mut worst: HashMap<NameId, &PairSummary> = HashMap::new();
    for pair in tally.pairs() {
        let kept = worst.entry(pair.name).or_insert(pair);
        if pair.nmse > kept.nmse {
            *kept = pair;
        }
    }
    let excess = |pair: &PairSummary| {
        let limit = tally.limit().max_nmse(tally.name(pair.name));
        pair.nmse / limit.unwrap_or(1.0).max(f64::MIN_POSITIVE)
    };
    let mut chosen: Vec<&PairSummary> = worst.into_values().collect();
    chosen.sort_by(|a, b| {
        excess(b)
            .total_cmp(&excess(a))
            .then(a.offset_bytes.cmp(&b.offset_bytes))
    });
    chosen.truncate(options.inspect);
    let first = tally.first().map(|first| Which::of(&first.detail().key));
    let others = chosen.into_iter().map(|pair| Which {
        checkpoint: tally.name(pair.name).to_owned(),
        token_idx: pair.token_idx,
        seq: u64::from(pair.seq),
    });
    let mut wanted = HashMap::new();
    for which in first.into_iter().chain(others) {
        let rank = wanted.len();
        wanted.entry(which).or_insert(rank);
    }
    look(setup, traces, tally.limit(), wanted, Resolution::OVERVIEW)
}

/// Reads both traces once more for the wanted pairs, and gives them in the order of their ranks.
fn look(
    setup: &Setup,
    (reference, candidate): (&Trace, &Trace),
    limit: &Limit,
    mut wanted: HashMap<Which, usize>,
    resolution: Resolution,
) -> Result<Vec<Inspection>, Error> {
    let mut context = setup.context(reference, candidate);
    context.spread = Some(resolution);
    let everything = Filter::default();
    let mut lockstep = context.lockstep(&everything)?;
    let mut found = Vec::new();
    while !wanted.is_empty()
        && let Some(pair) = lockstep.next_pair()?
    {
        let Some(rank) = wanted.remove(&Which::of(&pair.key)) else {
            continue;
        };
        let outcome = context.examine(&pair)?;
        if let Outcome::Measured(mut compared) = outcome {
            let spread = compared.spread.take();
            let detail = Detail::of(&pair, *compared, limit);
            found.push((rank, inspection(&detail, spread.as_deref())));
        }
    }
    found.sort_by_key(|(rank, _)| *rank);
    Ok(found
        .into_iter()
        .map(|(_, inspection)| inspection)
        .collect())
}
