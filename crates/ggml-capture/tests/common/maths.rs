//! The operations of a decoder in f64, as their papers define them.

/// Rows of `x` times the transpose of `weight`, whose rows are outputs.
pub(crate) fn linear(x: &[f64], weight: &[f64], bias: Option<&[f64]>, inputs: usize) -> Vec<f64> {
    let mut out = Vec::new();
    for row in x.chunks(inputs) {
        for (output, weight) in weight.chunks(inputs).enumerate() {
            let sum: f64 = row.iter().zip(weight).map(|(x, w)| x * w).sum();
            out.push(sum + bias.map_or(0.0, |bias| bias[output]));
        }
    }
    out
}

/// Root mean square normalisation (Zhang & Sennrich 2019) of rows as long as `weight`.
pub(crate) fn rms_norm(x: &[f64], weight: &[f64], epsilon: f64) -> Vec<f64> {
    let normalise = |row: &[f64]| {
        let mean = row.iter().map(|x| x * x).sum::<f64>() / row.len() as f64;
        let scale = 1.0 / (mean + epsilon).sqrt();
        let scaled = row.iter().zip(weight).map(|(x, w)| x * scale * w);
        scaled.collect::<Vec<_>>()
    };
    x.chunks(weight.len()).flat_map(normalise).collect()
}

/// Layer normalisation (Ba et al. 2016) of rows as long as `weight`.
pub(crate) fn layer_norm(x: &[f64], weight: &[f64], bias: &[f64], epsilon: f64) -> Vec<f64> {
    let normalise = |row: &[f64]| {
        let n = row.len() as f64;
        let mean = row.iter().sum::<f64>() / n;
        let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        let scale = 1.0 / (variance + epsilon).sqrt();
        let scaled = row.iter().zip(weight).zip(bias);
        scaled
            .map(|((x, w), b)| (x - mean) * scale * w + b)
            .collect::<Vec<_>>()
    };
    x.chunks(weight.len()).flat_map(normalise).collect()
}

/// Rotary embedding (Su et al. 2021) of `[tokens, heads, dim]`; pairs are neighbours, or half a head apart.
/// `factors` divide the frequency of each pair.
pub(crate) struct Rope<'a> {
    pub(crate) dim: usize,
    pub(crate) base: f64,
    pub(crate) neighbours: bool,
    pub(crate) factors: Option<&'a [f64]>,
}

impl Rope<'_> {
    pub(crate) fn turn(&self, x: &[f64], heads: usize, first: usize) -> Vec<f64> {
        let dim = self.dim;
        let mut out = x.to_vec();
        for (index, head) in out.chunks_mut(dim).enumerate() {
            let position = (first + index / heads) as f64;
            for pair in 0..dim / 2 {
                let factor = self.factors.map_or(1.0, |factors| factors[pair]);
                let angle = position * self.base.powf(-2.0 * pair as f64 / dim as f64) / factor;
                let (a, b) = if self.neighbours {
                    (2 * pair, 2 * pair + 1)
                } else {
                    (pair, pair + dim / 2)
                };
                let (x, y) = (head[a], head[b]);
                head[a] = x * angle.cos() - y * angle.sin();
                head[b] = x * angle.sin() + y * angle.cos();
            }
        }
        out
    }
}

/// x·σ(x).
pub(crate) fn silu(x: f64) -> f64 {
    x / (1.0 + (-x).exp())
}

/// The tanh form of GELU (Hendrycks & Gimpel 2016).
pub(crate) fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh())
}

/// As ggml computes it on a CPU: looked up in a table over `f16` that holds `f16`, which costs three decimal places.
pub(crate) fn ggml_gelu(x: f64) -> f64 {
    let rounded = half::f16::from_f32(x as f32).to_f32();
    // ggml's own constants and order of operations, so that the table's roundings are met.
    let inner = 0.797_884_6_f32 * rounded * (1.0 + 0.044715 * rounded * rounded);
    let value = 0.5 * rounded * (1.0 + inner.tanh());
    match x {
        x if x <= -10.0 => 0.0,
        x if x >= 10.0 => x,
        _ => f64::from(half::f16::from_f32(value).to_f32()),
    }
}

/// Soft cap (Gemma Team 2024).
pub(crate) fn capped(x: f64, cap: Option<f64>) -> f64 {
    cap.map_or(x, |cap| cap * (x / cap).tanh())
}

pub(crate) fn sum(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

/// Root mean square of the difference over that of `expected`.
pub(crate) fn relative_rmse(expected: &[f64], found: &[f64]) -> f64 {
    assert_eq!(expected.len(), found.len());
    let error: f64 = expected
        .iter()
        .zip(found)
        .map(|(e, f)| (e - f).powi(2))
        .sum();
    let size: f64 = expected.iter().map(|e| e * e).sum();
    (error / size).sqrt()
}
