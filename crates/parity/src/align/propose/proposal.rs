//! What is proposed.

use super::likeness::Likeness;

/// Two names that are proposed to be the same checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposed {
    /// The reference's name.
    pub reference: String,
    /// The candidate's name.
    pub candidate: String,
    /// How sure this is, 0 … 0.999: how much better it fits than any other pair of either name, times how well two equal
    /// checkpoints should fit here. It is no probability; above [`Proposal::SURE`] no pair was wrong on any trace that
    /// this was tried on, see `docs/proposals.md`.
    pub confidence: f64,
    /// How alike the numbers are.
    pub likeness: Likeness,
    /// Further names of the reference with the very same numbers.
    pub same_in_reference: Vec<String>,
    /// Further names of the candidate with the very same numbers.
    pub same_in_candidate: Vec<String>,
    /// The next best name of the candidate.
    pub alternative: Option<String>,
}

/// Pairs of names, and the names that have none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Proposal {
    /// The pairs, in the order of the reference.
    pub pairs: Vec<Proposed>,
    /// Names of the reference for which nothing is proposed.
    pub unpaired_reference: Vec<String>,
    /// Names of the candidate for which nothing is proposed.
    pub unpaired_candidate: Vec<String>,
    /// True where both traces log in the same order, which was then used.
    pub ordered: bool,
}

impl Proposal {
    /// The confidence from which on a pair is written so that it takes effect.
    pub const SURE: f64 = 0.9;
}
