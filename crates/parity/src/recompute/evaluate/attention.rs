//! Scores, probabilities, context.

use super::product::multiply;
use super::round::round_row;
use super::{Context, Failure};
use crate::recompute::kind::{Attend, HeadMap, Probs, Scores};
use crate::recompute::weights::Arithmetic;
use crate::tensor::Dense;
use orch_log::format::Dtype;

impl Context<'_> {
    /// `[tokens, heads, kv]` of queries `[tokens, heads, lanes]` and keys `[kv, key heads, lanes]`.
    pub(super) fn scores(&self, scores: &Scores, q: &Dense, k: &Dense) -> Result<Dense, Failure> {
        let (heads, key_heads, lanes) = match (q.shape.as_slice(), k.shape.as_slice()) {
            (&[_, heads, lanes], &[_, key_heads, of]) if lanes == of => (heads, key_heads, lanes),
            _ => return Err(misfit("queries and keys", q, k)),
        };
        let (tokens, kv) = (q.n_rows(), k.n_rows());
        let (before, after) = if scores.scaled_queries {
            (scores.scale, 1.0)
        } else {
            (1.0, scores.scale)
        };
        let scaled = match self.arithmetic {
            // The product is an f32 before it is rounded further, which decides ties.
            Arithmetic::Engine => q.map(|q| f64::from(q as f32 * before as f32)),
            _ => q.map(|q| q * before),
        };
        let q = self.rounded(scores.operand, &scaled, lanes)?;
        let k = self.rounded(scores.cache, k, lanes)?;
        let mut out = Dense::zeros(vec![tokens, heads, kv]);
        for head in 0..heads {
            let shared = shared_head(&scores.heads, head, heads, key_heads)?;
            let queries = head_of(&q, head);
            let keys: Vec<f32> = head_of(&k, shared).iter().map(|x| *x as f32).collect();
            let products = multiply(&queries, lanes, &keys);
            for (token, row) in products.chunks_exact(kv.max(1)).enumerate() {
                let at = (token * heads + head) * kv;
                for (to, product) in out.data[at..][..kv].iter_mut().zip(row) {
                    *to = capped(product * after, scores.cap);
                }
            }
        }
        Ok(out)
    }

    /// Softmax of each row of scores over the keys that it sees; zeros where it sees none.
    pub(super) fn probs(&self, probs: &Probs, scores: &Dense) -> Result<Dense, Failure> {
        let &[_, heads, kv] = scores.shape.as_slice() else {
            return Err(Failure::Shape(format!("softmax of {:?}", scores.shape)));
        };
        let sinks = probs.sinks.as_ref().map(|name| self.tensor(name));
        let sinks = sinks.transpose()?.map(|sinks| sinks.data);
        let mut out = Dense::zeros(scores.shape.clone());
        for (row, (from, to)) in scores
            .data
            .chunks(kv.max(1))
            .zip(out.data.chunks_mut(kv.max(1)))
            .enumerate()
        {
            let own = self.inputs.position(row / heads.max(1));
            let seen = |key: usize| {
                let key = key as i64;
                probs.ahead.is_none_or(|ahead| key <= own + ahead)
                    && probs.window.is_none_or(|window| own - key < window as i64)
                    && !probs.hidden.contains(&key)
            };
            let score = |key: usize| capped(from[key] * probs.scale, probs.cap);
            let sink = sinks.as_ref().and_then(|sinks| sinks.get(row % heads));
            let sink = sink.map_or(f64::NEG_INFINITY, |sink| f64::from(*sink));
            let visible = (0..kv).filter(|key| seen(*key));
            let largest = visible.clone().map(score).fold(sink, f64::max);
            let mut sum = (sink - largest).exp();
            for key in visible {
                to[key] = (score(key) - largest).exp();
                sum += to[key];
            }
            if largest > f64::NEG_INFINITY {
                to.iter_mut().for_each(|p| *p /= sum);
            }
        }
        Ok(out)
    }

    /// `[tokens, heads, lanes]` of probabilities `[tokens, heads, kv]` and values `[kv, value heads, lanes]`.
    pub(super) fn attend(&self, attend: &Attend, p: &Dense, v: &Dense) -> Result<Dense, Failure> {
        let (heads, kv, value_heads, lanes) = match (p.shape.as_slice(), v.shape.as_slice()) {
            (&[_, heads, kv], &[positions, value_heads, lanes]) if kv == positions => {
                (heads, kv, value_heads, lanes)
            }
            _ => return Err(misfit("probabilities and values", p, v)),
        };
        let tokens = p.n_rows();
        let p = self.rounded(attend.operand, p, kv)?;
        let v = self.rounded(attend.cache, v, lanes)?;
        let mut out = Dense::zeros(vec![tokens, heads, lanes]);
        for head in 0..heads {
            let shared = shared_head(&attend.heads, head, heads, value_heads)?;
            let values = head_of(&v, shared);
            let mut by_lane = vec![0.0_f32; lanes * kv];
            for (position, row) in values.chunks_exact(lanes.max(1)).enumerate() {
                for (lane, value) in row.iter().enumerate() {
                    by_lane[lane * kv + position] = *value as f32;
                }
            }
            let mixed = multiply(&head_of(&p, head), kv, &by_lane);
            for (token, row) in mixed.chunks_exact(lanes.max(1)).enumerate() {
                out.data[(token * heads + head) * lanes..][..lanes].copy_from_slice(row);
            }
        }
        Ok(out)
    }

    /// Rows of `len` elements as the engine keeps them.
    fn rounded(&self, dtype: Dtype, x: &Dense, len: usize) -> Result<Dense, Failure> {
        let mut out = x.clone();
        if self.arithmetic == Arithmetic::Engine
            && !out
                .data
                .chunks_mut(len.max(1))
                .all(|row| round_row(dtype, row))
        {
            return Err(Failure::NotEmulated(format!("a cache of {dtype}")));
        }
        Ok(out)
    }
}

fn misfit(what: &str, a: &Dense, b: &Dense) -> Failure {
    Failure::Shape(format!("{what} of {:?} and {:?}", a.shape, b.shape))
}

/// Soft cap (Gemma Team 2024).
fn capped(x: f64, cap: Option<f64>) -> f64 {
    cap.map_or(x, |cap| cap * (x / cap).tanh())
}

/// The key head that a query head meets.
fn shared_head(map: &HeadMap, head: usize, heads: usize, shared: usize) -> Result<usize, Failure> {
    let found = match map {
        HeadMap::Grouped => Some(head / (heads / shared.max(1)).max(1)),
        HeadMap::Tiled => Some(head % shared.max(1)),
        HeadMap::Given(given) => given.get(head).copied(),
    };
    let found = found.filter(|found| *found < shared);
    found.ok_or_else(|| Failure::Shape(format!("{heads} heads cannot share {shared}")))
}

/// One head of `[rows, heads, lanes]`: `[rows, lanes]`.
fn head_of(x: &Dense, head: usize) -> Vec<f64> {
    let (row, lanes) = (x.row_len(), x.last_len());
    let rows = x.data.chunks_exact(row.max(1));
    rows.flat_map(|row| &row[head * lanes..][..lanes])
        .copied()
        .collect()
}
