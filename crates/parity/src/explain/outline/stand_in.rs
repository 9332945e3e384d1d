//! Tensors that have the numbers of an outline, for rules that need no others.

use super::Outline;
use crate::explain::{Kind, Site, Tensors};
use crate::tensor::Dense;
use std::ops::Range;

/// Which numbers stand for a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Sketch and first values, all of which are linear in the elements.
    Linear,
    /// The first values alone.
    Firsts,
    /// A row as long as the tensor's own, with the first values and, at norms' inputs, the right mean and mean square.
    Rows,
}

/// One trace of stand-ins: a row for each of some records.
pub(super) struct StandIn<'a> {
    side: &'a dyn Tensors,
    /// Positions that the rows are given.
    rows: Range<i64>,
    records: &'a [Range<i64>],
    form: Form,
}

impl<'a> StandIn<'a> {
    /// Rows for records, under the positions of the first ones.
    pub(super) fn new(side: &'a dyn Tensors, records: &'a [Range<i64>], form: Form) -> Self {
        let first = records.first().map_or(0, |record| record.start);
        Self {
            side,
            rows: first..first + records.len() as i64,
            records,
            form,
        }
    }

    /// The positions of the rows.
    pub(super) fn tokens(&self) -> Range<i64> {
        self.rows.clone()
    }

    fn row(&self, checkpoint: &str, outline: &Outline) -> Option<Vec<f64>> {
        match self.form {
            Form::Linear => {
                if outline.sketch.is_empty() {
                    return None;
                }
                let both = outline.sketch.iter().chain(&outline.values);
                Some(both.copied().collect())
            }
            Form::Firsts => Some(outline.values.clone()),
            // Nobody knows the rest of what a norm gives.
            Form::Rows if Site::of(checkpoint).kind == Kind::Norm => {
                let mut row = outline.values.clone();
                row.resize(outline.row_len(), 0.0);
                Some(row)
            }
            Form::Rows => Some(filled(outline)),
        }
    }
}

impl Tensors for StandIn<'_> {
    fn names(&self) -> Vec<String> {
        self.side.names()
    }

    fn passes(&self, _: &str) -> Vec<Range<i64>> {
        self.rows.clone().map(|row| row..row + 1).collect()
    }

    fn rows(&self, checkpoint: &str, tokens: Range<i64>) -> Option<Dense> {
        if tokens.is_empty() || tokens.start < self.rows.start || tokens.end > self.rows.end {
            return None;
        }
        let mut data = Vec::new();
        let count = (tokens.end - tokens.start) as usize;
        let first = (tokens.start - self.rows.start) as usize;
        for record in self.records.get(first..first + count)? {
            let outline = self.side.outline(checkpoint, record.clone())?;
            data.extend(self.row(checkpoint, &outline)?);
        }
        let width = data.len() / count;
        Dense::new(vec![count, width], data)
    }

    fn outline(&self, checkpoint: &str, pass: Range<i64>) -> Option<Outline> {
        self.side.outline(checkpoint, pass)
    }

    fn architecture(&self) -> Option<String> {
        self.side.architecture()
    }
}

/// A row of the outline's length with its first values, its mean and its mean square; which other elements it has does
/// not matter to a norm.
fn filled(outline: &Outline) -> Vec<f64> {
    let mut row = outline.values.clone();
    let len = outline.row_len();
    let rest = len.saturating_sub(row.len());
    if rest == 0 {
        return row;
    }
    let sum = |f: &dyn Fn(f64) -> f64| row.iter().map(|x| f(*x)).sum::<f64>();
    let mean = (outline.mean * len as f64 - sum(&|x| x)) / rest as f64;
    let square = (outline.mean_square * len as f64 - sum(&|x| x * x)) / rest as f64;
    // Pairs above and below the mean; of an odd number the last one lies on it.
    let paired = rest / 2 * 2;
    let distance = if paired == 0 {
        0.0
    } else {
        ((square - mean * mean).max(0.0) * rest as f64 / paired as f64).sqrt()
    };
    row.extend((0..rest).map(|at| match (at < paired, at % 2) {
        (false, _) => mean,
        (true, 0) => mean + distance,
        (true, _) => mean - distance,
    }));
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filled_row_has_mean_and_mean_square_of_the_tensor() {
        for len in [11_usize, 12, 97] {
            let tensor: Vec<f64> = (0..len)
                .map(|at| ((at * 7919 + 13) % 101) as f64 / 50.0 - 0.7)
                .collect();
            let outline = Outline {
                pass: 3..4,
                len,
                inner: vec![len],
                values: tensor[..10].to_vec(),
                zero: 0,
                mean: tensor.iter().sum::<f64>() / len as f64,
                mean_square: tensor.iter().map(|x| x * x).sum::<f64>() / len as f64,
                sketch: Vec::new(),
            };
            let row = filled(&outline);
            assert_eq!(row.len(), len);
            assert_eq!(row[..10], tensor[..10]);
            let n = len as f64;
            assert!((row.iter().sum::<f64>() / n - outline.mean).abs() < 1e-12);
            let square = row.iter().map(|x| x * x).sum::<f64>() / n;
            assert!((square - outline.mean_square).abs() < 1e-12, "{len}");
        }
    }
}
