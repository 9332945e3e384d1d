//! Sentences about what operations add, and where the evidence ends.

use super::v1::{LocalError, Origin, Report};
use super::words::{count, counted, number};
use crate::align::Place;

/// What inputs and rounding explain of an error.
pub(super) fn explained(local: &LocalError) -> String {
    match local.floor.as_str() {
        "recomputed" => format!(
            "computed anew from the candidate's own inputs it comes out otherwise by {}, of which rounding explains {}",
            number(local.error.0),
            number(local.own.0)
        ),
        "gathered" => format!("limit {}", number(local.own.0)),
        _ => format!(
            "inputs and rounding explain {}",
            number(local.explained.0 + local.own.0)
        ),
    }
}

/// All origins but the first divergence, gaps, and conventions that differ without harm.
pub(super) fn further(report: &Report) -> Vec<String> {
    let mut sentences = Vec::new();
    let (undone, mistakes): (Vec<&Origin>, Vec<&Origin>) = report
        .origins
        .iter()
        .partition(|origin| origin.undone_by.is_some());
    if let Some(first) = mistakes.first() {
        if let Some(sentence) = extent(first) {
            sentences.push(sentence);
        }
        sentences.extend(gap(first));
    }
    match mistakes.get(1..) {
        None | Some([]) => {}
        Some([other]) => sentences.push(format!(
            "independently of it, {} adds more than its inputs explain too",
            place(other)
        )),
        Some(others) => {
            let shown: Vec<String> = others.iter().take(4).map(|origin| place(origin)).collect();
            let more = match others.len().saturating_sub(shown.len()) {
                0 => String::new(),
                rest => format!(" and {} more", count(rest as u64)),
            };
            sentences.push(format!(
                "independently of it, {} other places add more than their inputs explain: {}{more}",
                count(others.len() as u64),
                shown.join(", ")
            ));
        }
    }
    for origin in undone {
        sentences.push(convention(origin));
    }
    sentences
}

/// `layer_3_q_rope and layer_3_k_rope`, `layer_3_q_rope in all layers`.
fn place(origin: &Origin) -> String {
    let names = origin.checkpoints.join(" and ");
    match layers(origin) {
        Some(layers) => format!("{names} ({layers})"),
        None => names,
    }
}

fn layers(origin: &Origin) -> Option<String> {
    match origin.layers.as_slice() {
        _ if origin.in_all_layers => Some("in all layers".to_owned()),
        [first, .., last] => Some(format!("in layers {first} to {last}")),
        _ => None,
    }
}

fn extent(origin: &Origin) -> Option<String> {
    let siblings = match origin.checkpoints.as_slice() {
        [_, others @ ..] if !others.is_empty() => Some(format!("{} with it", others.join(" and "))),
        _ => None,
    };
    let layers = layers(origin).map(|layers| format!("the same {layers}"));
    let parts: Vec<String> = siblings.into_iter().chain(layers).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn gap(origin: &Origin) -> Option<String> {
    let filter = origin.filter.as_ref()?;
    let inputs: Vec<&str> = origin
        .inputs
        .iter()
        .map(|input| input.checkpoint.as_str())
        .collect();
    Some(format!(
        "between {} and {} nothing was compared, and the mistake may be in any step there: add {}",
        inputs.join(", "),
        origin.checkpoints.first()?,
        filter
    ))
}

fn convention(origin: &Origin) -> String {
    let error = origin
        .local
        .as_ref()
        .map_or(f64::NAN, |local| local.error.0);
    format!(
        "{} differs by {} and yet {}, which is computed from it, agrees: another convention (order of lanes, origin of \
         positions), not a mistake",
        place(origin),
        number(error),
        origin.undone_by.as_deref().unwrap_or_default()
    )
}

/// Whether a checkpoint belongs to a convention that is undone later.
pub(super) fn is_undone(report: &Report, checkpoint: &str) -> bool {
    let belongs = |origin: &Origin| {
        origin.checkpoints.iter().any(|name| {
            let same = match (Place::of(name), Place::of(checkpoint)) {
                (Some(Place::Layer(_, a)), Some(Place::Layer(layer, b))) => {
                    a == b && origin.layers.contains(&layer)
                }
                _ => false,
            };
            same || name == checkpoint
        })
    };
    let mut conventions = report
        .origins
        .iter()
        .filter(|origin| origin.undone_by.is_some());
    conventions.any(belongs)
}

/// Pairs that were not judged one by one.
pub(super) fn passed_over(report: &Report) -> Option<String> {
    let left_out = report.judged.pairs_left_out;
    (left_out > 0).then(|| {
        format!(
            "{} more than are kept one by one: held against the limits of the whole model only",
            counted(left_out, "pair")
        )
    })
}

/// How the error of the residual stream grew.
pub(super) fn growth(report: &Report) -> Option<String> {
    let grown: Vec<_> = report
        .growth
        .iter()
        .filter(|point| point.relative_rmse.0 > 0.0)
        .collect();
    let (first, last) = (grown.first()?, grown.last()?);
    (grown.len() > 1).then(|| {
        format!(
            "the error of the residual stream grows from {} at {} to {} at {}, no step by more than its inputs explain: \
             precision, not a mistake",
            number(first.relative_rmse.0),
            first.checkpoint,
            number(last.relative_rmse.0),
            last.checkpoint
        )
    })
}
