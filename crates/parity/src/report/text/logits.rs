//! What differences of logits do to the next token, in a line.

use crate::report::v1::{Logits, Report};
use crate::report::words::{count, counted, number};

/// For one screen; `None` where no whole row of logits was compared.
pub(super) fn short(report: &Report) -> Option<String> {
    let logits = report.logits.as_ref().filter(|logits| logits.rows > 0)?;
    let change = match &logits.first_change {
        Some(change) => format!(
            "first change at {}: {} for {}",
            change.changed_token_idx, change.candidate_token, change.reference_token
        ),
        None => "no token changes".to_owned(),
    };
    Some(format!(
        "KL {} at most, top-1 same in {}; {change}",
        number(logits.max_kl.0),
        same(logits)
    ))
}

/// The same with all figures.
pub(super) fn long(report: &Report) -> Option<String> {
    let logits = report.logits.as_ref().filter(|logits| logits.rows > 0)?;
    let mut text = format!(
        "KL(reference‖candidate) {} nats in the mean, {} at most, at position {}; top-1 the same in {} rows, of the \
         top {} {} % shared",
        number(logits.mean_kl.0),
        number(logits.max_kl.0),
        logits.max_kl_token_idx,
        same(logits),
        logits.k,
        number(100.0 * logits.topk_agreement.0),
    );
    match &logits.first_change {
        None => text.push_str("; greedy decoding would choose the same tokens"),
        Some(change) => {
            text = format!(
                "{text}; the first token that would change is that of position {}: {} instead of {}, which the \
                 reference prefers by {}",
                change.changed_token_idx,
                change.candidate_token,
                change.reference_token,
                number(change.reference_margin.0)
            );
            if let Some(cause) = &change.caused_by {
                text = format!("{text}; it follows from {}", cause.checkpoint);
            }
        }
    }
    if logits.without_distribution > 0 {
        text = format!(
            "{text}; {} left out for NaN or infinity",
            counted(logits.without_distribution, "row")
        );
    }
    Some(text)
}

fn same(logits: &Logits) -> String {
    let same = (logits.top1_agreement.0 * logits.rows as f64).round() as u64;
    format!("{} of {}", count(same), count(logits.rows))
}
