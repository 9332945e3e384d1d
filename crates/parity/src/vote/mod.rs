//! Several traces of one model and no reference among them: which one is the odd one out, and where first?

mod groups;
mod text;

use crate::align::Place;
use crate::exit_code;
use crate::report::Number;
use crate::report::v1::{
    CheckpointSummary, Report, SCHEMA_VERSION, Vote, VoteCheckpoint, VotePair,
};
use groups::groups;
use std::collections::BTreeMap;

/// Every two traces compared: (their numbers, the first as the reference; the report).
pub type Compared = ([usize; 2], Report);

/// Votes, checkpoint by checkpoint.
///
/// Two traces disagree on a checkpoint where pairs of their records are above its limit, from their first divergence on: errors
/// that only grew on the way are none. Of the traces that have it, those that agree, directly or through others, are one group; a group of more than half is right as far as a
/// vote can tell, and what is outside it is odd. A trace that cannot be compared with any other has no vote.
///
/// `compared` holds every two of the traces, in any order; at least three traces are needed for a majority.
pub fn vote(compared: &[Compared]) -> Vote {
    let traces = traces(compared);
    let usable: Vec<&Compared> = compared
        .iter()
        .filter(|(_, report)| report.exit_code != exit_code::NOT_COMPARABLE)
        .collect();
    let voters: Vec<usize> = (0..traces.len())
        .filter(|trace| usable.iter().any(|(pair, _)| pair.contains(trace)))
        .collect();
    let checkpoints = checkpoints(&usable);
    let first = checkpoints
        .iter()
        .find(|checkpoint| checkpoint.groups.len() > 1)
        .cloned();
    let (verdict, code) = match &first {
        _ if voters.len() < 3 || checkpoints.is_empty() => {
            ("not comparable", exit_code::NOT_COMPARABLE)
        }
        None => ("agree", exit_code::AGREES),
        Some(first) if first.odd.is_empty() => ("no majority", exit_code::DIVERGED),
        Some(_) => ("odd one out", exit_code::DIVERGED),
    };
    let mut vote = Vote {
        schema_version: SCHEMA_VERSION,
        parity_version: env!("CARGO_PKG_VERSION").to_owned(),
        verdict: verdict.to_owned(),
        exit_code: code,
        reasons: Vec::new(),
        traces,
        pairs: compared.iter().map(pair).collect(),
        first,
        checkpoints,
    };
    vote.reasons = text::reasons(&vote, &voters);
    vote
}

fn traces(compared: &[Compared]) -> Vec<crate::report::v1::TraceSummary> {
    let mut traces = BTreeMap::new();
    for ([a, b], report) in compared {
        traces.entry(*a).or_insert_with(|| report.reference.clone());
        traces.entry(*b).or_insert_with(|| report.candidate.clone());
    }
    traces.into_values().collect()
}

fn pair((traces, report): &Compared) -> VotePair {
    let worst = report
        .checkpoints
        .iter()
        .map(|checkpoint| checkpoint.worst_relative_rmse.0);
    VotePair {
        traces: *traces,
        verdict: report.verdict.clone(),
        reason: report.reasons.first().cloned().unwrap_or_default(),
        compared: report.coverage.compared,
        first_divergence: report
            .first_divergence
            .as_ref()
            .map(|first| first.checkpoint.clone()),
        worst_relative_rmse: worst.reduce(f64::max).map(Number),
    }
}

/// What two traces say of a checkpoint.
struct Ballot<'r> {
    traces: [usize; 2],
    summary: &'r CheckpointSummary,
    agrees: bool,
}

/// Whether two traces agree on a checkpoint of their report.
fn agrees(report: &Report, summary: &CheckpointSummary) -> bool {
    let Some(first) = &report.first_divergence else {
        return true;
    };
    let is_before = match (Place::of(&summary.checkpoint), Place::of(&first.checkpoint)) {
        (Some(place), Some(first)) => place < first,
        // Names of one's own have no place; what is above its limit then counts wherever it is.
        _ => false,
    };
    report.verdict != "diverged" || summary.above_limit == 0 || is_before
}

fn checkpoints(compared: &[&Compared]) -> Vec<VoteCheckpoint> {
    let mut order: Vec<&str> = Vec::new();
    let mut votes: BTreeMap<&str, Vec<Ballot<'_>>> = BTreeMap::new();
    for (traces, report) in compared {
        for summary in &report.checkpoints {
            let entry = votes.entry(&summary.checkpoint).or_insert_with(|| {
                order.push(&summary.checkpoint);
                Vec::new()
            });
            entry.push(Ballot {
                traces: *traces,
                summary,
                agrees: agrees(report, summary),
            });
        }
    }
    // Files may be in any order; names of one's own have no other place than the file's.
    if order.iter().all(|name| Place::of(name).is_some()) {
        order.sort_by_key(|name| Place::of(name));
    }
    let counted = order
        .into_iter()
        .filter_map(|name| checkpoint(name, &votes[name]));
    counted.collect()
}

/// `None` where fewer than three traces have it: two that differ cannot be told apart.
fn checkpoint(name: &str, ballots: &[Ballot<'_>]) -> Option<VoteCheckpoint> {
    let mut present: Vec<usize> = ballots.iter().flat_map(|ballot| ballot.traces).collect();
    present.sort_unstable();
    present.dedup();
    if present.len() < 3 {
        return None;
    }
    let agreeing = ballots.iter().filter(|ballot| ballot.agrees);
    let groups = groups(
        &present,
        &agreeing.map(|ballot| ballot.traces).collect::<Vec<_>>(),
    );
    let is_majority = groups[0].len() * 2 > present.len();
    let farthest = |of: &dyn Fn(&[usize; 2]) -> bool| {
        let errors = ballots.iter().filter(|ballot| of(&ballot.traces));
        errors
            .map(|ballot| ballot.summary.worst_relative_rmse.0)
            .reduce(f64::max)
    };
    let within = |traces: &[usize; 2]| traces.iter().all(|trace| groups[0].contains(trace));
    Some(VoteCheckpoint {
        checkpoint: name.to_owned(),
        odd: if is_majority {
            groups[1..].concat()
        } else {
            Vec::new()
        },
        farthest_relative_rmse: Number(farthest(&|_| true).unwrap_or(f64::NAN)),
        within_relative_rmse: farthest(&within).map(Number),
        groups,
    })
}
