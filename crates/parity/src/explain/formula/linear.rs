//! Products with weights of the model file.

use crate::align::Stage;
use crate::explain::numbers::residual;
use crate::explain::{Scene, Side, Site};
use crate::recompute::{Arithmetic, Weight, Weights, matmul};
use crate::tensor::Dense;
use std::collections::BTreeSet;
use std::ops::Range;
use std::rc::Rc;

/// A matrix of a model file, or some of its rows.
#[derive(Clone)]
pub struct Matrix {
    /// Its name in the file.
    pub name: String,
    /// Which rows are meant: one matrix can hold several projections.
    pub rows: Range<usize>,
    /// The whole matrix.
    pub weight: Rc<Weight>,
}

impl Matrix {
    /// Elements of a row.
    pub fn columns(&self) -> usize {
        self.weight.shape.last().copied().unwrap_or(1)
    }

    /// One element.
    pub fn at(&self, row: usize, column: usize) -> f64 {
        f64::from(self.weight.data[(self.rows.start + row) * self.columns() + column])
    }

    /// All elements meant, row by row.
    pub fn data(&self) -> &[f32] {
        &self.weight.data[self.rows.start * self.columns()..self.rows.end * self.columns()]
    }
}

/// A residual that leaves no other arithmetic to be tried.
const EXACT: f64 = 2e-6;

/// A projection of the reference, with the candidate's own input.
pub struct Linear<'a> {
    /// The candidate's input.
    pub x: Rc<Dense>,
    /// The weights.
    pub matrix: Matrix,
    /// The bias, if the model has one here.
    pub bias: Option<Vec<f64>>,
    /// How the candidate multiplies, as far as its other projections show.
    pub arithmetic: Arithmetic,
    /// The product with the candidate's input, without bias.
    pub product: Dense,
    /// What the file's weights leave unexplained of the reference.
    pub reference_residual: f64,
    model: &'a dyn Weights,
}

/// The name of a projection's weights without `.weight`, and its place in a matrix that holds several.
fn slot(scene: &Scene<'_>, site: &Site) -> Option<(String, Option<Stage>)> {
    use Stage as S;
    let Some(stage) = site.stage() else {
        let model = scene.model?;
        let own = ["output", "token_embd"];
        let name = own
            .into_iter()
            .find(|name| model.hparams().has(&format!("{name}.weight")))?;
        return Some((name.to_owned(), None));
    };
    let (name, fused) = match stage {
        S::Q => ("attn_q", Some("attn_qkv")),
        S::K => ("attn_k", Some("attn_qkv")),
        S::V => ("attn_v", Some("attn_qkv")),
        S::AttnOut => ("attn_output", None),
        S::FfnGate => ("ffn_gate", Some("ffn_up")),
        S::FfnUp => ("ffn_up", None),
        S::FfnOut => ("ffn_down", None),
        S::FfnRouter => ("ffn_gate_inp", None),
        S::FfnSharedRouter => ("ffn_gate_inp_shexp", None),
        S::FfnSharedGate => ("ffn_gate_shexp", None),
        S::FfnSharedUp => ("ffn_up_shexp", None),
        S::FfnSharedOut => ("ffn_down_shexp", None),
        _ => return None,
    };
    let full = |name: &str| Some(format!("blk.{}.{name}", site.layer?));
    let exists = |name: &str| {
        scene
            .model
            .is_some_and(|model| model.hparams().has(&format!("{name}.weight")))
    };
    let own = full(name)?;
    if exists(&own) {
        return Some((own, None));
    }
    let fused = full(fused?)?;
    exists(&fused).then_some((fused, Some(stage)))
}

/// Rows of a fused matrix that make one stage; `total` rows, of which the stage has `width`.
fn part(stage: Stage, total: usize, width: usize, scene: &Scene<'_>) -> Option<Range<usize>> {
    let other = |stage: Stage| {
        let rows = scene.stage(Side::Reference, stage)?;
        Some(rows.data.len() / rows.shape[0].max(1))
    };
    let start = match stage {
        Stage::Q | Stage::FfnGate => 0,
        Stage::K => other(Stage::Q)?,
        Stage::V => other(Stage::Q)? + other(Stage::K)?,
        Stage::FfnUp => total.checked_sub(width)?,
        _ => return None,
    };
    (start + width <= total).then_some(start..start + width)
}

impl<'a> Linear<'a> {
    pub(super) fn find(scene: &Scene<'a>) -> Option<Self> {
        let model = scene.model?;
        let (name, fused) = slot(scene, &scene.site)?;
        let weight = scene.matrix_of(&format!("{name}.weight"))?;
        let width = scene.candidate.data.len() / scene.candidate.shape[0].max(1);
        let total = weight.data.len() / weight.shape.last()?;
        let rows = match fused {
            Some(stage) => part(stage, total, width, scene)?,
            // Gate and up projection in one matrix that has the name of the latter.
            None if total == 2 * width => part(scene.site.stage()?, total, width, scene)?,
            None => 0..total,
        };
        if rows.len() != width {
            return None;
        }
        let bias = scene.vector(&format!("{name}.bias"));
        let bias = bias.and_then(|bias| bias.get(rows.clone()).map(<[f64]>::to_vec));
        let x = scene.input(Side::Candidate)?;
        let reference_x = scene.input(Side::Reference)?;
        let matrix = Matrix {
            name: format!("{name}.weight"),
            rows,
            weight,
        };
        if x.data.len() != matrix.columns() * scene.candidate.shape[0] {
            return None;
        }
        let mut linear = Self {
            product: Dense {
                shape: Vec::new(),
                data: Vec::new(),
            },
            x,
            matrix,
            bias,
            arithmetic: Arithmetic::F64,
            reference_residual: f64::INFINITY,
            model,
        };
        let shape = scene.candidate.shape.clone();
        for arithmetic in Arithmetic::EVERY {
            let made = linear.by(&reference_x, arithmetic, &shape);
            let made = made.map(|made| linear.with_bias(&made, 1.0));
            let found = made.map_or(f64::INFINITY, |made| scene.reference_residual(&made));
            linear.reference_residual = linear.reference_residual.min(found);
            if linear.reference_residual < EXACT {
                break;
            }
        }
        linear.arithmetic = linear.candidates_arithmetic(scene);
        linear.product = linear.by(&Rc::clone(&linear.x), linear.arithmetic, &shape)?;
        Some(linear)
    }

