//! `S033`: layers that are missing.
//!
//! **What.** Numbers without a record between the first and the last layer, and a checkpoint that nearly all layers have and a few
//! lack.
//!
//! **Why it matters.** Counted from another origin, or skipped, they shift every later layer or leave a hole that a comparison does
//! not show.
//!
//! **Evidence wanted.** Whole layers that are missing are an info (a filter makes them); a checkpoint that at most one in ten
//! of at least ten layers lacks is a warning. Models whose layers take turns (attention and something else) lack more.
//!
//! **What it can't tell.** Whether the first layer should be 0 and how many there should be: the trace alone does not say.

use super::finding::{Finding, Records, Severity, name_list};
use super::observed::{Detector, Ended, Observed};
use super::spans::Spans;
use crate::align::{Place, Stage};
use std::collections::BTreeMap;

const CODE: &str = "S033";

/// The detector.
#[derive(Debug, Default)]
pub(super) struct Layers {
    any: Spans,
    by_stage: BTreeMap<Stage, Spans>,
}

impl Layers {
    /// Layers from which on a single missing one is odd.
    const MANY: usize = 10;
}

impl Detector for Layers {
    fn observe(&mut self, seen: &Observed<'_>) {
        if let Some(Place::Layer(layer, stage)) = seen.place {
            self.any.insert(layer.into(), layer.into());
            self.by_stage
                .entry(stage)
                .or_default()
                .insert(layer.into(), layer.into());
        }
    }

    fn finish(&mut self, _: &Ended<'_>) -> Vec<Finding> {
        let mut findings = Vec::new();
        let Some(bounds) = self.any.bounds() else {
            return findings;
        };
        let present = count(&self.any);
        let mut every = Spans::default();
        every.insert(bounds.0, bounds.1);
        let absent = every.without(&self.any, bounds);
        let stages: Vec<(String, String)> = self
            .by_stage
            .iter()
            .filter_map(|(stage, spans)| {
                let missing = self.any.without(spans, bounds);
                let lacking = count(&missing);
                (present >= Self::MANY && lacking > 0 && lacking * 10 <= present)
                    .then(|| (format!("layer_{{i}}_{}", stage.name()), missing.text()))
            })
            .collect();
        if let Some((name, missing)) = stages.first() {
            findings.push(Finding {
                code: CODE,
                severity: Severity::Warning,
                title: "a few layers lack a checkpoint".to_owned(),
                evidence: format!(
                    "nearly all of {present} layers have {}; layer {missing} has no `{name}`",
                    name_list(stages.iter().map(|(name, _)| name.as_str()))
                ),
                cause: None,
                advice: "lines were lost, or the logging call is missing on some path".to_owned(),
                records: Records::default(),
            });
        }
        if !absent.ranges().is_empty() {
            findings.push(Finding {
                code: CODE,
                severity: Severity::Info,
                title: "layers without a record".to_owned(),
                evidence: format!("between layers {} and {} there is nothing of {}", bounds.0, bounds.1, absent.text()),
                cause: None,
                advice: "a filter on names (`ORCH_LOG_FILTER`) makes such gaps; without one, check how layers are counted"
                    .to_owned(),
                records: Records::default(),
            });
        }
        findings
    }
}

fn count(spans: &Spans) -> usize {
    spans
        .ranges()
        .iter()
        .map(|(first, last)| (last - first + 1) as usize)
        .sum()
}
