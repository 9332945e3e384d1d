//! What the rules look at: one pair of tensors and all that was logged around it.

use super::numbers::residual;
use super::{Basis, Fit, Kind, Site, Tensors};
use crate::align::Stage;
use crate::recompute::Weights;
use crate::tensor::Dense;
use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

/// One of the two traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The reference.
    Reference,
    /// The candidate.
    Candidate,
}

/// What is known of a pair of traces.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// The reference's tensors.
    pub reference: &'a dyn Tensors,
    /// The candidate's tensors.
    pub candidate: &'a dyn Tensors,
    /// The model file, where it is at hand.
    pub model: Option<&'a dyn Weights>,
}

/// Rows of a checkpoint of one side.
type Place = (Side, String, Range<i64>);

/// One pair of tensors and all that was logged around it.
pub struct Scene<'a> {
    /// The checkpoint's name.
    pub checkpoint: String,
    /// Where it lies in the model.
    pub site: Site,
    /// The positions of its rows.
    pub tokens: Range<i64>,
    /// The reference's tensor.
    pub reference: Rc<Dense>,
    /// The candidate's.
    pub candidate: Rc<Dense>,
    /// The model file, where it is at hand.
    pub model: Option<&'a dyn Weights>,
    /// How many elements of each row count; all, unless the others are not known.
    pub(super) lanes: Option<usize>,
    pub(super) known: Known<'a>,
    pub(super) formulas: OnceCell<super::formula::Formulas<'a>>,
    affected: OnceCell<Vec<usize>>,
    cache: RefCell<HashMap<Place, Option<Rc<Dense>>>>,
}

impl<'a> Scene<'a> {
    /// The scene of one checkpoint at the positions of one pass; `None` where a side has not all its elements, or the
    /// two have different shapes.
    pub fn new(known: Known<'a>, checkpoint: &str, tokens: Range<i64>) -> Option<Self> {
        let reference = known.reference.rows(checkpoint, tokens.clone())?;
        let candidate = known.candidate.rows(checkpoint, tokens.clone())?;
        let usable = reference.shape == candidate.shape && !reference.data.is_empty();
        let mut site = Site::of(checkpoint);
        if site.stage() == Some(Stage::FfnOut) {
            let experts = site.neighbour(Stage::FfnExpertOut);
            if experts.is_some_and(|name| known.candidate.rows(&name, tokens.clone()).is_some()) {
                site.kind = Kind::ExpertSum;
            }
        }
        usable.then(|| Self {
            checkpoint: checkpoint.to_owned(),
            site,
            tokens,
            reference: Rc::new(reference),
            candidate: Rc::new(candidate),
            model: known.model,
            lanes: None,
            known,
            formulas: OnceCell::new(),
            affected: OnceCell::new(),
            cache: RefCell::default(),
        })
    }

    /// The form of the operation.
    pub fn kind(&self) -> Kind {
        self.site.kind
    }

