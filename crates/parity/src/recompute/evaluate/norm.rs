//! Norms.

use super::{Context, Failure};
use crate::recompute::formula::{inverse_root, normed, prepare};
use crate::recompute::kind::{Factor, Norm, Statistic};
use crate::recompute::weights::Weight;
use crate::tensor::Dense;

impl Context<'_> {
    /// Root mean square (Zhang & Sennrich 2019) and layer normalisation (Ba et al. 2016), and what they are mistaken for.
    pub(super) fn norm(&self, norm: &Norm, x: &Dense) -> Result<Dense, Failure> {
        if norm.skipped {
            return Ok(x.clone());
        }
        if norm.group == 0 || !x.row_len().is_multiple_of(norm.group) {
            return Err(Failure::Shape(format!(
                "rows of {} elements are not groups of {}",
                x.row_len(),
                norm.group
            )));
        }
        let weight = match norm.factor {
            Factor::One => None,
            Factor::Weight | Factor::OnePlus => Some(self.tensor(&norm.weight)?),
        };
        let bias = norm.bias.as_ref().map(|name| self.tensor(name));
        let bias = bias.transpose()?;
        let of = |tensor: &Option<Weight>, at: usize| {
            let tensor = tensor.as_ref().filter(|tensor| !tensor.data.is_empty());
            tensor.map(|tensor| f64::from(tensor.data[at % tensor.data.len()]))
        };
        let mut out = x.clone();
        for (index, group) in out.data.chunks_mut(norm.group).enumerate() {
            let n = group.len() as f64;
            let squares = prepare(group, norm.centred);
            let statistic = match norm.statistic {
                Statistic::Mean => squares / n,
                Statistic::Sum => squares,
                Statistic::Sample => squares / (n - 1.0),
            };
            let factor = match (norm.eps_outside, norm.inverted) {
                (false, false) => inverse_root(statistic, norm.eps),
                (false, true) => (statistic + norm.eps).sqrt(),
                (true, false) => 1.0 / (statistic.sqrt() + norm.eps),
                (true, true) => statistic.sqrt() + norm.eps,
            };
            // A weight as long as a head serves every head, one as long as a row is taken on.
            let first = index * norm.group;
            for (at, x) in (first..).zip(group.iter_mut()) {
                let weight = match (of(&weight, at), norm.factor) {
                    (Some(weight), Factor::OnePlus) => 1.0 + weight,
                    (Some(weight), Factor::Weight | Factor::One) => weight,
                    (None, _) => 1.0,
                };
                let bias = of(&bias, at).unwrap_or(0.0);
                *x = normed(*x, factor, norm.rounded, weight, bias);
            }
        }
        Ok(out)
    }
}
