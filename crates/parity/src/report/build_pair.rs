//! From the figures of pairs and checkpoints to the report.

use super::Number;
use super::build_figures::diff_histogram;
use super::v1;
use crate::judge::{Band, CheckpointTally, Detail, InputError, LocalError};
use crate::measure::{Basis, Range, sqnr_db};
use crate::tensor::coordinates;

/// The first divergence.
pub(super) fn divergence(
    detail: &Detail,
    inputs: &[InputError],
    local: Option<LocalError>,
) -> v1::Divergence {
    v1::Divergence {
        checkpoint: detail.key.checkpoint.clone(),
        token_idx: detail.key.token_idx,
        step: detail.step,
        inputs: inputs.iter().map(input_error).collect(),
        pair: pair_detail(detail),
        local: local.map(|local| local_error(&local, detail.key.token_idx)),
    }
}

pub(super) fn input_error(input: &InputError) -> v1::InputError {
    v1::InputError {
        checkpoint: input.checkpoint.clone(),
        nmse: Number(input.nmse),
        relative_rmse: Number(input.nmse.sqrt()),
    }
}

/// All pairs of a name.
pub(super) fn checkpoint(tally: &CheckpointTally) -> v1::CheckpointSummary {
    v1::CheckpointSummary {
        checkpoint: tally.checkpoint.clone(),
        pairs: tally.pairs,
        identical: tally.identical,
        above_limit: tally.above_limit,
        max_nmse: tally.max_nmse.map(Number),
        worst_nmse: Number(tally.worst_nmse),
        worst_relative_rmse: Number(tally.worst_nmse.sqrt()),
        worst_token_idx: tally.worst_position,
        worst_basis: basis(tally.worst_basis),
        max_abs_diff: tally.max_abs_diff.map(Number),
        min_cosine: tally.min_cosine.map(Number),
        local: tally
            .worst_local
            .map(|(local, token_idx)| local_error(&local, token_idx)),
    }
}

pub(super) fn local_error(local: &LocalError, token_idx: i64) -> v1::LocalError {
    v1::LocalError {
        token_idx,
        error: Number(local.error.into()),
        explained: Number(local.explained.into()),
        own: Number(local.own.into()),
        excess: Number(local.excess()),
        floor: local.floor.name().to_owned(),
    }
}

fn basis(basis: Basis) -> v1::Basis {
    match basis {
        Basis::Exact { elements } => v1::Basis::Exact { elements },
        Basis::First { elements, of } => v1::Basis::First { elements, of },
        Basis::Sketch { plus_minus, of } => v1::Basis::Sketch {
            plus_minus: Number(plus_minus),
            of,
        },
        Basis::AtLeast { of } => v1::Basis::AtLeast { of },
    }
}

fn range(range: Range) -> Option<v1::ValueRange> {
    (!range.is_empty()).then_some(v1::ValueRange {
        min: Number(range.min),
        max: Number(range.max),
    })
}

/// One pair.
pub(super) fn pair_detail(detail: &Detail) -> v1::PairDetail {
    let measured = &detail.measured;
    let numbers = |values: &[f64]| values.iter().copied().map(Number).collect();
    v1::PairDetail {
        checkpoint: detail.key.checkpoint.clone(),
        token_idx: detail.key.token_idx,
        n_tokens: detail.n_tokens,
        step: detail.step,
        seq: detail.key.seq,
        occurrence: detail.key.occurrence,
        op: detail.op.clone(),
        shape: detail.shape.clone(),
        reference_dtype: detail.dtypes[0].to_string(),
        candidate_dtype: detail.dtypes[1].to_string(),
        max_nmse: detail.max_nmse.map(Number),
        above_limit: detail.above_limit,
        identical: measured.identical,
        nmse: Number(measured.nmse),
        nmse_basis: basis(measured.nmse_basis),
        relative_rmse: Number(measured.nmse.sqrt()),
        sqnr_db: Number(sqnr_db(measured.nmse)),
        cosine: measured.cosine.map(Number),
        max_abs_diff: measured.max_abs_diff.map(Number),
        band: measured
            .max_abs_diff
            .map(|difference| Band::of(difference).name().to_owned()),
        mismatched_non_finite: measured.mismatched_non_finite,
        figures: measured.metrics.map(|metrics| v1::Figures {
            max_abs_diff: Number(metrics.max_abs_diff),
            mean_abs_diff: Number(metrics.mean_abs_diff),
            max_rel_diff: Number(metrics.max_rel_diff),
            rmse: Number(metrics.rmse),
            nmse: Number(metrics.nmse),
            cosine: metrics.cosine.map(Number),
            pearson: metrics.pearson.map(Number),
            max_ulp: metrics.max_ulp,
            sign_disagreements: metrics.sign_disagreements,
            different: measured.partial.different,
        }),
        basis: basis(measured.basis),
        reference_range: range(measured.partial.reference_range),
        candidate_range: range(measured.partial.candidate_range),
        worst_elements: measured
            .partial
            .worst
            .elements()
            .iter()
            .map(|element| v1::WorstElement {
                at: coordinates(element.index, &detail.shape),
                reference: Number(element.reference),
                candidate: Number(element.candidate),
                abs_diff: Number(element.difference()),
            })
            .collect(),
        diff_histogram: diff_histogram(&measured.partial.diff_histogram),
        reference_values: numbers(&detail.first_values[0]),
        candidate_values: numbers(&detail.first_values[1]),
    }
}
