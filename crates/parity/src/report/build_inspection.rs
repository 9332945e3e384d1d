//! From the spread of one pair to the report.

use super::build_pair::pair_detail;
use super::{Number, v1};
use crate::judge::Detail;
use crate::measure::Spread;

/// A pair looked at closely; `spread` is absent where no elements are known.
pub(crate) fn inspection(detail: &Detail, spread: Option<&Spread>) -> v1::Inspection {
    let name = |axis: usize| axis_name(detail, axis);
    let seen = spread.filter(|spread| spread.elements > 0);
    v1::Inspection {
        pair: pair_detail(detail),
        elements: seen.map_or(0, |spread| spread.elements),
        values: seen.map(|spread| v1::ValueHistogram {
            from: Number(spread.value_range.min),
            to: Number(spread.value_range.max),
            reference: spread.values[0].clone(),
            candidate: spread.values[1].clone(),
        }),
        differences: seen.map(differences),
        axes: seen.map_or_else(Vec::new, |spread| {
            spread
                .axes
                .iter()
                .map(|axis| v1::AxisErrors {
                    name: name(axis.axis),
                    length: axis.length as u64,
                    group: axis.group as u64,
                    nmse_db: axis.nmse.iter().copied().map(decibels).collect(),
                })
                .collect()
        }),
        map: seen
            .and_then(|spread| spread.map.as_ref())
            .map(|map| v1::ErrorMap {
                names: map.axes.map(name),
                lengths: map.lengths.map(|length| length as u64),
                groups: map.groups.map(|group| group as u64),
                nmse_db: map.nmse.iter().copied().map(decibels).collect(),
            }),
    }
}

fn differences(spread: &Spread) -> v1::DifferenceHistogram {
    let counts = &spread.differences;
    let first = counts.iter().position(|count| *count > 0).unwrap_or(0);
    let end = counts
        .iter()
        .rposition(|count| *count > 0)
        .map_or(first, |last| last + 1);
    v1::DifferenceHistogram {
        equal: spread.equal,
        from_log10: f64::from(Spread::FIRST_DECADE) + first as f64 / Spread::PER_DECADE as f64,
        bins_a_decade: Spread::PER_DECADE as u32,
        counts: counts[first..end].to_vec(),
    }
}

/// Whole decibels; an infinite error becomes the largest number that is one, so that it stands out.
fn decibels(nmse: f64) -> Option<i32> {
    (nmse > 0.0).then(|| (10.0 * nmse.log10()).round().clamp(-3000.0, 3000.0) as i32)
}

/// What an axis holds, by the shapes of the checkpoint vocabulary: `[tokens, heads, head_dim]`,
/// `[tokens, heads, keys]`, `[tokens, channels]`, each without its first axis where there is one token.
fn axis_name(detail: &Detail, axis: usize) -> String {
    let has_tokens = detail.n_tokens > 1 && detail.shape.len() > 1;
    let inner = detail.shape.len() - usize::from(has_tokens);
    let is_over_keys = ["attn_scores", "attn_probs"]
        .iter()
        .any(|stage| detail.key.checkpoint.ends_with(stage));
    match (has_tokens, axis, inner) {
        (true, 0, _) => "token".to_owned(),
        (_, axis, 1 | 2) if axis + 1 == detail.shape.len() => {
            if is_over_keys { "key" } else { "channel" }.to_owned()
        }
        (_, axis, 2) if axis + 2 == detail.shape.len() => "head".to_owned(),
        _ => format!("axis {axis}"),
    }
}
