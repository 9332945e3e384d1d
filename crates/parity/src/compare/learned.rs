//! What a reference trace teaches of its model, where no file of it is at hand.
//!
//! Most operations have no weights, and a norm's can be read off its input and output. That the formulas fit is not
//! taken for granted: whoever uses them sees first whether the reference obeys them.

use crate::align::{Place, Stage};
use crate::error::Error;
use crate::recompute::{
    Arithmetic, Form, Hparams, Hypothesis, Inputs, RopeScaling, TensorInfo, Weight, Weights,
    distance, operation, recompute,
};
use crate::tensor::Dense;
use crate::trace::{Index, RunInfo};
use orch_log::format::Dtype;
use std::collections::BTreeMap;

/// Epsilons of norms in use.
const EPSILONS: [f64; 3] = [1e-5, 1e-6, 1e-12];

/// Bases of rotary embeddings in use.
const BASES: [f64; 6] = [1e4, 1e5, 1.5e5, 5e5, 1e6, 1e7];

/// Rows of a norm that its weight is read off.
const ROWS: i64 = 16;

/// Largest error that the weight may leave of a norm: one that is kept in bf16 leaves 4e-3, anything else of the order of 1.
const IS_NORM: f64 = 1e-2;

/// A model without matrices.
pub(super) struct Learned {
    hparams: Hparams,
    tensors: BTreeMap<String, Weight>,
}

impl Learned {
    /// Learns from a trace whose run file names a known architecture; `None` where it does not.
    pub(super) fn of(index: &Index<'_>, run: Option<&RunInfo>) -> Result<Option<Self>, Error> {
        let model = run.and_then(|run| run.model.as_ref());
        let name = model.and_then(|model| model.architecture.as_deref());
        let Some(form) = name.and_then(Form::of) else {
            return Ok(None);
        };
        let seq = index.sequences().first().copied().unwrap_or(0);
        let places: Vec<Place> = index.names().filter_map(Place::of).collect();
        let layers = places.iter().filter_map(|place| match place {
            Place::Layer(layer, _) => Some(*layer as usize + 1),
            _ => None,
        });
        let layers = layers
            .max()
            .max(
                model
                    .and_then(|model| model.layers)
                    .map(|layers| layers as usize),
            )
            .unwrap_or(0);
        // `[heads, lanes]` of some layer.
        let heads = |stages: &[Stage]| -> Result<Option<(usize, usize)>, Error> {
            let found = places
                .iter()
                .find(|place| matches!(place, Place::Layer(_, stage) if stages.contains(stage)));
            let Some(rows) = found.map(|place| first_rows(index, &place.name(), seq, 1)) else {
                return Ok(None);
            };
            Ok(rows?.and_then(|(_, rows)| match rows.shape.as_slice() {
                [_, heads, lanes] => Some((*heads, *lanes)),
                _ => None,
            }))
        };
        let (query_heads, lanes) = heads(&[Stage::QRope, Stage::Q])?.unwrap_or((1, 1));
        let (kv_heads, _) = heads(&[Stage::KRope, Stage::K])?.unwrap_or((query_heads, lanes));
        let (_, value_dim) = heads(&[Stage::V])?.unwrap_or((kv_heads, lanes));
        // Not always heads times lanes: qwen3 and gemma have a width of their own.
        let stream = |place: &&Place| {
            matches!(
                place,
                Place::Layer(_, Stage::AttnNorm | Stage::AttnResidual | Stage::FfnNorm)
            )
        };
        let streamed = match places.iter().find(stream) {
            Some(place) => first_rows(index, &place.name(), seq, 1)?,
            None => None,
        };
        let hparams = Hparams {
            form: *form,
            layers,
            embedding: streamed.map_or(query_heads * lanes, |(_, rows)| rows.row_len()),
            heads: query_heads,
            kv_heads,
            head_dim: lanes,
            value_dim,
            rope_dim: lanes,
            rope_theta: f64::NAN,
            rope_theta_window: f64::NAN,
            rope_scaling: RopeScaling::None,
            rope_amplitude: 1.0,
            norm_eps: EPSILONS[0],
            context_len: usize::MAX,
            original_context_len: usize::MAX,
            score_cap: None,
            logit_cap: None,
            window: None,
            window_pattern: 0,
            experts: None,
            expert_scale: 1.0,
            tensors: BTreeMap::new(),
            cache: Dtype::F32,
            rounds_products: false,
            on_gpu: false,
            run_context: None,
        };
        let mut learned = Self {
            hparams: hparams.for_run(run),
            tensors: BTreeMap::new(),
        };
        learned.note_structure(&places);
        learned.learn_norms(index, seq, &places)?;
        learned.learn_base(index, seq, &places)?;
        Ok(Some(learned))
    }