    /// The candidate's arithmetic, from the same projection of other blocks, whose weights the mistake need not
    /// concern: whichever fits one of them better.
    fn candidates_arithmetic(&self, scene: &Scene<'a>) -> Arithmetic {
        if self.matrix.weight.dtype.eq_ignore_ascii_case("f32") {
            return Arithmetic::F64;
        }
        let Some((Some(layer), Some(stage))) = Some((scene.site.layer, scene.site.stage())) else {
            return Arithmetic::F64;
        };
        let mut best = (f64::INFINITY, Arithmetic::F64);
        for other in [layer.wrapping_sub(1), layer + 1] {
            let checkpoint = crate::align::Place::Layer(other, stage).name();
            let Some(other) = Scene::new(scene.known, &checkpoint, scene.tokens.clone()) else {
                continue;
            };
            let Some((name, None)) = slot(&other, &other.site) else {
                continue;
            };
            let Some(x) = other.input(Side::Candidate) else {
                continue;
            };
            let bias = scene.vector(&format!("{name}.bias"));
            for arithmetic in Arithmetic::EVERY {
                if best.0 < EXACT {
                    return best.1;
                }
                let name = format!("{name}.weight");
                let Ok(mut made) = matmul(self.model, &name, &flat(&x), arithmetic) else {
                    continue;
                };
                if let Some(bias) = &bias {
                    made.data
                        .iter_mut()
                        .zip(bias.iter().cycle())
                        .for_each(|(y, b)| *y += b);
                }
                let found = residual(
                    other
                        .candidate
                        .data
                        .iter()
                        .copied()
                        .zip(made.data.iter().copied()),
                );
                if made.data.len() == other.candidate.data.len() && found < best.0 {
                    best = (found, arithmetic);
                }
            }
        }
        best.1
    }

    /// The product of any input with the weights in the given arithmetic.
    fn by(&self, x: &Dense, arithmetic: Arithmetic, shape: &[usize]) -> Option<Dense> {
        if arithmetic == Arithmetic::F64 {
            return Some(self.through(x, shape, &|row, column| self.matrix.at(row, column)));
        }
        let whole = matmul(self.model, &self.matrix.name, &flat(x), arithmetic).ok()?;
        let total = whole.data.len() / whole.shape[0].max(1);
        let data = whole
            .data
            .chunks(total)
            .flat_map(|row| row[self.matrix.rows.clone()].iter().copied())
            .collect();
        Some(Dense {
            shape: shape.to_vec(),
            data,
        })
    }

    /// The product of another input with the right weights.
    pub fn of(&self, x: &Dense) -> Option<Dense> {
        self.by(x, self.arithmetic, &self.product.shape)
    }

    /// The product of an input with any matrix of the same number of rows.
    pub fn through(
        &self,
        x: &Dense,
        shape: &[usize],
        weight: &dyn Fn(usize, usize) -> f64,
    ) -> Dense {
        let (rows, columns) = (self.matrix.rows.len(), self.matrix.columns());
        let inputs: Vec<&[f64]> = x.data.chunks(columns).collect();
        let mut data = vec![0.0; inputs.len() * rows];
        let mut line = vec![0.0; columns];
        for row in 0..rows {
            line.iter_mut()
                .enumerate()
                .for_each(|(column, slot)| *slot = weight(row, column));
            for (token, input) in inputs.iter().enumerate() {
                data[token * rows + row] = line.iter().zip(*input).map(|(w, x)| w * x).sum();
            }
        }
        Dense {
            shape: shape.to_vec(),
            data,
        }
    }

    /// As [`Linear::through`], with the candidate's input, in its shape, and with the bias.
    pub fn with_weights(&self, weight: &dyn Fn(usize, usize) -> f64) -> Dense {
        let made = self.through(&self.x, &self.product.shape, weight);
        self.with_bias(&made, 1.0)
    }

    /// With so many times the bias.
    pub fn with_bias(&self, product: &Dense, times: f64) -> Dense {
        let mut sum = product.clone();
        if let Some(bias) = &self.bias {
            let lanes = sum.data.iter_mut().zip(bias.iter().cycle());
            lanes.for_each(|(sum, bias)| *sum += times * bias);
        }
        sum
    }

    /// All sizes of the model's matrices.
    pub fn sizes(&self) -> BTreeSet<usize> {
        let tensors = self.model.hparams().tensors.values();
        tensors
            .flat_map(|info| info.shape.iter().copied())
            .collect()
    }

    /// The first element of the matrix in its file's order, for hypotheses that read it with other strides.
    pub fn flat_weight(&self, index: usize) -> f64 {
        f64::from(self.matrix.data()[index])
    }
}

/// Rows with all else flattened.
fn flat(x: &Dense) -> Dense {
    let rows = x.shape[0];
    Dense {
        shape: vec![rows, x.data.len() / rows.max(1)],
        data: x.data.clone(),
    }
}
