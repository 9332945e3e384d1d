//! Mixtures of experts.

use super::kernels::{has_kernel, kernel_product};
use super::{Context, Failure};
use crate::recompute::kind::{ExpertLinear, ExpertWeights};
use crate::recompute::weights::Arithmetic;
use crate::tensor::Dense;
use std::collections::BTreeMap;

/// Softmax of each row.
pub(super) fn softmax(x: &Dense) -> Dense {
    let mut out = x.clone();
    for row in out.data.chunks_mut(x.row_len().max(1)) {
        let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        row.iter_mut().for_each(|x| *x = (*x - largest).exp());
        let sum: f64 = row.iter().sum();
        row.iter_mut().for_each(|x| *x /= sum);
    }
    out
}

/// Indices of the `count` largest elements of each row, the largest first, of equal ones the lower first.
pub(crate) fn choose(x: &Dense, count: usize) -> Dense {
    let count = count.min(x.row_len());
    let mut data = Vec::with_capacity(x.n_rows() * count);
    for row in x.data.chunks(x.row_len().max(1)) {
        let mut order: Vec<usize> = (0..row.len()).collect();
        order.sort_by(|a, b| row[*b].total_cmp(&row[*a]));
        data.extend(order.iter().take(count).map(|index| *index as f64));
    }
    Dense {
        shape: vec![x.n_rows(), count],
        data,
    }
}

/// The weights of the chosen.
pub(crate) fn weights(
    rule: &ExpertWeights,
    probs: &Dense,
    chosen: &Dense,
) -> Result<Dense, Failure> {
    let mut out = chosen.clone();
    let experts = probs.row_len();
    if probs.n_rows() != chosen.n_rows() {
        return Err(misfit("probabilities and choices", probs, chosen));
    }
    for (row, weights) in out.data.chunks_mut(chosen.row_len().max(1)).enumerate() {
        for weight in weights.iter_mut() {
            let expert = index(*weight, experts)?;
            *weight = probs.row(row)[expert];
        }
        let sum: f64 = if rule.normalised {
            weights.iter().sum()
        } else {
            1.0
        };
        weights
            .iter_mut()
            .for_each(|weight| *weight *= rule.scale / sum);
    }
    Ok(out)
}

/// The experts' weighted outputs, plus those of a shared expert: outputs `[tokens, chosen, n]`, weights
/// `[tokens, chosen]`, shared output `[tokens, n]`, its weight `[tokens, 1]`.
pub(crate) fn sum(inputs: &[Dense]) -> Result<Dense, Failure> {
    let [outputs, weights, shared @ ..] = inputs else {
        return Err(Failure::Shape("experts without weights".to_owned()));
    };
    let &[tokens, chosen, n] = outputs.shape.as_slice() else {
        return Err(misfit("experts and weights", outputs, weights));
    };
    if weights.data.len() != tokens * chosen {
        return Err(misfit("experts and weights", outputs, weights));
    }
    let mut out = Dense::zeros(vec![tokens, n]);
    let mut add = |row: usize, from: &[f64], weight: f64| {
        for (to, x) in out.data[row * n..][..n].iter_mut().zip(from) {
            *to += x * weight;
        }
    };
    for (slot, weight) in weights.data.iter().enumerate() {
        add(slot / chosen, &outputs.data[slot * n..][..n], *weight);
    }
    if let [output, weight] = shared {
        if output.data.len() != tokens * n || weight.data.len() != tokens {
            return Err(misfit("the shared expert and its weight", output, weight));
        }
        for row in 0..tokens {
            add(row, output.row(row), weight.data[row]);
        }
    }
    Ok(out)
}

impl Context<'_> {
    /// Each token's product with each expert that it chose, `[tokens, chosen, outputs]`; the input has one row a token,
    /// or one for each chosen expert.
    pub(super) fn expert_linear(
        &self,
        linear: &ExpertLinear,
        x: &Dense,
        chosen: &Dense,
    ) -> Result<Dense, Failure> {
        if self.arithmetic == Arithmetic::LongBlocks {
            let name = self.arithmetic.name();
            return Err(Failure::NotEmulated(format!("experts in {name}")));
        }
        let info = self.weights.hparams().tensors.get(&linear.weight);
        let info = info.ok_or_else(|| Failure::NoWeight(linear.weight.clone()))?;
        let &[experts, outputs, inputs] = info.shape.as_slice() else {
            return Err(Failure::Shape(format!(
                "`{}` has no experts",
                linear.weight
            )));
        };
        let slots = chosen.data.len();
        let per_token = chosen.row_len().max(1);
        let shared = match x.data.len() {
            n if n == slots * inputs => false,
            n if n * per_token == slots * inputs => true,
            _ => return Err(misfit("activations and choices", x, chosen)),
        };
        let mut by_expert: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (slot, expert) in chosen.data.iter().enumerate() {
            let expert = index(*expert, experts)?;
            by_expert.entry(expert).or_default().push(slot);
        }
        let mut out = Dense::zeros(vec![chosen.n_rows(), per_token, outputs]);
        for (expert, slots) in by_expert {
            let row = |slot: usize| if shared { slot / per_token } else { slot };
            let rows = slots
                .iter()
                .flat_map(|slot| &x.data[row(*slot) * inputs..][..inputs]);
            let rows = Dense {
                shape: vec![slots.len(), inputs],
                data: rows.copied().collect(),
            };
            let product = match self.arithmetic {
                one if has_kernel(one) => {
                    let matrix = expert * outputs..(expert + 1) * outputs;
                    let name = &linear.weight;
                    Some(kernel_product(self.weights, one, name, matrix, &rows)?)
                }
                other => {
                    let weights = self.weights;
                    weights.expert_matmul(&linear.weight, expert, &rows, other)?
                }
            };
            let product = product.ok_or_else(|| misfit("activations and choices", x, chosen))?;
            for (slot, row) in slots.iter().zip(product.data.chunks_exact(outputs.max(1))) {
                out.data[slot * outputs..][..outputs].copy_from_slice(row);
            }
        }
        Ok(out)
    }
}

/// An expert's number.
fn index(id: f64, experts: usize) -> Result<usize, Failure> {
    let index = id as usize;
    if index as f64 == id && index < experts {
        Ok(index)
    } else {
        Err(Failure::Shape(format!(
            "there is no expert {id} of {experts}"
        )))
    }
}

fn misfit(what: &str, a: &Dense, b: &Dense) -> Failure {
    Failure::Shape(format!("{what} of {:?} and {:?}", a.shape, b.shape))
}