    /// Tensors whose presence decides which operations there are.
    fn note_structure(&mut self, places: &[Place]) {
        for place in places {
            let Place::Layer(layer, stage) = place else {
                continue;
            };
            let tensor = match stage {
                Stage::FfnGate => "ffn_gate",
                Stage::FfnRouter => "ffn_gate_inp",
                Stage::FfnSharedRouter => "ffn_gate_inp_shexp",
                _ => continue,
            };
            self.note(&format!("blk.{layer}.{tensor}.weight"), 1);
        }
        for place in places {
            if let Some(tensor) = norm_tensor(*place) {
                self.note(&tensor, 1);
            }
        }
    }

    fn note(&mut self, tensor: &str, len: usize) {
        let info = TensorInfo {
            shape: vec![len],
            dtype: "f32".to_owned(),
        };
        self.hparams.tensors.insert(tensor.to_owned(), info);
    }

    fn learn_norms(&mut self, index: &Index<'_>, seq: u64, places: &[Place]) -> Result<(), Error> {
        // A layer norm has a bias too, which two rows cannot tell from the weight.
        if self.hparams.form.layer_norm {
            return Ok(());
        }
        let mut best: Option<(usize, f64, f64, BTreeMap<String, Weight>)> = None;
        for eps in EPSILONS {
            self.hparams.norm_eps = eps;
            let (mut misfit, mut weights) = (0.0_f64, BTreeMap::new());
            for place in places {
                let Some(tensor) = norm_tensor(*place) else {
                    continue;
                };
                if let Some((weight, error)) = self.norm_weight(index, seq, *place)? {
                    misfit = misfit.max(error);
                    weights.insert(tensor, weight);
                }
            }
            let is_better = best.as_ref().is_none_or(|(most, least, ..)| {
                weights.len() > *most || (weights.len() == *most && misfit < *least)
            });
            if is_better {
                best = Some((weights.len(), misfit, eps, weights));
            }
        }
        if let Some((_, _, eps, weights)) = best {
            self.hparams.norm_eps = eps;
            self.tensors = weights;
        }
        Ok(())
    }

    /// The weight that fits best a norm's inputs and outputs, and the relative error that it leaves; `None` where they are
    /// not those of a norm, or too few rows are there to tell.
    fn norm_weight(
        &self,
        index: &Index<'_>,
        seq: u64,
        place: Place,
    ) -> Result<Option<(Weight, f64)>, Error> {
        let checkpoint = place.name();
        let Some(mut operation) = operation(&self.hparams, &checkpoint) else {
            return Ok(None);
        };
        let crate::recompute::Kind::Norm(norm) = &mut operation.kind else {
            return Ok(None);
        };
        norm.factor = crate::recompute::Factor::One;
        let group = norm.group;
        let Some((range, y)) = first_rows(index, &checkpoint, seq, ROWS)? else {
            return Ok(None);
        };
        let Ok(inputs) = Inputs::gather(&operation, index, seq, range)? else {
            return Ok(None);
        };
        let none = Hypothesis::none();
        let Ok(x) = recompute(&operation, &inputs, self, Arithmetic::F64, &none) else {
            return Ok(None);
        };
        if x.data.len() != y.data.len() || group == 0 || !tell(&x.data, group) {
            return Ok(None);
        }
        let (mut products, mut squares) = (vec![0.0; group], vec![0.0; group]);
        for (at, (x, y)) in x.data.iter().zip(&y.data).enumerate() {
            products[at % group] += x * y;
            squares[at % group] += x * x;
        }
        let weight: Vec<f64> = products
            .iter()
            .zip(&squares)
            .map(|(product, square)| if *square > 0.0 { product / square } else { 0.0 })
            .collect();
        let (mut error, mut size) = (0.0, 0.0);
        for (at, (x, y)) in x.data.iter().zip(&y.data).enumerate() {
            error += (x * weight[at % group] - y).powi(2);
            size += y * y;
        }
        let weight = Weight {
            shape: vec![group],
            data: weight.iter().map(|w| *w as f32).collect(),
            dtype: "f32".to_owned(),
        };
        let misfit = if size > 0.0 {
            (error / size).sqrt()
        } else {
            0.0
        };
        Ok((misfit < IS_NORM).then_some((weight, misfit)))
    }