    /// The tensors of one side.
    pub fn side(&self, side: Side) -> &'a dyn Tensors {
        match side {
            Side::Reference => self.known.reference,
            Side::Candidate => self.known.candidate,
        }
    }

    /// A checkpoint of one side at any positions.
    pub fn rows(&self, side: Side, checkpoint: &str, tokens: Range<i64>) -> Option<Rc<Dense>> {
        let key = (side, checkpoint.to_owned(), tokens.clone());
        if let Some(known) = self.cache.borrow().get(&key) {
            return known.clone();
        }
        let read = self.side(side).rows(checkpoint, tokens).map(Rc::new);
        self.cache.borrow_mut().insert(key, read.clone());
        read
    }

    /// A checkpoint of one side at the positions of the scene.
    pub fn here(&self, side: Side, checkpoint: &str) -> Option<Rc<Dense>> {
        self.rows(side, checkpoint, self.tokens.clone())
    }

    /// A stage of the same block at the positions of the scene.
    pub fn stage(&self, side: Side, stage: Stage) -> Option<Rc<Dense>> {
        self.here(side, &self.site.neighbour(stage)?)
    }

    /// A stage of the same block from position 0 to the scene's last.
    pub fn history(&self, side: Side, stage: Stage) -> Option<Rc<Dense>> {
        self.rows(side, &self.site.neighbour(stage)?, 0..self.tokens.end)
    }

    /// The tensor that the operation is applied to, under the first of its possible names that was logged.
    pub fn input(&self, side: Side) -> Option<Rc<Dense>> {
        self.input_names()
            .iter()
            .find_map(|name| self.here(side, name))
    }

    /// The possible names of the tensor that a unary operation is applied to, the nearest first.
    pub fn input_names(&self) -> Vec<String> {
        use Stage as S;
        let stages = |stages: &[S]| -> Vec<String> {
            stages
                .iter()
                .filter_map(|stage| self.site.neighbour(*stage))
                .collect()
        };
        match self.site.stage() {
            Some(S::AttnNorm) => self.site.block_input().into_iter().collect(),
            Some(S::Q | S::K | S::V) => stages(&[S::AttnNorm]),
            Some(S::QNorm) => stages(&[S::Q]),
            Some(S::KNorm) => stages(&[S::K]),
            Some(S::QRope) => stages(&[S::QNorm, S::Q]),
            Some(S::KRope) => stages(&[S::KNorm, S::K]),
            Some(S::AttnProbs) => stages(&[S::AttnScores]),
            Some(S::AttnOut) => stages(&[S::AttnContext]),
            Some(S::FfnNorm) => stages(&[S::AttnResidual]),
            Some(S::AttnPostNorm) => stages(&[S::AttnOut]),
            Some(S::FfnPostNorm) => stages(&[S::FfnOut]),
            Some(S::FfnGate | S::FfnUp) => stages(&[S::FfnNorm]),
            Some(S::FfnAct) => stages(&[S::FfnGate, S::FfnUp]),
            Some(S::FfnOut) => stages(&[S::FfnAct]),
            Some(S::FfnRouter | S::FfnSharedRouter | S::FfnSharedGate | S::FfnSharedUp) => {
                stages(&[S::FfnNorm])
            }
            Some(S::FfnExpertAct) => stages(&[S::FfnExpertGate, S::FfnExpertUp]),
            Some(S::FfnSharedAct) => stages(&[S::FfnSharedGate, S::FfnSharedUp]),
            Some(S::FfnSharedOut) => stages(&[S::FfnSharedAct]),
            _ => match self.checkpoint.as_str() {
                "logits" => vec!["final_norm".to_owned()],
                "final_norm" => self.last_output().into_iter().collect(),
                _ => Vec::new(),
            },
        }
    }

    /// The output of the last block.
    fn last_output(&self) -> Option<String> {
        let layers = self
            .side(Side::Reference)
            .names()
            .iter()
            .filter_map(|name| {
                let number = name.strip_prefix("layer_")?.strip_suffix("_output")?;
                number.parse::<u32>().ok()
            })
            .max()?;
        Some(format!("layer_{layers}_output"))
    }

    /// Positions of the rows.
    pub fn positions(&self) -> impl Iterator<Item = i64> + use<> {
        self.tokens.clone()
    }

    /// True where the pass began after position 0: a decode step, or a later part of a prompt.
    pub fn is_later_pass(&self) -> bool {
        self.tokens.start > 0
    }

    /// The rows in which the candidate does not do what the reference does.
    pub fn affected(&self) -> &[usize] {
        self.affected.get_or_init(|| {
            let expected = self.expected();
            let against: &Dense = expected.as_deref().unwrap_or(&self.reference);
            let rows: Vec<f64> = (0..self.candidate.shape[0])
                .map(|row| self.compare(&[row], &self.candidate, against))
                .collect();
            let worst = rows.iter().copied().fold(0.0, f64::max);
            // A row takes part when its error is of the worst one's order, and more than rounding.
            let least = (worst / 300.0).clamp(2e-6, 1e-2);
            (0..rows.len())
                .filter(|row| rows[*row] > least || rows[*row].is_nan())
                .collect()
        })
    }

    fn counted(&self, width: usize) -> usize {
        self.lanes.unwrap_or(width).min(width)
    }

    /// Residual of `found` against `expected` in some rows, masked places of scores left out.
    fn compare(&self, rows: &[usize], found: &Dense, expected: &Dense) -> f64 {
        let width = found.data.len() / found.shape[0].max(1);
        let columns = found.shape.last().copied().unwrap_or(1).max(1);
        let causal = self.kind() == Kind::Scores;
        let pairs = rows.iter().flat_map(|row| {
            let visible = (self.tokens.start + *row as i64 + 1) as usize;
            let elements = row * width..row * width + self.counted(width);
            elements
                .filter(move |index| !causal || index % columns < visible)
                .map(|index| (found.data[index], expected.data[index]))
        });
        residual(pairs)
    }

    /// Residual of the candidate against any tensor of its shape, over the rows that differ.
    pub fn residual(&self, expected: &Dense) -> f64 {
        if expected.data.len() != self.candidate.data.len() {
            return f64::INFINITY;
        }
        self.compare(self.affected(), &self.candidate, expected)
    }

    /// The same over all rows.
    pub fn residual_all(&self, expected: &Dense) -> f64 {
        let all: Vec<usize> = (0..self.candidate.shape[0]).collect();
        if expected.data.len() != self.candidate.data.len() {
            return f64::INFINITY;
        }
        self.compare(&all, &self.candidate, expected)
    }

    /// How far a tensor of the reference's side is from what the reference has.
    pub fn reference_residual(&self, expected: &Dense) -> f64 {
        let all: Vec<usize> = (0..self.reference.shape[0]).collect();
        if expected.data.len() != self.reference.data.len() {
            return f64::INFINITY;
        }
        self.compare(&all, &self.reference, expected)
    }

    /// A hypothesis with the residual of its prediction.
    pub fn fit(&self, prediction: &Dense, basis: Basis, claim: impl Into<String>) -> Fit {
        Fit {
            claim: claim.into(),
            parameters: Vec::new(),
            free: 0,
            basis,
            residual: self.residual(prediction),
            residual_all: self.residual_all(prediction),
            tolerance: None,
            benign: false,
            only_likely: false,
            partial: self.lanes.is_some(),
            confirm: None,
            evidence: Vec::new(),
        }
    }

    /// Pairs of candidate and prediction in the rows that differ, for fits of parameters.
    pub fn pairs<'s>(&'s self, prediction: &'s Dense) -> impl Iterator<Item = (f64, f64)> + 's {
        let width = self.candidate.data.len() / self.candidate.shape[0].max(1);
        let columns = self.candidate.shape.last().copied().unwrap_or(1).max(1);
        let causal = self.kind() == Kind::Scores;
        self.affected().iter().flat_map(move |row| {
            let visible = (self.tokens.start + *row as i64 + 1) as usize;
            (row * width..row * width + self.counted(width))
                .filter(move |index| !causal || index % columns < visible)
                .map(|index| (self.candidate.data[index], prediction.data[index]))
        })
    }
}
