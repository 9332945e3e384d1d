//! Rotary embedding (Su et al. 2021).

use super::super::kind::Pairing;
use crate::tensor::Dense;

/// The lanes of a pair, of so many, within a head.
pub(crate) fn lanes_of(pairing: Pairing, pair: usize, pairs: usize) -> (usize, usize) {
    match pairing {
        Pairing::Adjacent => (2 * pair, 2 * pair + 1),
        Pairing::Halves => (pair, pair + pairs),
    }
}

/// The angle of a pair at a position, in radians: position · θ^(−`exponent` · pair / dims).
pub(crate) fn angle(position: f64, theta: f64, exponent: f64, pair: usize, dims: usize) -> f64 {
    position * theta.powf(-exponent / dims as f64 * pair as f64)
}

/// Turns the first `pairs` pairs of every head of `[tokens, heads, lanes]`; `turn(row, head, pair)` gives sine and cosine. Lanes
/// are paired as `from` says, and laid down as `to` does. Of a pair that is not wholly there nothing turns.
pub(crate) fn turned(
    x: &Dense,
    pairs: usize,
    from: Pairing,
    to: Pairing,
    turn: &dyn Fn(usize, usize, usize) -> (f64, f64),
) -> Dense {
    let mut out = x.clone();
    let [_, heads, lanes] = x.shape[..] else {
        return out;
    };
    let both = x
        .data
        .chunks(lanes.max(1))
        .zip(out.data.chunks_mut(lanes.max(1)));
    for (index, (head, turned)) in both.enumerate() {
        for pair in 0..pairs {
            let (a, b) = lanes_of(from, pair, pairs);
            let (to_a, to_b) = lanes_of(to, pair, pairs);
            if b.max(to_b) >= lanes {
                continue;
            }
            let (sin, cos) = turn(index / heads.max(1), index % heads.max(1), pair);
            turned[to_a] = head[a] * cos - head[b] * sin;
            turned[to_b] = head[a] * sin + head[b] * cos;
        }
    }
    out
}
