//! Why do two traces not align?

use super::finding;
use crate::check::soundness::{Finding, Severity};
use crate::error::Error;
use crate::trace::{Entry, Trace};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Names that are shown of each side.
const SHOWN: usize = 4;

/// Names and positions of one trace.
#[derive(Default)]
struct Keys {
    names: BTreeSet<String>,
    /// First and last position of each name.
    positions: BTreeMap<String, (i64, i64)>,
}

/// Says which checkpoints and positions two traces have in common, and why nothing pairs where nothing does.
///
/// # Errors
///
/// One of the traces cannot be read.
pub fn diagnose_alignment(one: &Path, other: &Path) -> Result<Vec<Finding>, Error> {
    let (left, right) = (keys(one)?, keys(other)?);
    let common: Vec<&String> = left.names.intersection(&right.names).collect();
    let only = |a: &Keys, b: &Keys| {
        let names: Vec<&str> = a.names.difference(&b.names).map(String::as_str).collect();
        let more = names.len().saturating_sub(SHOWN);
        let list = names[..names.len() - more].join(", ");
        if more > 0 {
            format!("{list} and {more} more")
        } else {
            list
        }
    };
    if common.is_empty() {
        return Ok(vec![finding(
            "D020",
            Severity::Error,
            "the traces have no checkpoint in common",
            format!(
                "`{}` has {}; `{}` has {}",
                one.display(),
                only(&left, &right),
                other.display(),
                only(&right, &left)
            ),
            "give both sides the canonical names of spec/checkpoints.md".to_owned(),
        )]);
    }
    let mut findings = Vec::new();
    let apart = common.iter().filter(|name| {
        let (a, b) = (left.positions[**name], right.positions[**name]);
        a.1 < b.0 || b.1 < a.0
    });
    if apart.count() == common.len() {
        let (a, b) = (left.positions[common[0]], right.positions[common[0]]);
        findings.push(finding(
            "D021",
            Severity::Error,
            "the traces have no position in common",
            format!("`{}`: positions {} to {} on one side, {} to {} on the other", common[0], a.0, a.1, b.0, b.1),
            format!(
                "token_idx counts from the first token of the sequence on both sides; if one counts from elsewhere: \
                 parity compare --token-offset {}",
                a.0 - b.0
            ),
        ));
    }
    for (a, b, path) in [(&left, &right, one), (&right, &left, other)] {
        let missing = a.names.difference(&b.names).count();
        if missing > 0 {
            findings.push(finding(
                "D022",
                Severity::Warning,
                "checkpoints of one trace only",
                format!("{missing} of `{}`: {}", path.display(), only(a, b)),
                "log them on the other side too, or compare without them".to_owned(),
            ));
        }
    }
    Ok(findings)
}

fn keys(path: &Path) -> Result<Keys, Error> {
    let trace = Trace::open(path)?;
    let mut keys = Keys::default();
    let mut entries = trace.records()?;
    while let Some(entry) = entries.next()? {
        let Entry::Record(located) = entry else {
            continue;
        };
        let record = &located.record;
        let last = record
            .token_idx
            .saturating_add(i64::try_from(record.n_tokens).unwrap_or(i64::MAX).max(1) - 1);
        let known = keys
            .positions
            .entry(record.checkpoint.clone())
            .or_insert((record.token_idx, last));
        *known = (known.0.min(record.token_idx), known.1.max(last));
        keys.names.insert(record.checkpoint.clone());
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(one: &[(&str, i64)], other: &[(&str, i64)]) -> Vec<&'static str> {
        let folder = tempfile::tempdir().unwrap();
        let paths = [("a.jsonl", one), ("b.jsonl", other)].map(|(name, records)| {
            let line = |(name, position): &(&str, i64)| {
                format!(
                    "{{\"checkpoint\":\"{name}\",\"team\":\"t\",\"token_idx\":{position},\"dtype\":\"f32\",\"shape\":\"[1]\",\"values\":[0.5]}}\n"
                )
            };
            let path = folder.path().join(name);
            std::fs::write(&path, records.iter().map(line).collect::<String>()).unwrap();
            path
        });
        let findings = diagnose_alignment(&paths[0], &paths[1]).unwrap();
        findings.iter().map(|finding| finding.code).collect()
    }

    #[test]
    fn each_reason_has_its_finding() {
        assert_eq!(codes(&[("x", 0), ("x", 1)], &[("x", 1)]), [""; 0]);
        assert_eq!(codes(&[("x", 0)], &[("y", 0)]), ["D020"]);
        assert_eq!(
            codes(&[("x", 7), ("x", 9)], &[("x", 0), ("x", 2)]),
            ["D021"]
        );
        assert_eq!(codes(&[("x", 0), ("y", 0)], &[("x", 0)]), ["D022"]);
    }
}
