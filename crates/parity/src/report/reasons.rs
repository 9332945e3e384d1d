//! The short answer, in sentences that every renderer shows.

use super::blame_words::{explained, further, growth, is_undone, passed_over};
use super::v1::{Divergence, Report};
use super::words::{count, counted, number, positions, step};
use crate::check::Severity;
use crate::judge::Verdict;

/// Why the verdict is what it is, the short answer first.
pub(super) fn reasons(verdict: Verdict, report: &Report) -> Vec<String> {
    let mut sentences = match verdict {
        Verdict::NotComparable => not_comparable(report),
        Verdict::Diverged => Vec::new(),
        Verdict::Match => vec![format!(
            "all {} are bit-identical{}",
            counted(report.coverage.compared, "compared pair"),
            as_far_as_known(report)
        )],
        Verdict::Rounding => rounding(report),
        Verdict::Drift => drift(report),
    };
    // Numbers that are not the engine's say nothing about where engines part.
    let is_damaged = report
        .findings
        .iter()
        .any(|finding| finding.code.starts_with('S') && finding.severity == Severity::Error.name());
    if is_damaged {
        return sentences;
    }
    if let Some(divergence) = &report.first_divergence {
        sentences.extend(diverged(
            report,
            divergence,
            verdict == Verdict::NotComparable,
        ));
    }
    sentences.extend(further(report));
    sentences.extend(passed_over(report));
    sentences
}

fn drift(report: &Report) -> Vec<String> {
    let mut sentences = vec![format!(
        "the two runs drift apart by more than {}, and no operation adds more than rounding",
        within(report)
    )];
    sentences.extend(growth(report));
    sentences
}

fn not_comparable(report: &Report) -> Vec<String> {
    report
        .findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error.name())
        .flat_map(|finding| {
            let side = match finding.side.as_str() {
                "both" => String::new(),
                side => format!("{side}: "),
            };
            finding
                .examples
                .iter()
                .take(1)
                .map(move |example| format!("{side}{example}"))
        })
        .collect()
}

/// Which evidence a claim about all elements rests on.
fn as_far_as_known(report: &Report) -> String {
    let rests_on = &report.coverage.rests_on;
    let partly = rests_on.first_elements + rests_on.sketches + rests_on.statistics;
    if partly == 0 {
        String::new()
    } else if rests_on.first_elements == 0 {
        ", as far as first values, statistics and sketches tell".to_owned()
    } else {
        format!(
            ", as far as the logged values tell: {} hold only their first elements",
            counted(rests_on.first_elements, "pair")
        )
    }
}

fn rounding(report: &Report) -> Vec<String> {
    let compared = counted(report.coverage.compared, "compared pair");
    let limit = within(report);
    let has_conventions = report
        .origins
        .iter()
        .any(|origin| origin.undone_by.is_some());
    let (but, other) = if has_conventions {
        (", but for those of another convention", " other")
    } else {
        ("", "")
    };
    let mut sentences = vec![format!(
        "all {compared} agree within {limit}{but}{}",
        as_far_as_known(report)
    )];
    let worst = report.worst.iter();
    if let Some(worst) = worst
        .clone()
        .find(|pair| !is_undone(report, &pair.checkpoint))
    {
        sentences.push(format!(
            "the largest{other} relative error is {} at {}, {}",
            number(worst.relative_rmse.0),
            worst.checkpoint,
            positions(worst.token_idx, worst.n_tokens)
        ));
    }
    sentences
}

/// What agreement means here: "agree within …", "differs by more than …".
fn within(report: &Report) -> String {
    match (report.limit.max_nmse, report.limit.weights.as_deref()) {
        (_, Some(weights)) => {
            let assumed = if report.limit.assumed {
                " (assumed)"
            } else {
                ""
            };
            // The class is of all floats of 16 bits: bf16 too.
            let weights = if weights == "f16" { "16-bit" } else { weights };
            format!("the rounding of {weights} weights{assumed}")
        }
        (Some(limit), None) => format!("the threshold, NMSE {}", number(limit.0)),
        (None, None) => "the bands below `fail`, absolute differences below 1".to_owned(),
    }
}

/// What the first divergence did: "is the first checkpoint …".
fn beyond(report: &Report) -> String {
    match report.limit.kind.as_str() {
        "noise" | "threshold" => format!("that differs by more than {}", within(report)),
        _ => "whose largest absolute difference reaches 1".to_owned(),
    }
}

fn diverged(report: &Report, divergence: &Divergence, only_a_part: bool) -> Vec<String> {
    let pair = &divergence.pair;
    let mut place = positions(pair.token_idx, pair.n_tokens);
    if let Some(pass) = pair.step {
        place = format!("{place} ({})", step(pass));
    }
    let lead = if only_a_part {
        "in the part that is comparable, "
    } else {
        ""
    };
    let error = number(pair.relative_rmse.0);
    let mut sentences = vec![format!(
        "{lead}{} is the first checkpoint {}, at {place}",
        pair.checkpoint,
        beyond(report)
    )];
    let agreement = |input: &super::v1::InputError| match input.nmse.0 {
        0.0 => format!("{} is identical", input.checkpoint),
        _ => format!(
            "{} agrees to {}",
            input.checkpoint,
            number(input.relative_rmse.0)
        ),
    };
    let output = if pair.mismatched_non_finite > 0 {
        format!(
            "{} of its elements are NaN or infinite on one side only",
            count(pair.mismatched_non_finite)
        )
    } else {
        let limit = match (&divergence.local, pair.max_nmse) {
            (Some(local), _) => format!("; {}", explained(local)),
            (None, Some(limit)) => format!(", limit {}", number(limit.0.sqrt())),
            (None, None) => String::new(),
        };
        format!("its output differs by {error} (relative RMSE{limit})")
    };
    let inputs: Vec<String> = divergence.inputs.iter().map(agreement).collect();
    sentences.push(match inputs.as_slice() {
        [] => format!("nothing that it is computed from was compared; {output}"),
        [one] => format!("its input {one}; {output}"),
        several => format!("its inputs: {}; {output}", several.join(", ")),
    });
    let others = report
        .checkpoints
        .iter()
        .filter(|checkpoint| checkpoint.above_limit > 0)
        .count() as u64;
    if others > 1 {
        sentences.push(format!(
            "in all, {} of {} exceed the limit",
            count(others),
            counted(report.checkpoints.len() as u64, "checkpoint")
        ));
    }
    sentences
}
