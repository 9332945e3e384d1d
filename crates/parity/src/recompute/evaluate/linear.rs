//! Products with a matrix of the model.

use super::kernels::{has_kernel, kernel_product};
use super::product::multiply;
use super::round::{LONG_BLOCK, q8_k};
use super::{Context, Failure};
use crate::recompute::kind::{Linear, View, WeightLayout};
use crate::recompute::weights::{Arithmetic, Weight, Weights};
use crate::tensor::Dense;

impl Context<'_> {
    pub(super) fn linear(&self, linear: &Linear, x: &Dense) -> Result<Dense, Failure> {
        let view = &linear.weight;
        let tokens = x.n_rows();
        let mut out = self.product(view, x)?;
        let outputs = out.data.len() / tokens.max(1);
        if let Some(name) = &linear.bias {
            let bias = self.tensor(name)?;
            let at = |output: usize| view.rows.as_ref().map_or(output, |rows| rows[output]);
            let bias: Option<Vec<f64>> = (0..outputs)
                .map(|output| bias.data.get(at(output)).map(|b| f64::from(*b)))
                .collect();
            let bias =
                bias.ok_or_else(|| Failure::Shape(format!("`{name}` has not {outputs} elements")))?;
            for row in out.data.chunks_mut(outputs.max(1)) {
                for (value, bias) in row.iter_mut().zip(&bias) {
                    *value += bias;
                }
            }
        }
        for value in &mut out.data {
            *value *= linear.scale;
            if let Some(cap) = linear.cap {
                *value = cap * (*value / cap).tanh();
            }
        }
        let shape = [&[tokens], linear.row_shape.as_slice()].concat();
        let found = out.shape.clone();
        out.reshaped(shape.clone()).ok_or_else(|| {
            Failure::Shape(format!("`{}` gives {found:?}, not {shape:?}", view.name))
        })
    }

    /// `[tokens, outputs]`.
    fn product(&self, view: &View, x: &Dense) -> Result<Dense, Failure> {
        let misfit = || {
            let (name, inputs) = (&view.name, x.row_len());
            Failure::Shape(format!("`{name}` does not take rows of {inputs} elements"))
        };
        if view.columns.is_some() || view.layout != WeightLayout::AsStored {
            // No engine computes this on purpose: there is no arithmetic of its own to emulate.
            return self.product_of(&viewed(view, self.tensor(&view.name)?)?, x, misfit);
        }
        let whole = matmul(self.weights, &view.name, x, self.arithmetic)?;
        let Some(rows) = &view.rows else {
            return Ok(whole);
        };
        let mut data = Vec::with_capacity(rows.len() * whole.n_rows());
        for token in 0..whole.n_rows() {
            let row = whole.row(token);
            for output in rows {
                data.push(*row.get(*output).ok_or_else(misfit)?);
            }
        }
        Ok(Dense {
            shape: vec![whole.n_rows(), rows.len()],
            data,
        })
    }

    fn product_of(
        &self,
        weight: &Weight,
        x: &Dense,
        misfit: impl Fn() -> Failure,
    ) -> Result<Dense, Failure> {
        let inputs = weight.row_len();
        if inputs != x.row_len() {
            return Err(misfit());
        }
        Ok(Dense {
            shape: vec![x.n_rows(), weight.shape[0]],
            data: multiply(&x.data, inputs, &weight.data),
        })
    }
}

/// Rows of `x` times the transpose of a matrix as it is stored, `[rows of x, outputs]`, in any arithmetic.
pub(crate) fn matmul(
    weights: &dyn Weights,
    name: &str,
    x: &Dense,
    arithmetic: Arithmetic,
) -> Result<Dense, Failure> {
    let info = weights.hparams().tensors.get(name);
    let info = info.ok_or_else(|| Failure::NoWeight(name.to_owned()))?;
    let product = match arithmetic {
        Arithmetic::LongBlocks => {
            let rounded = in_long_blocks(name, &info.dtype, x)?;
            weights.matmul(name, &rounded, Arithmetic::F64)?
        }
        one if has_kernel(one) => {
            let outputs = info.shape.iter().rev().skip(1).product();
            Some(kernel_product(weights, one, name, 0..outputs, x)?)
        }
        other => weights.matmul(name, x, other)?,
    };
    product.ok_or_else(|| {
        let inputs = x.row_len();
        Failure::Shape(format!("`{name}` does not take rows of {inputs} elements"))
    })
}

/// `x` as [`Arithmetic::LongBlocks`] rounds it for a matrix of this storage type.
fn in_long_blocks(name: &str, dtype: &str, x: &Dense) -> Result<Dense, Failure> {
    if !dtype.eq_ignore_ascii_case("q8_0") || !x.row_len().is_multiple_of(LONG_BLOCK) {
        return Err(Failure::NotEmulated(format!("`{name}` in long blocks")));
    }
    let mut rounded = x.clone();
    rounded.data.chunks_mut(LONG_BLOCK).for_each(q8_k);
    Ok(rounded)
}

/// The matrix as the view reads it, `[outputs, inputs]`.
fn viewed(view: &View, weight: Weight) -> Result<Weight, Failure> {
    let misfit = || Failure::Shape(format!("`{}` cannot be read like this", view.name));
    let &[outputs, inputs] = weight.shape.as_slice() else {
        return Err(misfit());
    };
    let total = weight.data.len();
    let row = |output: usize| view.rows.as_ref().map_or(output, |rows| rows[output]);
    let column = |input: usize| {
        let columns = view.columns.as_ref();
        columns.map_or(Some(input), |columns| columns.get(input).copied())
    };
    let outputs_read = view.rows.as_ref().map_or(outputs, Vec::len);
    let mut data = Vec::with_capacity(outputs_read * inputs);
    for output in (0..outputs_read).map(row) {
        for input in 0..inputs {
            let input = column(input).ok_or_else(misfit)?;
            let at = match view.layout {
                WeightLayout::AsStored => output * inputs + input,
                WeightLayout::Reinterpreted => input * outputs + output,
                WeightLayout::Leading { elements } => (output * elements + input) % total.max(1),
            };
            data.push(*weight.data.get(at).ok_or_else(misfit)?);
        }
    }
    Ok(Weight {
        shape: vec![outputs_read, inputs],
        data: data.into(),
        dtype: weight.dtype,
    })
}
