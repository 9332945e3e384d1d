//! Grouped-query attention, step by step so that each step can be logged.

use candle_core::{Device, Result, Tensor};

use super::Heads;

/// Queries, keys and values out of rows that hold them one after the other.
///
/// # Shape
///
/// `[tokens, (heads + 2 kv_heads) head_dim]` to `[tokens, heads head_dim]` and twice `[tokens, kv_heads head_dim]`.
///
/// # Errors
///
/// When the rows have another width.
pub fn split(fused: &Tensor, heads: Heads) -> Result<[Tensor; 3]> {
    let (query, key) = (heads.query * heads.dim, heads.key * heads.dim);
    Ok([
        fused.narrow(1, 0, query)?,
        fused.narrow(1, query, key)?,
        fused.narrow(1, query + key, key)?,
    ])
}

/// Scaled scores of each query against each cached key, not yet masked.
///
/// # Shape
///
/// `q` `[tokens, heads, head_dim]`, `keys` `[kv, kv_heads, head_dim]` to `[heads, tokens, kv]`.
/// Query head h reads key head `h / (heads / kv_heads)`.
///
/// # Errors
///
/// When the shapes do not fit.
pub fn scores(q: &Tensor, keys: &Tensor, scale: f64) -> Result<Tensor> {
    let (tokens, heads, head_dim) = q.dims3()?;
    let (kv, kv_heads, _) = keys.dims3()?;
    // The query heads of a group stand one below the other as rows of one product, so no key is copied.
    let grouped = q
        .reshape((tokens, kv_heads, heads / kv_heads, head_dim))?
        .permute((1, 2, 0, 3))?
        .reshape((kv_heads, heads / kv_heads * tokens, head_dim))?;
    let products = grouped.matmul(&by_head(keys)?.t()?)?;
    products.reshape((heads, tokens, kv))? * scale
}

/// `[kv, kv_heads, head_dim]` as `[kv_heads, kv, head_dim]`; without a copy where the product takes rows with gaps, which candle's
/// on CUDA does not.
fn by_head(cached: &Tensor) -> Result<Tensor> {
    let by_head = cached.transpose(0, 1)?;
    if by_head.device().is_cpu() {
        Ok(by_head)
    } else {
        by_head.contiguous()
    }
}

/// What is added to the scores of each row: 0 for positions up to the row's own, −∞ after it.
///
/// # Shape
///
/// `[rows, kv]`, for rows at positions `first…`.
///
/// # Errors
///
/// When the tensor cannot be made.
pub fn causal_mask(first: usize, rows: usize, kv: usize) -> Result<Tensor> {
    let mask: Vec<f32> = (first..first + rows)
        .flat_map(|row| {
            (0..kv).map(move |column| if column > row { f32::NEG_INFINITY } else { 0.0 })
        })
        .collect();
    Tensor::from_vec(mask, (rows, kv), &Device::Cpu)
}

/// Softmax over the last axis of `scores + mask`.
///
/// # Shape
///
/// `[heads, tokens, kv]` to the same; `mask` is `[tokens, kv]`.
///
/// # Errors
///
/// When the shapes do not fit.
pub fn softmax(scores: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
    match mask {
        Some(mask) => candle_nn::ops::softmax_last_dim(&scores.broadcast_add(mask)?),
        None => candle_nn::ops::softmax_last_dim(scores),
    }
}

/// Probabilities times values.
///
/// # Shape
///
/// `probs` `[heads, tokens, kv]`, `values` `[kv, kv_heads, head_dim]` to `[tokens, heads, head_dim]`.
///
/// # Errors
///
/// When the shapes do not fit.
pub fn context(probs: &Tensor, values: &Tensor) -> Result<Tensor> {
    let (heads, tokens, kv) = probs.dims3()?;
    let (_, kv_heads, head_dim) = values.dims3()?;
    let grouped = probs.reshape((kv_heads, heads / kv_heads * tokens, kv))?;
    let sums = grouped.matmul(&by_head(values)?)?;
    sums.reshape((heads, tokens, head_dim))?
        .transpose(0, 1)?
        .contiguous()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADS: usize = 6;
    const KV_HEADS: usize = 2;
    const DIM: usize = 4;

    fn tensor(rows: usize, heads: usize, phase: f32) -> (Vec<f64>, Tensor) {
        let data: Vec<f32> = (0..rows * heads * DIM)
            .map(|i| (i as f32 * 0.61 + phase).sin())
            .collect();
        let tensor = Tensor::from_vec(data.clone(), (rows, heads, DIM), &Device::Cpu).unwrap();
        (data.into_iter().map(f64::from).collect(), tensor)
    }

    /// Attention by its definition, in f64, one query head at a time.
    fn reference(q: &[f64], k: &[f64], v: &[f64], first: usize, rows: usize) -> Vec<f64> {
        let mut all = Vec::new();
        for row in 0..rows {
            for head in 0..HEADS {
                let kv_head = head / (HEADS / KV_HEADS);
                let of = |x: &[f64], token: usize, lane: usize| {
                    x[(token * KV_HEADS + kv_head) * DIM + lane]
                };
                let weights: Vec<f64> = (0..=first + row)
                    .map(|token| {
                        let query = &q[(row * HEADS + head) * DIM..][..DIM];
                        let dot: f64 = (0..DIM).map(|lane| query[lane] * of(k, token, lane)).sum();
                        (dot / (DIM as f64).sqrt()).exp()
                    })
                    .collect();
                let total: f64 = weights.iter().sum();
                all.extend((0..DIM).map(|lane| {
                    weights
                        .iter()
                        .enumerate()
                        .map(|(token, weight)| weight / total * of(v, token, lane))
                        .sum::<f64>()
                }));
            }
        }
        all
    }

    #[test]
    fn grouped_heads_prefill_and_decode() {
        for (first, rows) in [(0, 5), (3, 2), (4, 1)] {
            let kv = first + rows;
            let ((q, q_tensor), (k, k_tensor), (v, v_tensor)) = (
                tensor(rows, HEADS, 0.0),
                tensor(kv, KV_HEADS, 1.0),
                tensor(kv, KV_HEADS, 2.0),
            );
            let scores = scores(&q_tensor, &k_tensor, 0.5).unwrap();
            let mask = causal_mask(first, rows, kv).unwrap();
            let probs = softmax(&scores, Some(&mask)).unwrap();
            let context = context(&probs, &v_tensor).unwrap();
            assert_eq!(context.dims(), [rows, HEADS, DIM]);
            let got = context.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let expected = reference(&q, &k, &v, first, rows);
            for (index, (got, expected)) in got.iter().zip(&expected).enumerate() {
                assert!(
                    (f64::from(*got) - expected).abs() < 1e-6,
                    "element {index}: {got} instead of {expected}"
                );
            }
        }
    }
}
