//! The result for people.

use crate::report::v1::{Verification, VerifiedOperation};
use std::collections::BTreeMap;
use std::fmt::Write;

/// How many operations that do not follow are listed unless all are asked for.
const LISTED: usize = 10;

/// The result as text with a line end; `verbose` lists every operation.
pub fn render_text(result: &Verification, verbose: bool) -> String {
    let mut out = String::new();
    let wrong: Vec<&VerifiedOperation> = result
        .operations
        .iter()
        .filter(|one| !one.follows)
        .collect();
    if let Some(first) = wrong.first() {
        let _ = writeln!(
            out,
            "`{}` does not follow from its inputs: {} relative, {} is allowed, at position {}",
            first.checkpoint,
            number(first.relative.0),
            number(first.limit.0),
            first.position,
        );
        let _ = writeln!(out, "  inputs   {}", list(&first.inputs));
        if !first.through.is_empty() {
            let _ = writeln!(out, "  computed {}", list(&first.through));
        }
        if !first.weights.is_empty() {
            let _ = writeln!(out, "  weights  {}", list(&first.weights));
        }
        out.push('\n');
    }
    if wrong.len() > 1 {
        let shown = if verbose { wrong.len() } else { LISTED };
        let _ = writeln!(out, "{} operations do not follow:", wrong.len());
        for one in wrong.iter().take(shown) {
            let _ = writeln!(out, "{}", line(one));
        }
        if wrong.len() > shown {
            let _ = writeln!(out, "  and {} more", wrong.len() - shown);
        }
        out.push('\n');
    }
    if verbose {
        for one in &result.operations {
            let _ = writeln!(out, "{}", line(one));
        }
    } else {
        table(result, &mut out);
    }
    unverified(result, verbose, &mut out);
    let _ = writeln!(out, "{}", summary(result));
    out
}

fn line(one: &VerifiedOperation) -> String {
    format!(
        "  {:<28} {:>8}  limit {:>7}  {:<6} {}",
        one.checkpoint,
        number(one.relative.0),
        number(one.limit.0),
        one.arithmetic,
        if one.follows {
            "follows"
        } else {
            "DOES NOT FOLLOW"
        },
    )
}

/// One line for each point of a block, over all blocks.
fn table(result: &Verification, out: &mut String) {
    let mut order: Vec<&str> = Vec::new();
    let mut by_point: BTreeMap<&str, Vec<&VerifiedOperation>> = BTreeMap::new();
    for one in &result.operations {
        let point = point(&one.checkpoint);
        if !by_point.contains_key(point) {
            order.push(point);
        }
        by_point.entry(point).or_default().push(one);
    }
    if order.is_empty() {
        return;
    }
    let _ = writeln!(
        out,
        "  operation            count  follow  worst     where                        arithmetic"
    );
    for point in order {
        let all = &by_point[point];
        let share = |one: &VerifiedOperation| one.relative.0 / one.limit.0;
        let worst = all.iter().max_by(|a, b| share(a).total_cmp(&share(b)));
        let Some(worst) = worst else { continue };
        let mut arithmetic: Vec<&str> = all.iter().map(|one| one.arithmetic.as_str()).collect();
        arithmetic.sort_unstable();
        arithmetic.dedup();
        let _ = writeln!(
            out,
            "  {:<20} {:>5}  {:>6}  {:<8}  {:<28} {}",
            point,
            all.len(),
            all.iter().filter(|one| one.follows).count(),
            number(worst.relative.0),
            worst.checkpoint,
            arithmetic.join(", "),
        );
    }
    out.push('\n');
}

/// A checkpoint's name without its block.
fn point(name: &str) -> &str {
    let rest = name
        .strip_prefix("layer_")
        .and_then(|rest| rest.split_once('_'));
    match rest {
        Some((layer, point)) if layer.bytes().all(|b| b.is_ascii_digit()) => point,
        _ => name,
    }
}

fn unverified(result: &Verification, verbose: bool, out: &mut String) {
    if !result.unverified.is_empty() {
        let _ = writeln!(out, "not verified, or not all rows:");
        let shown = if verbose { usize::MAX } else { LISTED };
        for one in result.unverified.iter().take(shown) {
            let _ = writeln!(out, "  {:<28} {}", one.checkpoint, one.reason);
        }
        if result.unverified.len() > shown {
            let _ = writeln!(out, "  and {} more", result.unverified.len() - shown);
        }
        out.push('\n');
    }
    if !result.unknown.is_empty() {
        let _ = writeln!(
            out,
            "no operation of a {} model has these names: {}\n",
            result.architecture,
            list(&result.unknown)
        );
    }
}

fn summary(result: &Verification) -> String {
    let follow = result.operations.iter().filter(|one| one.follows).count();
    let rows: u64 = result.operations.iter().map(|one| one.rows).sum();
    let mut text = match result.verdict.as_str() {
        "nothing verified" => "nothing verified: no operation could be recomputed".to_owned(),
        verdict => format!(
            "{verdict}: {follow} of {} operations follow from their inputs ({rows} rows)",
            result.operations.len()
        ),
    };
    if result.operations.is_empty() && !result.unverified.is_empty() {
        text.push_str("; log whole tensors (detail `full`)");
    }
    if !result.unverified.is_empty() {
        let _ = write!(
            text,
            ", {} could not be recomputed",
            result.unverified.len()
        );
    }
    if result.operations.is_empty() && result.unverified.is_empty() {
        text.push_str("; `parity check` says what the trace holds");
    }
    match result.left_out {
        0 => {}
        1 => text.push_str(", one line was no record"),
        lines => {
            let _ = write!(text, ", {lines} lines were not records");
        }
    }
    text
}

fn number(value: f64) -> String {
    if value == 0.0 {
        "0".to_owned()
    } else {
        format!("{value:.1e}")
    }
}

/// At most six names.
fn list(names: &[String]) -> String {
    let shown: Vec<&str> = names.iter().take(6).map(String::as_str).collect();
    match names.len().saturating_sub(shown.len()) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
