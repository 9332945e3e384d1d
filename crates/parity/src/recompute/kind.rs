//! The formulas, with everything that can be got wrong as a field.

use orch_log::format::Dtype;

/// How a checkpoint is computed from its inputs.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Rows of a table by token id. Inputs: `tokens`.
    Embed(Embed),
    /// A norm of rows. Inputs: the stream, queries or keys.
    Norm(Norm),
    /// Rows times a weight. Inputs: the activations.
    Linear(Linear),
    /// Rotation. Inputs: queries or keys.
    Rope(Rope),
    /// Scaled dot products. Inputs: queries, all keys.
    Scores(Scores),
    /// Softmax under a mask. Inputs: scores.
    Probs(Probs),
    /// Probabilities times values. Inputs: probabilities, all values.
    Context(Attend),
    /// A sum of its inputs.
    Residual(Residual),
    /// A non-linearity. Inputs: the gate and, where there is one, the other factor.
    Activate(Activate),
    /// Softmax over all elements of a row (router).
    Softmax,
    /// Ids of the largest elements, the largest first. Inputs: router probabilities.
    Choose {
        /// How many.
        count: usize,
    },
    /// Weights of the chosen experts. Inputs: router probabilities, chosen ids.
    ExpertWeights(ExpertWeights),
    /// A product with each token's chosen experts. Inputs: activations, chosen ids.
    ExpertLinear(ExpertLinear),
    /// 1 / (1 + e⁻ˣ).
    Sigmoid,
    /// Sum of the experts' outputs. Inputs: outputs, weights, and with a shared expert its output and weight.
    ExpertSum,
}

impl Kind {
    /// One word.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Embed(_) => "embed",
            Self::Norm(_) => "norm",
            Self::Linear(_) => "linear",
            Self::Rope(_) => "rope",
            Self::Scores(_) => "scores",
            Self::Probs(_) => "probs",
            Self::Context(_) => "context",
            Self::Residual(_) => "residual",
            Self::Activate(_) => "activate",
            Self::Softmax => "softmax",
            Self::Choose { .. } => "choose",
            Self::ExpertWeights(_) => "expert_weights",
            Self::ExpertLinear(_) => "expert_linear",
            Self::Sigmoid => "sigmoid",
            Self::ExpertSum => "expert_sum",
        }
    }
}

/// Rows of the embedding table.
#[derive(Clone, Debug, PartialEq)]
pub struct Embed {
    /// `[vocabulary, embedding]`.
    pub table: String,
    /// Learned positions, `[context, embedding]`, added.
    pub positions: Option<String>,
    /// Which row of the positions belongs to a token.
    pub position: Positions,
    /// Factor of the sum (√embedding in Gemma).
    pub scale: f64,
}

/// `(x − mean) / √(statistic + eps) · weight + bias`; the mean only where `centred`.
#[derive(Clone, Debug, PartialEq)]
pub struct Norm {
    /// Subtracts the mean first, as a layer norm does.
    pub centred: bool,
    /// What is under the root.
    pub statistic: Statistic,
    /// Added to the statistic.
    pub eps: f64,
    /// Adds `eps` to the root instead.
    pub eps_outside: bool,
    /// Multiplies with the root instead of dividing by it.
    pub inverted: bool,
    /// Elements that share a statistic: a row, or one head of it.
    pub group: usize,
    /// Tensor that multiplies.
    pub weight: String,
    /// What is done with it.
    pub factor: Factor,
    /// Tensor that is added.
    pub bias: Option<String>,
    /// Rounds to this type before the weight.
    pub rounded: Option<Dtype>,
    /// Does nothing at all.
    pub skipped: bool,
}

/// What a norm divides by the root of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistic {
    /// Mean of squares (variance where centred).
    Mean,
    /// Their sum.
    Sum,
    /// Sum over n − 1.
    Sample,
}

/// What multiplies the normalised values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Factor {
    /// The weight as stored.
    Weight,
    /// 1 + weight.
    OnePlus,
    /// Nothing.
    One,
}

/// `x · Wᵀ + bias`, scaled, soft-capped.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    /// The matrix.
    pub weight: View,
    /// Tensor that is added; where the matrix is a part, so is this.
    pub bias: Option<String>,
    /// Factor of the result.
    pub scale: f64,
    /// Soft cap c: c · tanh(x / c).
    pub cap: Option<f64>,
    /// Shape of one row of the result.
    pub row_shape: Vec<usize>,
}

/// How a matrix `[outputs, inputs]` is read from the file.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// Name in the file.
    pub name: String,
    /// Stored row of each output, where it is not all in order: a part of a fused projection, a permutation.
    pub rows: Option<Vec<usize>>,
    /// Stored column that each input meets, where they are not in order.
    pub columns: Option<Vec<usize>>,
    /// How elements become rows.
    pub layout: WeightLayout,
}

impl View {
    /// The whole tensor as it is stored.
    pub fn of(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            rows: None,
            columns: None,
            layout: WeightLayout::AsStored,
        }
    }
}

