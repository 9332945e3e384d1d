//! Norms.

use super::round::round_to;
use super::{Context, Failure};
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
            if norm.centred {
                let mean = group.iter().sum::<f64>() / n;
                group.iter_mut().for_each(|x| *x -= mean);
            }
            let squares: f64 = group.iter().map(|x| x * x).sum();
            let statistic = match norm.statistic {
                Statistic::Mean => squares / n,
                Statistic::Sum => squares,
                Statistic::Sample => squares / (n - 1.0),
            };
            let root = if norm.eps_outside {
                statistic.sqrt() + norm.eps
            } else {
                (statistic + norm.eps).sqrt()
            };
            let factor = if norm.inverted { root } else { 1.0 / root };
            // A weight as long as a head serves every head, one as long as a row is taken on.
            let first = index * norm.group;
            for (at, x) in (first..).zip(group.iter_mut()) {
                *x *= factor;
                if let Some(dtype) = norm.rounded {
                    *x = round_to(dtype, *x);
                }
                if let Some(weight) = of(&weight, at) {
                    *x *= match norm.factor {
                        Factor::OnePlus => 1.0 + weight,
                        Factor::Weight | Factor::One => weight,
                    };
                }
                *x += of(&bias, at).unwrap_or(0.0);
            }
        }
        Ok(out)
    }
}
