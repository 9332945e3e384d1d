//! From what was measured to the report.

use super::Number;
use super::build_alignment::alignment;
use super::build_blame::{floors, growth, judged, origins};
use super::build_figures::logits;
use super::build_findings::all_findings;
use super::build_pair::{checkpoint, divergence, pair_detail};
use super::reasons::reasons;
use super::v1;
use crate::align::maps::Chosen;
use crate::align::{Key, Unpaired};
use crate::check::soundness::Finding as Damage;
use crate::check::{Findings, SameInput, Survey};
use crate::compare::{NotRecomputed, Pairing, pattern};
use crate::judge::{Band, Limit, OperationLimit, Tally, Verdict};
use crate::trace::Trace;
use orch_log::Filter;
use std::collections::BTreeMap;

/// All that a report is made of; pairs are (reference, candidate).
pub(crate) struct Material<'a> {
    pub(crate) verdict: Verdict,
    pub(crate) traces: (&'a Trace, &'a Trace),
    pub(crate) surveys: (&'a Survey, &'a Survey),
    pub(crate) filter: &'a Filter,
    /// Name maps of reference and candidate.
    pub(crate) maps: [&'a Chosen; 2],
    /// Added to the candidate's positions.
    pub(crate) token_offset: i64,
    pub(crate) pairing: &'a Pairing,
    pub(crate) tally: &'a Tally,
    pub(crate) inputs: &'a SameInput,
    pub(crate) unpaired: (Unpaired, Unpaired),
    pub(crate) findings: Findings,
    /// What is wrong with reference and candidate themselves.
    pub(crate) soundness: [Vec<Damage>; 2],
    pub(crate) not_recomputed: NotRecomputed,
}

/// Puts the report together.
pub(crate) fn build(material: Material<'_>) -> v1::Report {
    let tally = material.tally;
    let coverage = coverage(&material);
    let alignment = alignment(&material);
    let findings = all_findings(material.findings, material.soundness);
    let first_divergence = tally
        .first()
        .map(|first| divergence(first.detail(), first.inputs(), first.local()));
    let mut report = v1::Report {
        schema_version: v1::SCHEMA_VERSION,
        parity_version: env!("CARGO_PKG_VERSION").to_owned(),
        verdict: material.verdict.name().to_owned(),
        exit_code: material.verdict.exit_code(),
        reasons: Vec::new(),
        reference: trace_summary(material.traces.0, material.surveys.0),
        candidate: trace_summary(material.traces.1, material.surveys.1),
        coverage,
        alignment,
        tokens: tokens(material.inputs),
        limit: limit(tally.limit()),
        bands: bands(tally),
        first_divergence,
        worst: tally.worst().iter().map(pair_detail).collect(),
        checkpoints: material
            .surveys
            .0
            .names()
            .filter_map(|(name, _)| tally.checkpoint(name))
            .map(checkpoint)
            .collect(),
        findings,
        origins: origins(tally),
        tolerances: Vec::new(),
        floors: floors(tally),
        judged: judged(tally, material.not_recomputed),
        growth: growth(tally),
        cells: None,
        edges: Vec::new(),
        inspections: Vec::new(),
        logits: logits(tally),
        causes: Vec::new(),
    };
    report.reasons = reasons(material.verdict, &report);
    report
}

fn trace_summary(trace: &Trace, survey: &Survey) -> v1::TraceSummary {
    let info = trace.run().info();
    let mut run = Vec::new();
    if let Some(info) = info {
        run.extend(
            info.device
                .clone()
                .map(|device| ("device".to_owned(), device)),
        );
        run.extend(
            info.threads
                .map(|threads| ("threads".to_owned(), threads.to_string())),
        );
        let settings = info.settings.keys();
        run.extend(settings.filter_map(|name| Some((name.clone(), info.setting(name)?))));
    }
    v1::TraceSummary {
        path: trace.path().display().to_string(),
        teams: survey.teams.iter().cloned().collect(),
        records: survey.records,
        malformed_lines: survey.malformed,
        positions: survey.positions().map(|(first, last)| [first, last]),
        model: info
            .and_then(|info| info.model.as_ref())
            .map(|model| v1::ModelSummary {
                file: model.path.as_ref().map(|path| {
                    let bare = std::path::Path::new(path).file_name();
                    bare.map_or_else(|| path.clone(), |name| name.to_string_lossy().into_owned())
                }),
                sha256: model.sha256.clone(),
                architecture: model.architecture.clone(),
                layers: model.layers,
                weights: model.weights.clone(),
            }),
        run,
    }
}