    /// The base that the first rotated row past position 0 fits.
    fn learn_base(&mut self, index: &Index<'_>, seq: u64, places: &[Place]) -> Result<(), Error> {
        let Some(place) = places
            .iter()
            .find(|place| matches!(place, Place::Layer(_, Stage::QRope | Stage::KRope)))
        else {
            return Ok(());
        };
        let checkpoint = place.name();
        let Some(range) = index
            .positions(&checkpoint, seq)
            .into_iter()
            .max_by_key(|range| range.end)
        else {
            return Ok(());
        };
        let row = range.end - 1..range.end;
        let Some(found) = index.rows(&checkpoint, seq, row.clone())? else {
            return Ok(());
        };
        let mut best: Option<(f64, f64)> = None;
        for base in BASES {
            self.hparams.rope_theta = base;
            self.hparams.rope_theta_window = base;
            let Some(operation) = operation(&self.hparams, &checkpoint) else {
                break;
            };
            let Ok(inputs) = Inputs::gather(&operation, index, seq, row.clone())? else {
                break;
            };
            let none = Hypothesis::none();
            let expected = recompute(&operation, &inputs, self, Arithmetic::F64, &none);
            let Some(error) = expected.ok().map(|expected| distance(&expected, &found)) else {
                break;
            };
            if best.is_none_or(|(least, _)| error < least) {
                best = Some((error, base));
            }
        }
        let base = best.map_or(f64::NAN, |(_, base)| base);
        self.hparams.rope_theta = base;
        self.hparams.rope_theta_window = base;
        Ok(())
    }
}

impl Weights for Learned {
    fn hparams(&self) -> &Hparams {
        &self.hparams
    }

    fn tensor(&self, name: &str) -> Result<Option<Weight>, Error> {
        Ok(self.tensors.get(name).cloned())
    }

    fn matmul(&self, _: &str, _: &Dense, _: Arithmetic) -> Result<Option<Dense>, Error> {
        Ok(None)
    }
}

/// Whether rows of this width tell a norm from anything else: for one row, and others like it, there is a weight that makes any
/// output of any input.
fn tell(x: &[f64], width: usize) -> bool {
    let mut rows = x.chunks(width);
    let Some(first) = rows.next() else {
        return false;
    };
    let size: f64 = first.iter().map(|x| x * x).sum();
    let distance = |row: &[f64]| -> f64 {
        let lanes = row.iter().zip(first);
        lanes.map(|(a, b)| (a - b).powi(2)).sum()
    };
    // So much further apart than what a norm may leave.
    rows.any(|row| distance(row) > (10.0 * IS_NORM).powi(2) * size)
}

/// The weight of a norm.
fn norm_tensor(place: Place) -> Option<String> {
    let tensor = match place {
        Place::FinalNorm => return Some("output_norm.weight".to_owned()),
        Place::Layer(_, Stage::AttnNorm) => "attn_norm",
        Place::Layer(_, Stage::FfnNorm) => "ffn_norm",
        Place::Layer(_, Stage::QNorm) => "attn_q_norm",
        Place::Layer(_, Stage::KNorm) => "attn_k_norm",
        Place::Layer(_, Stage::AttnPostNorm) => "post_attention_norm",
        Place::Layer(_, Stage::FfnPostNorm) => "post_ffw_norm",
        _ => return None,
    };
    match place {
        Place::Layer(layer, _) => Some(format!("blk.{layer}.{tensor}.weight")),
        _ => None,
    }
}

/// The first rows of a name, at most `limit`, of as many passes as that takes.
fn first_rows(
    index: &Index<'_>,
    name: &str,
    seq: u64,
    limit: i64,
) -> Result<Option<(std::ops::Range<i64>, Dense)>, Error> {
    let mut passes = index.positions(name, seq).into_iter();
    let Some(mut range) = passes.next() else {
        return Ok(None);
    };
    for next in passes {
        if range.end - range.start >= limit || next.start != range.end {
            break;
        }
        range.end = next.end;
    }
    range.end = range.end.min(range.start + limit);
    Ok(index
        .rows(name, seq, range.clone())?
        .map(|rows| (range, rows)))
}
