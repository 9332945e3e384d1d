//! Root mean square (Zhang & Sennrich 2019) and layer normalisation (Ba et al. 2016) of one row.

use super::super::evaluate::round_to;
use orch_log::format::Dtype;

/// Takes a row's mean from it, where it is `centred`, and gives the sum of its squares.
pub(crate) fn prepare(row: &mut [f64], centred: bool) -> f64 {
    if centred {
        let mean = row.iter().sum::<f64>() / row.len() as f64;
        row.iter_mut().for_each(|x| *x -= mean);
    }
    row.iter().map(|x| x * x).sum()
}

/// 1 / √(`square` + `eps`).
pub(crate) fn inverse_root(square: f64, eps: f64) -> f64 {
    1.0 / (square + eps).sqrt()
}

/// What becomes of one prepared element.
pub(crate) fn normed(x: f64, factor: f64, rounded: Option<Dtype>, weight: f64, bias: f64) -> f64 {
    let unit = x * factor;
    let unit = rounded.map_or(unit, |dtype| round_to(dtype, unit));
    unit * weight + bias
}
