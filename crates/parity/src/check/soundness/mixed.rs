//! `S035`: records of several engines, models or processes in one file.
//!
//! **What.** More than one team; a canonical checkpoint whose width changes; payload files of several processes without ranks.
//!
//! **Why it matters.** Each of the two is sound, and the file as a whole is nobody's run.
//!
//! **Evidence wanted.** The names and widths. Only checkpoints with one width in a model count, not scores and probabilities.
//! Records that are shards of a tensor may differ in width.
//!
//! **What it can't tell.** Two runs of one engine and model, unless they repeat each other's positions (`S031`).

use super::finding::{Finding, Records, Severity, name_list};
use super::observed::{Detector, Ended, Observed, PerName};
use crate::align::{Place, Stage};
use std::collections::BTreeMap;

const CODE: &str = "S035";

/// The detector.
#[derive(Debug, Default)]
pub(super) struct Mixed {
    teams: BTreeMap<String, Records>,
    widths: PerName<Widths>,
    files: BTreeMap<String, Records>,
    has_ranks: bool,
}

#[derive(Debug, Default)]
struct Widths {
    first: Option<usize>,
    other: Option<usize>,
    changes: Records,
}

impl Mixed {
    /// Teams and files that are told apart.
    const MAX: usize = 16;
}

impl Detector for Mixed {
    fn observe(&mut self, seen: &Observed<'_>) {
        let record = seen.record;
        note(&mut self.teams, &record.team, seen.line);
        if let Some(payload) = &record.payload {
            note(&mut self.files, &payload.file, seen.line);
        }
        let sharded = record.shard.is_some() || record.rank.is_some();
        self.has_ranks |= sharded;
        let has_width = seen.place.is_some_and(|place| {
            !matches!(
                place,
                Place::Tokens | Place::Layer(_, Stage::AttnScores | Stage::AttnProbs)
            )
        });
        // Without a token count a batch of another length looks like a tensor of another width.
        let is_row = record.has_n_tokens || seen.single_token();
        if has_width
            && is_row
            && !sharded
            && let Some(elements) = record.len()
        {
            let width = elements / seen.n_tokens().max(1);
            let widths = self.widths.of(seen.name);
            let first = *widths.first.get_or_insert(width);
            if first != width {
                widths.other.get_or_insert(width);
                widths.changes.add(seen.line);
            }
        }
    }

    fn finish(&mut self, ended: &Ended<'_>) -> Vec<Finding> {
        let mut findings = Vec::new();
        let finding = |severity, title: &str, evidence: String, records: Records| Finding {
            code: CODE,
            severity,
            title: title.to_owned(),
            evidence,
            cause: Some("several runs were written to one file".to_owned()),
            advice: "one file for each engine and run (`ORCH_LOG_FILE`)".to_owned(),
            records,
        };
        if self.teams.len() > 1 {
            let evidence = format!(
                "records of {} teams: {}",
                self.teams.len(),
                name_list(self.teams.keys().map(String::as_str))
            );
            findings.push(finding(
                Severity::Warning,
                "several teams in one file",
                evidence,
                beyond_first(&self.teams),
            ));
        }
        let mut changes = Records::default();
        let mut example = None;
        for (name, widths) in self.widths.iter(ended.names) {
            if let (Some(first), Some(other)) = (widths.first, widths.other) {
                changes.extend(&widths.changes);
                example.get_or_insert_with(|| {
                    format!(
                        "a row of {} has {first} elements, then {other}",
                        name_list(std::iter::once(name))
                    )
                });
            }
        }
        if let Some(example) = example {
            findings.push(finding(
                Severity::Warning,
                "the model changes within the file",
                example,
                changes,
            ));
        }
        if self.files.len() > 1 && !self.has_ranks {
            let evidence = format!(
                "records name {} payload files without saying which rank wrote them: {}",
                self.files.len(),
                name_list(self.files.keys().map(String::as_str))
            );
            findings.push(finding(
                Severity::Info,
                "several processes wrote this file",
                evidence,
                beyond_first(&self.files),
            ));
        }
        findings
    }
}

fn note(seen: &mut BTreeMap<String, Records>, name: &str, line: u64) {
    if let Some(records) = seen.get_mut(name) {
        records.add(line);
    } else if seen.len() < Mixed::MAX {
        seen.entry(name.to_owned()).or_default().add(line);
    }
}

/// The records of all but the one that the file begins with.
fn beyond_first(seen: &BTreeMap<String, Records>) -> Records {
    let first = seen.values().map(Records::first).min();
    let mut records = Records::default();
    seen.values()
        .filter(|of| Some(of.first()) != first)
        .for_each(|of| records.extend(of));
    records
}
