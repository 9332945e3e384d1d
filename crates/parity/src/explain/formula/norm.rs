//! Norms, with the numbers that the reference uses.

use crate::explain::numbers::residual;
use crate::explain::{Scene, Side};
use crate::recompute::formula::{inverse_root, normed, prepare};
use crate::tensor::Dense;

/// The numbers of a norm.
#[derive(Clone, Debug, PartialEq)]
pub struct Norm {
    /// Whether the mean is subtracted first.
    pub centred: bool,
    /// Added to the mean square.
    pub eps: f64,
    /// One factor for each lane.
    pub weight: Vec<f64>,
    /// One summand for each lane.
    pub bias: Vec<f64>,
    /// What these numbers leave unexplained of the reference.
    pub reference_residual: f64,
    /// Whether they come from the model file; else they were fitted to the reference's own inputs and outputs.
    pub is_known: bool,
}

/// Values of eps that models use.
const USUAL_EPS: [f64; 6] = [1e-5, 1e-6, 1e-12, 1e-8, 1e-7, 1e-3];

/// Rows of the reference that take part in fitting its weights.
const FITTED_ROWS: usize = 64;

impl Norm {
    /// The norm of rows of the weight's width, with the factor that `scale` gives for a row's mean square.
    pub fn with(&self, x: &Dense, centred: bool, scale: &dyn Fn(f64) -> f64) -> Dense {
        let mut data = Vec::with_capacity(x.data.len());
        for row in x.data.chunks(self.weight.len()) {
            let (row, square) = prepared(row, centred);
            let factor = scale(square);
            let lanes = row.iter().zip(&self.weight).zip(&self.bias);
            data.extend(lanes.map(|((x, weight), bias)| normed(*x, factor, None, *weight, *bias)));
        }
        Dense {
            shape: x.shape.clone(),
            data,
        }
    }

    /// The norm as the reference computes it.
    pub fn of(&self, x: &Dense) -> Dense {
        let eps = self.eps;
        self.with(x, self.centred, &|square| inverse_root(square, eps))
    }

    /// The numbers of the scene's norm.
    pub(super) fn find(scene: &Scene<'_>) -> Option<Self> {
        let width = *scene.reference.shape.last()?;
        let samples = samples(scene, width)?;
        let known = from_model(scene, width, &samples);
        known
            .into_iter()
            .chain(fitted(width, &samples))
            .min_by(|a, b| {
                // What the file says is preferred unless the reference does something else.
                let cost =
                    |norm: &Self| norm.reference_residual + if norm.is_known { 0.0 } else { 1e-6 };
                cost(a).total_cmp(&cost(b))
            })
    }
}

/// A row, centred where that is asked for, and its mean square.
fn prepared(row: &[f64], centred: bool) -> (Vec<f64>, f64) {
    let mut row = row.to_vec();
    let squares = prepare(&mut row, centred);
    let width = row.len() as f64;
    (row, squares / width)
}

/// The reference's inputs and outputs, row by row: all positions as far as they are needed.
fn samples(scene: &Scene<'_>, width: usize) -> Option<Vec<(Vec<f64>, Vec<f64>)>> {
    let mut samples = Vec::new();
    let names = scene.input_names();
    let passes = scene.side(Side::Reference).passes(&scene.checkpoint);
    for pass in passes {
        let x = names
            .iter()
            .find_map(|name| scene.rows(Side::Reference, name, pass.clone()));
        let y = scene.rows(Side::Reference, &scene.checkpoint, pass);
        if let (Some(x), Some(y)) = (x, y)
            && x.data.len() == y.data.len()
        {
            let rows = x.data.chunks(width).zip(y.data.chunks(width));
            samples.extend(rows.map(|(x, y)| (x.to_vec(), y.to_vec())));
        }
        if samples.len() >= FITTED_ROWS {
            break;
        }
    }
    let finite = |row: &[f64]| row.iter().all(|x| x.is_finite());
    samples.retain(|(x, y)| finite(x) && finite(y));
    (!samples.is_empty()).then_some(samples)
}

