//! A proposal as a name map to be read, corrected and used.

use super::proposal::{Proposal, Proposed};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

impl Proposal {
    /// The name map in TOML: the candidate's names on the left, the reference's on the right.
    ///
    /// Pairs of a confidence of at least `sure` take effect, layers of one pattern in one line with the smallest of their
    /// confidences; the others are comments.
    pub fn to_toml(&self, sure: f64) -> String {
        let mut text = format!(
            "# A proposal by numbers, not a fact: read it, correct it, then use it (`--map-candidate FILE`).\n\
             # The candidate's name = the reference's. In force from a confidence of {sure} on.\n"
        );
        if !self.ordered {
            text.push_str(
                "# The two traces do not log in the same order, which would have helped.\n",
            );
        }
        text.push_str("\n[names]\n");
        let (certain, doubtful): (Vec<&Proposed>, Vec<&Proposed>) =
            self.pairs.iter().partition(|pair| pair.confidence >= sure);
        let unsure = doubtful
            .iter()
            .map(|pair| &pair.candidate)
            .chain(&self.unpaired_candidate);
        let unsure: BTreeSet<String> = unsure
            .filter_map(|name| Some(with_layer(name)?.0))
            .collect();
        for line in lines(&certain, &unsure) {
            let _ = writeln!(
                text,
                "{} = {} # {}",
                quoted(&line.candidate),
                quoted(&line.reference),
                line.note
            );
        }
        if !doubtful.is_empty() {
            text.push_str("\n# Doubtful, and not in force:\n");
        }
        for pair in doubtful {
            let or = pair
                .alternative
                .as_ref()
                .map_or_else(String::new, |other| format!(", or {}", quoted(other)));
            let _ = writeln!(
                text,
                "# {} = {} # {:.3}{or}",
                quoted(&pair.candidate),
                quoted(&pair.reference),
                pair.confidence
            );
        }
        for (side, names) in [
            ("reference", &self.unpaired_reference),
            ("candidate", &self.unpaired_candidate),
        ] {
            if !names.is_empty() {
                let _ = writeln!(text, "\n# Nothing proposed for these names of the {side}:");
            }
            for name in names {
                let _ = writeln!(text, "# {}", quoted(name));
            }
        }
        text
    }
}

/// One line of the map.
struct Line {
    reference: String,
    candidate: String,
    note: String,
}

/// Pairs whose names differ in the layer only, and in the same way, become one line; not where that line would also
/// decide about a name of a pattern in `unsure`.
fn lines(pairs: &[&Proposed], unsure: &BTreeSet<String>) -> Vec<Line> {
    let mut patterns: BTreeMap<(String, String), Vec<&Proposed>> = BTreeMap::new();
    for pair in pairs {
        if let Some(pattern) = pattern(pair) {
            patterns.entry(pattern).or_default().push(pair);
        }
    }
    patterns.retain(|(theirs, _), members| members.len() > 1 && !unsure.contains(theirs));
    let mut written: Vec<(String, String)> = Vec::new();
    let mut lines = Vec::new();
    for pair in pairs {
        let pattern = pattern(pair).filter(|pattern| patterns.contains_key(pattern));
        let Some(pattern) = pattern else {
            lines.push(Line {
                reference: pair.reference.clone(),
                candidate: pair.candidate.clone(),
                note: note(pair.confidence, &pair.same_in_candidate),
            });
            continue;
        };
        if written.contains(&pattern) {
            continue;
        }
        let members = &patterns[&pattern];
        let smallest = members
            .iter()
            .map(|pair| pair.confidence)
            .fold(1.0, f64::min);
        lines.push(Line {
            reference: pattern.1.clone(),
            candidate: pattern.0.clone(),
            note: format!("{}, {} layers", note(smallest, &[]), members.len()),
        });
        written.push(pattern);
    }
    lines
}

fn note(confidence: f64, same: &[String]) -> String {
    match same {
        [] => format!("{confidence:.3}"),
        [only] => format!("{confidence:.3}, the same numbers as {}", quoted(only)),
        [first, rest @ ..] => {
            format!(
                "{confidence:.3}, the same numbers as {} and {} more",
                quoted(first),
                rest.len()
            )
        }
    }
}

/// Both names with `{i}` for the layer, where each has one number and it is the same.
fn pattern(pair: &Proposed) -> Option<(String, String)> {
    let (theirs, number) = with_layer(&pair.candidate)?;
    let (ours, same) = with_layer(&pair.reference)?;
    (number == same).then_some((theirs, ours))
}

/// The name with `{i}` for its only number.
fn with_layer(name: &str) -> Option<(String, &str)> {
    let start = name.find(|c: char| c.is_ascii_digit())?;
    let rest = &name[start..];
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    let (number, after) = rest.split_at(end);
    let usable = !after.contains(|c: char| c.is_ascii_digit())
        && !name.contains(['{', '}', '*'])
        && (number == "0" || !number.starts_with('0'));
    usable.then(|| (format!("{}{{i}}{after}", &name[..start]), number))
}

/// A TOML basic string.
fn quoted(name: &str) -> String {
    let mut text = String::from("\"");
    for c in name.chars() {
        match c {
            '"' | '\\' => {
                text.push('\\');
                text.push(c);
            }
            c if c.is_control() => {
                let _ = write!(text, "\\u{:04X}", c as u32);
            }
            c => text.push(c),
        }
    }
    text.push('"');
    text
}
