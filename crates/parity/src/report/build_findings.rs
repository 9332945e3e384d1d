//! What was wrong or doubtful: each trace by itself, and the two together.

use super::v1;
use crate::check::soundness::{Finding as Damage, Severity};
use crate::check::{Finding, Findings};

/// All findings, the weightiest first; of equal weight what is wrong with a trace itself before what the two have against each
/// other, since the one may explain the other.
pub(super) fn all_findings(together: Findings, each: [Vec<Damage>; 2]) -> Vec<v1::Finding> {
    let sides = ["reference", "candidate"];
    let mut all: Vec<v1::Finding> = each
        .into_iter()
        .zip(sides)
        .flat_map(|(found, side)| found.into_iter().map(|damage| of_one(damage, side)))
        .chain(together.into_sorted().into_iter().map(of_both))
        .collect();
    let weight = |finding: &v1::Finding| match finding.severity.as_str() {
        "error" => 0,
        "warning" => 1,
        _ => 2,
    };
    all.sort_by_key(weight);
    all
}

fn of_both(finding: Finding) -> v1::Finding {
    v1::Finding {
        code: finding.code.id().to_owned(),
        name: finding.code.name().to_owned(),
        severity: finding.code.severity().name().to_owned(),
        side: finding.side.name().to_owned(),
        count: finding.count,
        examples: finding.examples,
        help: finding.help,
    }
}

/// Title and cause are the short answer, the evidence stands behind it.
fn of_one(damage: Damage, side: &str) -> v1::Finding {
    let short = match (&damage.cause, damage.severity) {
        (Some(cause), _) => format!("{}: {cause}", damage.title),
        // It will stand alone, as the reason why nothing can be compared.
        (None, Severity::Error) => format!("{}: {}", damage.title, damage.evidence),
        (None, _) => damage.title.clone(),
    };
    let severity = match damage.severity {
        // The word of this report for what may be right.
        Severity::Info => "note",
        other => other.name(),
    };
    v1::Finding {
        code: damage.code.to_owned(),
        name: damage.title.to_lowercase().replace(' ', "-"),
        severity: severity.to_owned(),
        side: side.to_owned(),
        count: damage.records.count.max(1),
        examples: vec![short, damage.evidence],
        help: Some(damage.advice),
    }
}