fn judged(mut norm: Norm, samples: &[(Vec<f64>, Vec<f64>)]) -> Norm {
    let mut error = Vec::new();
    for (x, y) in samples {
        let (row, square) = prepared(x, norm.centred);
        let factor = inverse_root(square, norm.eps);
        let lanes = row.iter().zip(&norm.weight).zip(&norm.bias);
        let expected = lanes.map(|((x, weight), bias)| normed(*x, factor, None, *weight, *bias));
        error.extend(y.iter().copied().zip(expected));
    }
    norm.reference_residual = residual(error.into_iter());
    norm
}

/// The names of the scene's norm in a model file.
fn weight_name(scene: &Scene<'_>) -> Option<String> {
    use crate::align::Stage as S;
    let name = match scene.site.stage() {
        Some(S::AttnNorm) => "attn_norm",
        Some(S::FfnNorm) => "ffn_norm",
        Some(S::QNorm) => "attn_q_norm",
        Some(S::KNorm) => "attn_k_norm",
        Some(S::AttnPostNorm) => "post_attention_norm",
        Some(S::FfnPostNorm) => "post_ffw_norm",
        None if scene.checkpoint == "final_norm" => return Some("output_norm".to_owned()),
        _ => return None,
    };
    Some(format!("blk.{}.{name}", scene.site.layer?))
}

fn from_model(scene: &Scene<'_>, width: usize, samples: &[(Vec<f64>, Vec<f64>)]) -> Vec<Norm> {
    let numbers = |suffix: &str| {
        let name = format!("{}.{suffix}", weight_name(scene)?);
        scene.vector(&name).filter(|vector| vector.len() == width)
    };
    let Some(weight) = numbers("weight") else {
        return Vec::new();
    };
    let bias = numbers("bias").unwrap_or_else(|| vec![0.0; width]);
    let mut eps: Vec<f64> = USUAL_EPS.to_vec();
    eps.extend(scene.model.map(|model| model.hparams().norm_eps));
    let each = eps
        .iter()
        .flat_map(|eps| [false, true].map(|centred| (*eps, centred)));
    each.map(|(eps, centred)| {
        let norm = Norm {
            centred,
            eps,
            weight: weight.clone(),
            bias: bias.clone(),
            reference_residual: 0.0,
            is_known: true,
        };
        judged(norm, samples)
    })
    .collect()
}

/// Weights that make the reference's outputs of its inputs: least squares, lane by lane.
fn fitted(width: usize, samples: &[(Vec<f64>, Vec<f64>)]) -> Vec<Norm> {
    let each = USUAL_EPS
        .iter()
        .flat_map(|eps| [false, true].map(|centred| (*eps, centred)));
    each.map(|(eps, centred)| {
        let units: Vec<Vec<f64>> = samples
            .iter()
            .map(|(x, _)| {
                let (row, square) = prepared(x, centred);
                let factor = inverse_root(square, eps);
                row.iter().map(|x| x * factor).collect()
            })
            .collect();
        let (mut weight, mut bias) = (vec![0.0; width], vec![0.0; width]);
        for lane in 0..width {
            let pairs = units
                .iter()
                .zip(samples)
                .map(|(unit, (_, y))| (unit[lane], y[lane]));
            // A bias can only be told from a weight where there are more rows than both.
            (weight[lane], bias[lane]) = line(pairs, centred && samples.len() > 2);
        }
        let norm = Norm {
            centred,
            eps,
            weight,
            bias,
            reference_residual: 0.0,
            is_known: false,
        };
        judged(norm, samples)
    })
    .collect()
}

/// Slope and, where asked for, offset of y over x by least squares.
fn line(pairs: impl Iterator<Item = (f64, f64)>, with_offset: bool) -> (f64, f64) {
    let (mut n, mut x_sum, mut y_sum, mut xx, mut xy) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (x, y) in pairs {
        n += 1.0;
        x_sum += x;
        y_sum += y;
        xx += x * x;
        xy += x * y;
    }
    let spread = n * xx - x_sum * x_sum;
    if with_offset && spread > 1e-12 * n * xx {
        let slope = (n * xy - x_sum * y_sum) / spread;
        return (slope, (y_sum - slope * x_sum) / n);
    }
    (if xx > 0.0 { xy / xx } else { 0.0 }, 0.0)
}
