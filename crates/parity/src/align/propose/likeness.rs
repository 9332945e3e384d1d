//! How alike the numbers of two names are.

use super::profile::{Cell, NameProfile};
use orch_log::Stats;

/// How alike the numbers of two names are. Both figures are 0 for equal numbers; NaN where nothing tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Likeness {
    /// ‖a − b‖² / (‖a‖² + ‖b‖²) of sketches and first values, the mean over all common records. About 1 for two unrelated
    /// tensors, and also for the same numbers in another layout.
    pub direct: f64,
    /// Squared differences of rms, mean, smallest and largest element, each in parts of the sizes of both, the mean over
    /// all common positions. Blind to the layout, and small for tensors of the same kind.
    pub invariant: f64,
}

impl Likeness {
    /// Compares two names at the positions that both have; `None` where these differ in their number of elements, or there
    /// are none.
    pub fn of(a: &NameProfile, b: &NameProfile) -> Option<Self> {
        if a.integers != b.integers {
            return None;
        }
        let (mut direct, mut invariant) = (Mean::default(), Mean::default());
        let mut common = false;
        for cell in &a.cells {
            let same = |other: &&Cell| {
                (other.seq, other.occurrence, other.tokens)
                    == (cell.seq, cell.occurrence, cell.tokens)
            };
            let Some(other) = b.cells.iter().find(same) else {
                continue;
            };
            if cell.elements != other.elements {
                return None;
            }
            common = true;
            direct.add(first_values(cell, other));
            direct.add(
                cell.sketch
                    .zip(other.sketch)
                    .and_then(|(a, b)| apart(&a.s, &b.s)),
            );
            invariant.add(
                cell.stats
                    .zip(other.stats)
                    .map(|(a, b)| stats_apart(&a, &b)),
            );
        }
        if !common {
            common = regrouped(a, b, &mut direct, &mut invariant)?;
        }
        common.then(|| Self {
            direct: direct.get(),
            invariant: invariant.get(),
        })
    }

    /// One figure for both, to be compared with that of another pair: their geometric mean, which is small where either
    /// singles a pair out.
    pub(super) fn score(&self) -> f64 {
        // Equal numbers leave nothing to tell pairs apart below the rounding of an f32, squared.
        let floor = |figure: f64| figure.max(1e-15);
        match (self.direct.is_nan(), self.invariant.is_nan()) {
            (false, false) => (floor(self.direct) * floor(self.invariant)).sqrt(),
            (false, true) => floor(self.direct),
            // As if the layout were another one: the statistics alone.
            (true, false) => floor(self.invariant).sqrt(),
            (true, true) => f64::INFINITY,
        }
    }
}

/// One pass in one trace, several in the other: statistics of the same range of positions are merged and compared.
///
/// `None` where the ranges hold different numbers of elements.
fn regrouped(
    a: &NameProfile,
    b: &NameProfile,
    direct: &mut Mean,
    invariant: &mut Mean,
) -> Option<bool> {
    for (whole, parts) in [(a, b), (b, a)] {
        let mut found = false;
        for cell in &whole.cells {
            let inside: Vec<&Cell> = parts
                .cells
                .iter()
                .filter(|part| lies_in(part, cell))
                .collect();
            let covered: i64 = inside
                .iter()
                .map(|part| part.tokens.1 - part.tokens.0)
                .sum();
            if inside.len() < 2 || covered != cell.tokens.1 - cell.tokens.0 {
                continue;
            }
            if inside.iter().map(|part| part.elements).sum::<u64>() != cell.elements {
                return None;
            }
            found = true;
            let merged = inside
                .iter()
                .map(|part| part.stats)
                .collect::<Option<Vec<Stats>>>()
                .map(|parts| merge(&parts));
            invariant.add(cell.stats.zip(merged).map(|(a, b)| stats_apart(&a, &b)));
            // The first token's elements come first in both.
            if let Some(first) = inside.iter().find(|part| part.tokens.0 == cell.tokens.0) {
                direct.add(first_values(cell, first));
            }
        }
        if found {
            return Some(true);
        }
    }
    Some(false)
}

fn lies_in(part: &Cell, whole: &Cell) -> bool {
    (part.seq, part.occurrence) == (whole.seq, whole.occurrence)
        && part.tokens.0 >= whole.tokens.0
        && part.tokens.1 <= whole.tokens.1
}

/// The first values of two records that begin at the same position.
fn first_values(a: &Cell, b: &Cell) -> Option<f64> {
    let few = a.values.len().min(b.values.len());
    apart(&a.values[..few], &b.values[..few])
}

/// ‖a − b‖² / (‖a‖² + ‖b‖²), 0 … 2; `None` where a number is not finite or there are none.
fn apart(a: &[f64], b: &[f64]) -> Option<f64> {
    let sum = |numbers: &mut dyn Iterator<Item = f64>| numbers.map(|x| x * x).sum::<f64>();
    let sq_diff = sum(&mut a.iter().zip(b).map(|(a, b)| a - b));
    let sq_both = sum(&mut a.iter().copied()) + sum(&mut b.iter().copied());
    let usable = !a.is_empty() && sq_diff.is_finite() && sq_both.is_finite();
    usable.then(|| {
        if sq_both > 0.0 {
            sq_diff / sq_both
        } else {
            0.0
        }
    })
}

fn stats_apart(a: &Stats, b: &Stats) -> f64 {
    let squares = a.rms * a.rms + b.rms * b.rms;
    let part = |x: f64, y: f64| {
        let both = x * x + y * y;
        if both > 0.0 {
            (x - y).powi(2) / both
        } else {
            0.0
        }
    };
    let mean = if squares > 0.0 {
        (a.mean - b.mean).powi(2) / squares
    } else {
        0.0
    };
    let apart = (part(a.rms, b.rms) + part(a.max, b.max) + part(a.min, b.min) + mean) / 4.0;
    // All elements NaN, or a statistic that a writer could not print: as far apart as can be.
    if apart.is_finite() { apart } else { 1.0 }
}

/// Statistics of several tensors together.
fn merge(parts: &[Stats]) -> Stats {
    let total = |count: fn(&Stats) -> u64| parts.iter().map(count).sum::<u64>();
    let n = total(|part| part.n);
    let mean = |figure: &dyn Fn(&Stats) -> f64| {
        parts
            .iter()
            .map(|part| part.n as f64 * figure(part))
            .sum::<f64>()
            / n as f64
    };
    Stats {
        n,
        nan: total(|part| part.nan),
        inf: total(|part| part.inf),
        zero: total(|part| part.zero),
        min: parts
            .iter()
            .map(|part| part.min)
            .fold(f64::INFINITY, f64::min),
        max: parts
            .iter()
            .map(|part| part.max)
            .fold(f64::NEG_INFINITY, f64::max),
        mean: mean(&|part| part.mean),
        rms: mean(&|part| part.rms * part.rms).sqrt(),
    }
}

/// A running mean of what could be told.
#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    sum: f64,
    count: u64,
}

impl Mean {
    fn add(&mut self, figure: Option<f64>) {
        if let Some(figure) = figure {
            self.sum += figure;
            self.count += 1;
        }
    }

    /// NaN where nothing was added.
    fn get(&self) -> f64 {
        self.sum / self.count as f64
    }
}
