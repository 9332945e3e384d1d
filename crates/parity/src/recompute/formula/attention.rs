//! Scores, probabilities and context.

use super::super::evaluate::multiply;
use crate::tensor::Dense;

/// Products of queries `[tokens, heads, lanes]` and keys `[kv, key heads, lanes]`; `key_head` has the key head of each head.
///
/// # Shape
///
/// `[tokens, heads, kv]`.
pub(crate) fn products(q: &Dense, k: &Dense, key_head: &[usize]) -> Dense {
    let (tokens, heads, kv) = (q.n_rows(), key_head.len(), k.n_rows());
    let mut out = Dense::zeros(vec![tokens, heads, kv]);
    for (head, shared) in key_head.iter().enumerate() {
        let products = multiply(&head_of(q, head), q.last_len(), &head_of(k, *shared));
        for (token, row) in products.chunks_exact(kv.max(1)).enumerate() {
            out.data[(token * heads + head) * kv..][..kv].copy_from_slice(row);
        }
    }
    out
}

/// Soft cap (Gemma Team 2024).
pub(crate) fn capped(x: f64, cap: Option<f64>) -> f64 {
    cap.map_or(x, |cap| cap * (x / cap).tanh())
}

/// Softmax of a row, of which hidden places are −∞ and become zero; `sink` is one more score that takes its share, −∞ where there
/// is none. A row that sees nothing becomes zero.
pub(crate) fn softmax(row: &mut [f64], sink: f64) {
    let largest = row.iter().copied().fold(sink, f64::max);
    let mut sum = (sink - largest).exp();
    for x in row.iter_mut() {
        *x = if *x == f64::NEG_INFINITY {
            0.0
        } else {
            (*x - largest).exp()
        };
        sum += *x;
    }
    if largest > f64::NEG_INFINITY {
        row.iter_mut().for_each(|x| *x /= sum);
    }
}

/// Probabilities `[tokens, heads, kv]` times values `[kv, value heads, lanes]`.
///
/// # Shape
///
/// `[tokens, heads, lanes]`.
pub(crate) fn mixed(p: &Dense, v: &Dense, value_head: &[usize]) -> Dense {
    let (tokens, heads, kv, lanes) = (p.n_rows(), value_head.len(), v.n_rows(), v.last_len());
    let mut out = Dense::zeros(vec![tokens, heads, lanes]);
    for (head, shared) in value_head.iter().enumerate() {
        let values = head_of(v, *shared);
        let mut by_lane = vec![0.0; lanes * kv];
        for (position, row) in values.chunks_exact(lanes.max(1)).enumerate() {
            for (lane, value) in row.iter().enumerate() {
                by_lane[lane * kv + position] = *value;
            }
        }
        let mixed = multiply(&head_of(p, head), kv, &by_lane);
        for (token, row) in mixed.chunks_exact(lanes.max(1)).enumerate() {
            out.data[(token * heads + head) * lanes..][..lanes].copy_from_slice(row);
        }
    }
    out
}

/// One head of `[rows, heads, lanes]`: `[rows, lanes]`.
fn head_of(x: &Dense, head: usize) -> Vec<f64> {
    let (row, lanes) = (x.row_len(), x.last_len());
    let rows = x.data.chunks_exact(row.max(1));
    rows.flat_map(|row| &row[head * lanes..][..lanes])
        .copied()
        .collect()
}