fn coverage(material: &Material<'_>) -> v1::Coverage {
    let (pairing, tally) = (material.pairing, material.tally);
    v1::Coverage {
        pairs: pairing.pairs,
        compared: tally.compared,
        identical: tally.identical,
        above_limit: tally.above_limit,
        token_pairs: pairing.token_pairs,
        past_inputs: pairing.past_inputs,
        rests_on: v1::RestsOn {
            all_elements: tally.bases.exact,
            first_elements: tally.bases.first,
            sketches: tally.bases.sketch,
            statistics: tally.bases.stats,
        },
        missing_in_candidate: unpaired(material, 0, &material.unpaired.0),
        missing_in_reference: unpaired(material, 1, &material.unpaired.1),
        shape_mismatches: pairing.shape_mismatch_count,
        shape_mismatch_list: pairing
            .shape_mismatches
            .iter()
            .map(|(key, reference, candidate)| v1::ShapeMismatch {
                checkpoint: key.checkpoint.clone(),
                token_idx: key.token_idx,
                reference: reference.clone(),
                candidate: candidate.clone(),
            })
            .collect(),
        unusable: pairing.unusable_count,
        unusable_list: pairing
            .unusable
            .iter()
            .map(|(key, reason)| v1::UnusablePair {
                checkpoint: key.checkpoint.clone(),
                token_idx: key.token_idx,
                reason: reason.clone(),
            })
            .collect(),
    }
}

fn unpaired(material: &Material<'_>, side: usize, unpaired: &Unpaired) -> v1::Unpaired {
    let survey = [material.surveys.0, material.surveys.1][side];
    let mut groups: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for (name, seen) in survey
        .names()
        .filter(|(name, _)| material.filter.passes(name))
    {
        let paired = material.pairing.paired_records_of(name)[side];
        let missing = seen.records.saturating_sub(paired);
        if missing > 0 {
            let group = groups.entry(pattern(name)).or_default();
            group.0 += 1;
            group.1 += missing;
        }
    }
    let mut groups: Vec<v1::MissingGroup> = groups
        .into_iter()
        .map(|(pattern, (names, records))| v1::MissingGroup {
            pattern,
            names,
            records,
        })
        .collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.records));
    groups.truncate(Unpaired::LISTED);
    v1::Unpaired {
        records: unpaired.records,
        groups,
        list: unpaired.listed.iter().map(Key::to_string).collect(),
    }
}

fn tokens(inputs: &SameInput) -> v1::Tokens {
    let status = if !inputs.differences.is_empty() {
        "different"
    } else if inputs.is_proven() {
        "same"
    } else {
        "unknown"
    };
    v1::Tokens {
        status: status.to_owned(),
        equal_positions: inputs.equal_positions,
        differences: inputs
            .differences
            .iter()
            .map(
                |(seq, (position, [reference, candidate]))| v1::TokenDifference {
                    seq: *seq,
                    token_idx: *position,
                    reference: *reference,
                    candidate: *candidate,
                },
            )
            .collect(),
    }
}

fn limit(limit: &Limit) -> v1::Limit {
    let given = |kind: &str, max_nmse: Option<f64>, reason: &str| v1::Limit {
        kind: kind.to_owned(),
        max_nmse: max_nmse.map(Number),
        weights: None,
        assumed: false,
        reason: reason.to_owned(),
        by_operation: Vec::new(),
    };
    match limit {
        Limit::Noise(noise) => v1::Limit {
            weights: Some(noise.class().name().to_owned()),
            assumed: !noise.is_known,
            by_operation: noise
                .by_operation()
                .into_iter()
                .map(operation_limit)
                .collect(),
            ..given("noise", None, noise.reason())
        },
        Limit::MaxNmse(limit) => given("threshold", Some(*limit), "given with --threshold"),
        Limit::Bands => given(
            "bands",
            None,
            "largest absolute difference below 1 (--bands)",
        ),
    }
}

fn operation_limit(limit: OperationLimit) -> v1::OperationLimit {
    v1::OperationLimit {
        operations: limit.operations.into_iter().map(str::to_owned).collect(),
        max_nmse: Number(limit.max_nmse),
        max_relative_rmse: Number(limit.max_nmse.sqrt()),
        reason: limit.reason.to_owned(),
    }
}

fn bands(tally: &Tally) -> v1::Bands {
    v1::Bands {
        exact: tally.bands.count(Band::Exact),
        close: tally.bands.count(Band::Close),
        acceptable: tally.bands.count(Band::Acceptable),
        warning: tally.bands.count(Band::Warning),
        fail: tally.bands.count(Band::Fail),
        unknown: tally.bands.unknown,
    }
}
