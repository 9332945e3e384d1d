//! Scores, probabilities, context.

use super::round::round_row;
use super::{Context, Failure};
use crate::recompute::formula::{capped, mixed, products, softmax};
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
        let key_head = shared_heads(&scores.heads, heads, key_heads)?;
        let products = products(&q, &k, &key_head);
        Ok(products.map(|product| capped(product * after, scores.cap)))
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
            for (key, (score, place)) in from.iter().zip(to.iter_mut()).enumerate() {
                *place = if seen(key) {
                    capped(score * probs.scale, probs.cap)
                } else {
                    f64::NEG_INFINITY
                };
            }
            let sink = sinks.as_ref().and_then(|sinks| sinks.get(row % heads));
            softmax(to, sink.map_or(f64::NEG_INFINITY, |sink| f64::from(*sink)));
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
        let p = self.rounded(attend.operand, p, kv)?;
        let v = self.rounded(attend.cache, v, lanes)?;
        let value_head = shared_heads(&attend.heads, heads, value_heads)?;
        Ok(mixed(&p, &v, &value_head))
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

/// The key head that each query head meets.
fn shared_heads(map: &HeadMap, heads: usize, shared: usize) -> Result<Vec<usize>, Failure> {
    let found = (0..heads).map(|head| {
        let found = match map {
            HeadMap::Grouped => Some(head / (heads / shared.max(1)).max(1)),
            HeadMap::Tiled => Some(head % shared.max(1)),
            HeadMap::Given(given) => given.get(head).copied(),
        };
        found.filter(|found| *found < shared)
    });
    let found: Option<Vec<usize>> = found.collect();
    found.ok_or_else(|| Failure::Shape(format!("{heads} heads cannot share {shared}")))
}
