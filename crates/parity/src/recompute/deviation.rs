//! How far a logged result is from what it should be.

use super::kind::Kind;
use super::operation::Operation;
use crate::tensor::Dense;

/// The distance between what an engine logged and what its inputs give.
///
/// # Units
///
/// Relative: the root of the sum of squared differences over that of the expected row; a row of few elements, whose
/// sum can be small by chance, is held against the mean of all rows where that is larger. 0 where both are all zeros,
/// infinite where only the expected row is, or where a number is not finite on one side only.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Deviation {
    /// Of the worst row.
    pub relative: f64,
    /// Position of the worst row.
    pub position: i64,
    /// Of all rows together.
    pub overall: f64,
    /// Rows that were compared.
    pub rows: usize,
}

impl Deviation {
    /// Elements of a row whose sum of squares can be small by chance.
    pub const FEW: usize = 16;

    /// The deviation of `found` from `expected`, both for rows from position `first` on; `None` where their shapes
    /// differ.
    ///
    /// Scores of keys after the row's own position are left aside: the mask hides them, and engines leave anything
    /// there.
    pub fn of(operation: &Operation, first: i64, expected: &Dense, found: &Dense) -> Option<Self> {
        if expected.data.len() != found.data.len() || expected.n_rows() != found.n_rows() {
            return None;
        }
        let rows = expected.n_rows();
        let len = expected.row_len();
        let kv = expected.last_len();
        let (mut errors, mut sizes) = (0.0, 0.0);
        let mut by_row = Vec::with_capacity(rows);
        for row in 0..rows {
            let position = first + row as i64;
            let (expected, found) = (expected.row(row), found.row(row));
            let seen = match operation.kind {
                Kind::Scores(_) => usize::try_from(position + 1).unwrap_or(0).min(kv),
                _ => len,
            };
            let (mut error, mut size) = (0.0, 0.0);
            let blocks = expected.chunks(kv.max(1)).zip(found.chunks(kv.max(1)));
            for (expected, found) in blocks {
                let (e, f) = squares(expected.iter().zip(found).take(seen));
                (error, size) = (error + e, size + f);
            }
            if matches!(operation.kind, Kind::Choose { .. }) {
                // Ids of experts are not far or near, but right or wrong.
                (error, size) = (f64::from(u8::from(error != 0.0)), 1.0);
            }
            by_row.push((error, size));
            errors += error;
            sizes += size;
        }
        let least = if len < Self::FEW {
            sizes / rows.max(1) as f64
        } else {
            0.0
        };
        let mut worst = (0.0, first);
        for (position, (error, size)) in (first..).zip(by_row) {
            let relative = relative(error, size.max(least));
            if relative > worst.0 {
                worst = (relative, position);
            }
        }
        Some(Self {
            relative: worst.0,
            position: worst.1,
            overall: relative(errors, sizes),
            rows,
        })
    }
}

/// Relative RMSE of all elements; infinite where the two do not fit together.
pub(crate) fn distance(expected: &Dense, found: &Dense) -> f64 {
    if expected.data.len() != found.data.len() {
        return f64::INFINITY;
    }
    let pairs = expected.data.iter().zip(&found.data);
    let (error, size) = squares(pairs);
    relative(error, size)
}

/// Sums of squares of the differences and of what was expected.
fn squares<'n>(pairs: impl Iterator<Item = (&'n f64, &'n f64)>) -> (f64, f64) {
    pairs.fold((0.0, 0.0), |(error, size), (e, f)| {
        let same = e == f || (e.is_nan() && f.is_nan());
        (
            error + if same { 0.0 } else { (e - f) * (e - f) },
            size + if e.is_finite() { e * e } else { 0.0 },
        )
    })
}

fn relative(error: f64, size: f64) -> f64 {
    if error == 0.0 {
        0.0
    } else if error.is_nan() || size == 0.0 {
        f64::INFINITY
    } else {
        (error / size).sqrt()
    }
}