/// How the elements of a stored matrix become rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightLayout {
    /// Rows are outputs.
    AsStored,
    /// The same elements read as `[inputs, outputs]` and transposed: for a square matrix, its transpose.
    Reinterpreted,
    /// Row r begins at element r × `elements`, wrapping at the end: a wrong leading dimension.
    Leading {
        /// Elements from row to row.
        elements: usize,
    },
}

/// Rotation of pairs of lanes.
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    /// Leading lanes of a head that are rotated.
    pub dims: usize,
    /// Base of the frequencies.
    pub theta: f64,
    /// The angle falls with θ^(−`exponent`·i/dims); 2.
    pub exponent: f64,
    /// Which lanes are a pair.
    pub pairing: Pairing,
    /// Where the rotated lanes go; as `pairing`.
    pub output: Pairing,
    /// Which position a row has.
    pub position: Positions,
    /// What the frequencies are changed by.
    pub frequencies: Frequencies,
    /// Factor of cosine and sine.
    pub amplitude: f64,
    /// Turns the other way.
    pub reversed: bool,
    /// How often: 1.
    pub times: u32,
    /// Keeps cosine and sine in this type.
    pub rounded: Option<Dtype>,
}

/// Which lanes are rotated together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairing {
    /// 2i and 2i + 1 (ggml's NORM).
    Adjacent,
    /// i and i + dims / 2 (ggml's NEOX).
    Halves,
}

/// Which position a row has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Positions {
    /// Its own times `scale` plus `offset`, not below 0.
    Absolute {
        /// Added.
        offset: f64,
        /// Factor (1 / the factor of linear scaling).
        scale: f64,
    },
    /// Its number in the pass.
    Row,
    /// That of the first row of the pass.
    First,
    /// The number of the head.
    Head,
}

impl Positions {
    /// The row's own position.
    pub const OWN: Self = Self::Absolute {
        offset: 0.0,
        scale: 1.0,
    };
}

/// What the frequencies of a rotation are changed by.
#[derive(Clone, Debug, PartialEq)]
pub enum Frequencies {
    /// Nothing.
    Plain,
    /// A tensor of the file: one divisor for each pair.
    Tensor(String),
    /// One divisor for each pair.
    Given(Vec<f64>),
}

/// Scaled dot products of queries and keys.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// Factor of the dot product.
    pub scale: f64,
    /// Scales the queries, before they are rounded to `operand`, instead of the product.
    pub scaled_queries: bool,
    /// Soft cap c: c · tanh(x / c).
    pub cap: Option<f64>,
    /// Which key head a query head meets.
    pub heads: HeadMap,
    /// Type that keys are kept in.
    pub cache: Dtype,
    /// Type that queries are rounded to before they meet the keys; in ggml, that of the cache.
    pub operand: Dtype,
}

/// Which key head a query head meets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeadMap {
    /// Neighbouring query heads share one: 0 0 1 1 2 2.
    Grouped,
    /// Key heads are repeated as a whole: 0 1 2 0 1 2.
    Tiled,
    /// One for each query head.
    Given(Vec<usize>),
}

/// Softmax of scores under a mask.
#[derive(Clone, Debug, PartialEq)]
pub struct Probs {
    /// A key is seen up to this many positions after the query; 0. `None`: no mask.
    pub ahead: Option<i64>,
    /// Positions seen, the own one included.
    pub window: Option<usize>,
    /// Factor of the scores.
    pub scale: f64,
    /// Soft cap of the scores.
    pub cap: Option<f64>,
    /// A tensor of one score for each head, which takes part in the sum and is dropped.
    pub sinks: Option<String>,
    /// Key positions that are never seen: padding.
    pub hidden: Vec<i64>,
}

/// Probabilities times values.
#[derive(Clone, Debug, PartialEq)]
pub struct Attend {
    /// Which value head a query head meets.
    pub heads: HeadMap,
    /// Type that values are kept in.
    pub cache: Dtype,
    /// Type that probabilities are rounded to before they meet the values; in ggml, that of the cache.
    pub operand: Dtype,
}

/// A sum of inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Residual {
    /// Factor of each input: 1; 0 for one that is missing, 2 for one that is added twice.
    pub factors: Vec<f64>,
}

/// A non-linearity, with or without a gate.
#[derive(Clone, Debug, PartialEq)]
pub struct Activate {
    /// The function.
    pub function: Activation,
    /// Applies the function to the second input instead of the first.
    pub exchanged: bool,
    /// Multiplies with the other input.
    pub gated: bool,
}

/// A non-linearity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// x·σ(x).
    Silu,
    /// ½x(1 + tanh(√(2/π)(x + 0.044715x³))), Hendrycks & Gimpel 2016.
    GeluTanh,
    /// ½x(1 + erf(x/√2)).
    GeluErf,
    /// x·σ(1.702x).
    GeluQuick,
    /// max(x, 0).
    Relu,
    /// max(x, 0)².
    ReluSquared,
    /// σ(x).
    Sigmoid,
    /// tanh x.
    Tanh,
    /// x.
    Identity,
}

/// Weights of the chosen experts.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpertWeights {
    /// Makes them sum to one.
    pub normalised: bool,
    /// Factor of all.
    pub scale: f64,
}

/// A product with each token's chosen experts.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpertLinear {
    /// `[experts, outputs, inputs]`.
    pub weight: String,
}
