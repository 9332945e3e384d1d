//! One hypothesis with its numbers.

/// What a prediction was computed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// The candidate's own inputs to the operation: free of all that was wrong before.
    Inputs,
    /// The reference's output or other reference tensors, which the candidate can only match as well as its inputs do.
    Reference,
}

/// A number that was fitted or that the hypothesis stands for.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// What it is.
    pub name: String,
    /// Its value.
    pub value: f64,
    /// The familiar value that it comes to, in words.
    pub looks_like: Option<String>,
}

/// One hypothesis: what it claims, and how well the candidate's numbers follow from it.
#[derive(Clone, Debug)]
pub struct Fit {
    /// One sentence, with the fitted parameters.
    pub claim: String,
    /// Fitted numbers.
    pub parameters: Vec<Parameter>,
    /// How many numbers were fitted to the candidate: fewer explain better.
    pub free: usize,
    /// What it was computed from.
    pub basis: Basis,
    /// √(Σ(candidate − prediction)² / Σ candidate²) over the rows that differ; 0 where it is exact.
    pub residual: f64,
    /// The same over all rows of the pass: large where the mistake concerns some of them only.
    pub residual_all: f64,
    /// Largest residual that counts as none, where rounding itself is the mistake and cannot be followed bit by bit.
    pub tolerance: Option<f64>,
    /// True where the consumers of the tensor undo the difference.
    pub benign: bool,
    /// True where numbers can only make it likely.
    pub only_likely: bool,
    /// True where not all elements were there to compare.
    pub partial: bool,
    /// How to confirm it here, where the page's general advice can be made concrete.
    pub confirm: Option<String>,
    /// Further numbers that speak for it.
    pub evidence: Vec<(String, f64)>,
}

impl Fit {
    /// One more fitted parameter, which counts as free.
    pub fn fitted(mut self, name: &str, value: f64, looks_like: Option<String>) -> Self {
        self.free += 1;
        self.named(name, value, looks_like)
    }

    /// One more number that belongs to the hypothesis but was not fitted.
    pub fn named(mut self, name: &str, value: f64, looks_like: Option<String>) -> Self {
        self.parameters.push(Parameter {
            name: name.to_owned(),
            value,
            looks_like,
        });
        self
    }

    /// Counts as many fitted numbers that are too many to list.
    pub fn free(mut self, free: usize) -> Self {
        self.free += free;
        self
    }

    /// One more number that speaks for it.
    pub fn evidence(mut self, what: &str, value: f64) -> Self {
        self.evidence.push((what.to_owned(), value));
        self
    }

    /// Says how to confirm it here.
    pub fn confirm(mut self, how: impl Into<String>) -> Self {
        self.confirm = Some(how.into());
        self
    }

    /// Marks a difference that the consumers of the tensor undo.
    pub fn benign(mut self, benign: bool) -> Self {
        self.benign = benign;
        self
    }

    /// Marks what numbers can only make likely.
    pub fn only_likely(mut self) -> Self {
        self.only_likely = true;
        self
    }

    /// Allows a residual that the hypothesis itself cannot avoid.
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = Some(tolerance);
        self
    }
}
