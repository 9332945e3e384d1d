//! Histograms and profiles as a report shows them.

use super::Number;
use super::v1::HistogramBin;
use crate::measure::DiffHistogram;

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
