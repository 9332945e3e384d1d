//! What can be said of a run from outside: which model, which settings, and what was not captured.

use std::collections::{HashMap, HashSet};

use ggml_callback::{Node, Tally, places};
use orch_log::Status;
use orch_log::format::{ModelInfo, Run};

use crate::maps;
use crate::node::Tensor;

/// The model whose embedding table is `table`, as far as `nodes`, a graph of it, tell.
pub(crate) fn model<'g>(table: &Tensor<'_>, nodes: impl Iterator<Item = Tensor<'g>>) -> ModelInfo {
    let mut elements: HashMap<String, usize> = HashMap::new();
    let mut seen = HashSet::new();
    let mut layers = 0;
    for node in nodes {
        if let Some(place) = places(&node, Default::default()).first() {
            layers = layers.max(place.layer.map_or(0, |layer| layer + 1));
        }
        for input in (0..2).filter_map(|index| node.src(index)) {
            if input.op() == "NONE" && input.name().ends_with(".weight") && seen.insert(input.id())
            {
                let count: usize = input.ne().iter().product();
                *elements.entry(input.type_name().to_owned()).or_default() += count;
            }
        }
    }
    ModelInfo {
        path: maps::file_at(table.data())
            .map_or_else(String::new, |path| path.to_string_lossy().into_owned()),
        layers: (layers > 0).then_some(layers),
        weights: elements
            .into_iter()
            .max_by_key(|(_, count)| *count)
            .map(|(kind, _)| kind),
        ..ModelInfo::default()
    }
}

/// The description of a run that was fed with `tokens`.
pub(crate) fn run(
    model: &ModelInfo,
    tokens: &[i64],
    cache_type: Option<&String>,
    tally: &Tally,
) -> Run {
    let is_fused = !tally.hidden_by_fusion.is_empty();
    let mut settings = vec![("capture", "preload".to_owned())];
    settings.extend(cache_type.map(|kind| ("kv_type", kind.clone())));
    settings.push(("flash_attn", if is_fused { "on" } else { "off" }.to_owned()));
    for (name, hidden) in [
        ("hidden_by_fusion", &tally.hidden_by_fusion),
        ("unplaced", &tally.unplaced),
    ] {
        if !hidden.is_empty() {
            let names: Vec<&str> = hidden.iter().map(String::as_str).collect();
            settings.push((name, names.join(",")));
        }
    }
    Run {
        model: Some(model.clone()),
        tokens: tokens.to_vec(),
        settings: settings
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
        ..Run::default()
    }
}

/// What was seen and is not in the trace, each as a sentence.
pub(crate) fn losses(tally: &Tally, status: &Status) -> Vec<String> {
    let mut losses = Vec::new();
    if !status.is_complete() {
        let reason = status
            .first_error
            .as_ref()
            .map_or_else(String::new, |error| format!(" ({error})"));
        losses.push(format!(
            "{} records and {} payloads were lost{reason}",
            status.dropped, status.payloads_dropped
        ));
    }
    if !tally.misfits.is_empty() {
        let names: Vec<&str> = tally.misfits.iter().take(3).map(String::as_str).collect();
        losses.push(format!(
            "{} nodes have a form that is not known, such as {}",
            tally.misfits.len(),
            names.join(", ")
        ));
    }
    if !tally.hidden_by_fusion.is_empty() {
        losses.push(
            "flash attention is on, so scores and probabilities exist nowhere; llama.cpp's tools turn it off with `-fa off`"
                .to_owned(),
        );
    }
    if !tally.unplaced.is_empty() {
        losses.push(
            "the KV cache holds several sequences, so the columns of scores and probabilities are no positions; they were left out"
                .to_owned(),
        );
    }
    losses
}
