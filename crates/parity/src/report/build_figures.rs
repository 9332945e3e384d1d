//! Histograms and logits as a report shows them.

use super::Number;
use super::v1::{self, ChangeCause, HistogramBin, TokenChange};
use crate::judge::Tally;
use crate::measure::{DiffHistogram, TOP};

/// The places that hold differences; the first holds zero alone.
pub(super) fn diff_histogram(histogram: &DiffHistogram) -> Vec<HistogramBin> {
    let edge = |place: usize| match place {
        DiffHistogram::PLACES => f64::INFINITY,
        place => DiffHistogram::lower_edge(place),
    };
    let counts = histogram.counts().iter().enumerate();
    counts
        .filter(|(_, count)| **count > 0)
        .map(|(place, count)| HistogramBin {
            from: Number(edge(place)),
            to: Number(edge(place + 1)),
            count: *count,
        })
        .collect()
}

/// What all differences of logits do to the next token; `None` where no whole row was compared.
pub(super) fn logits(tally: &Tally) -> Option<v1::Logits> {
    let logits = tally.logits();
    if logits.rows + logits.without_distribution == 0 {
        return None;
    }
    let mean = |sum: f64| Number(sum / logits.rows as f64);
    Some(v1::Logits {
        rows: logits.rows,
        without_distribution: logits.without_distribution,
        mean_kl: mean(logits.sum_kl),
        max_kl: Number(logits.max_kl),
        max_kl_token_idx: logits.max_kl_position,
        top1_agreement: mean(logits.same_top as f64),
        k: TOP as u64,
        topk_agreement: mean(logits.sum_top_shared),
        min_margin: logits.min_margin.map(Number),
        first_change: logits.first_change.map(|change| TokenChange {
            token_idx: change.position,
            changed_token_idx: change.position.saturating_add(1),
            seq: change.seq,
            reference_token: change.reference_token,
            candidate_token: change.candidate_token,
            reference_margin: Number(change.reference_margin),
            candidate_margin: Number(change.candidate_margin),
            kl: Number(change.kl),
            caused_by: tally
                .first()
                .map(|first| &first.detail().key)
                .filter(|key| key.seq == change.seq && key.token_idx <= change.position)
                .map(|key| ChangeCause {
                    checkpoint: key.checkpoint.clone(),
                    token_idx: key.token_idx,
                }),
        }),
    })
}
