//! What the reference computes at a scene: the formulas that hypotheses vary.
//!
//! Their numbers come from the model file where it is at hand, and are else inferred from the reference's own inputs
//! and outputs, so that most causes are found from two traces alone.

pub mod activation;
pub mod attention;
pub mod blocks;
pub mod experts;
pub mod linear;
pub mod norm;
pub mod rope;

use super::{Kind, Scene, Side};
use crate::align::Stage;
use crate::recompute::Weight;
use crate::tensor::Dense;
use activation::Activation;
use attention::Attention;
use experts::{Gathered, Mixture};
use linear::Linear;
use norm::Norm;
use rope::Rope;
use std::rc::Rc;

/// The formula of a scene, whichever fits its kind.
#[derive(Default)]
pub struct Formulas<'a> {
    norm: Option<Norm>,
    rope: Option<Rope>,
    attention: Option<Attention>,
    activation: Option<Activation>,
    linear: Option<Linear<'a>>,
    gathered: Option<Gathered>,
    mixture: Option<Mixture>,
}

impl<'a> Scene<'a> {
    fn formulas(&self) -> &Formulas<'a> {
        self.formulas.get_or_init(|| {
            let mut formulas = Formulas::default();
            match self.kind() {
                Kind::Norm => formulas.norm = Norm::find(self),
                Kind::Rope => formulas.rope = Rope::find(self),
                Kind::Scores | Kind::Probs | Kind::Context => {
                    formulas.attention = Attention::find(self);
                }
                Kind::Activation => formulas.activation = Activation::find(self),
                Kind::Linear => formulas.linear = Linear::find(self),
                Kind::ExpertWeights => formulas.gathered = Gathered::find(self),
                Kind::ExpertSum => formulas.mixture = Mixture::find(self),
                _ => {}
            }
            formulas
        })
    }

    /// The reference's norm, at a norm.
    pub fn norm(&self) -> Option<&Norm> {
        self.formulas().norm.as_ref()
    }

    /// The reference's rotation, at a rotation.
    pub fn rope(&self) -> Option<&Rope> {
        self.formulas().rope.as_ref()
    }

    /// The reference's attention with the candidate's inputs, at scores, probabilities and context.
    pub fn attention(&self) -> Option<&Attention> {
        self.formulas().attention.as_ref()
    }

    /// The reference's activation with the candidate's inputs.
    pub fn activation(&self) -> Option<&Activation> {
        self.formulas().activation.as_ref()
    }

    /// The file's projection with the candidate's input.
    pub fn linear(&self) -> Option<&Linear<'a>> {
        self.formulas().linear.as_ref()
    }

    /// How the reference weights its experts, with the candidate's probabilities and choices.
    pub fn gathered(&self) -> Option<&Gathered> {
        self.formulas().gathered.as_ref()
    }

    /// How the reference sums its experts, with the candidate's experts and weights.
    pub fn mixture(&self) -> Option<&Mixture> {
        self.formulas().mixture.as_ref()
    }

    /// What the reference's formula makes of the candidate's own inputs.
    pub fn expected(&self) -> Option<Rc<Dense>> {
        match self.kind() {
            Kind::Norm => Some(Rc::new(self.norm()?.of(&*self.input(Side::Candidate)?))),
            Kind::Rope => {
                let positions: Vec<f64> = self.positions().map(|at| at as f64).collect();
                let x = self.input(Side::Candidate)?;
                Some(Rc::new(self.rope()?.at(&x, &positions)))
            }
            Kind::Scores | Kind::Probs | Kind::Context => {
                self.attention()?.predict(self.kind()).map(Rc::new)
            }
            Kind::Activation => {
                let activation = self.activation()?;
                Some(Rc::new(activation.with(&|x| activation.function.of(x))))
            }
            Kind::Linear => {
                let linear = self.linear()?;
                Some(Rc::new(linear.with_bias(&linear.product, 1.0)))
            }
            Kind::Residual => {
                let [stream, added] = self.addends(Side::Candidate)?;
                Some(Rc::new(sum(&stream, &added)))
            }
            Kind::ExpertWeights => Some(Rc::new(self.gathered()?.expected()?)),
            Kind::ExpertSum => Some(Rc::new(self.mixture()?.expected()?)),
            Kind::Embedding | Kind::ExpertChoice | Kind::Other => None,
        }
    }

    /// What the reference's formula leaves unexplained of the reference itself.
    pub fn formula_residual(&self) -> Option<f64> {
        match self.kind() {
            Kind::Norm => self.norm().map(|norm| norm.reference_residual),
            Kind::Rope => self.rope().map(|rope| rope.reference_residual),
            Kind::Scores | Kind::Probs | Kind::Context => self
                .attention()
                .map(|attention| attention.reference_residual),
            Kind::Activation => self.activation().map(|found| found.reference_residual),
            Kind::Linear => self.linear().map(|linear| linear.reference_residual),
            Kind::Residual => {
                let [stream, added] = self.addends(Side::Reference)?;
                Some(self.reference_residual(&sum(&stream, &added)))
            }
            Kind::ExpertWeights => self.gathered().map(|found| found.reference_residual),
            Kind::ExpertSum => self.mixture().map(|found| found.reference_residual),
            Kind::Embedding | Kind::ExpertChoice | Kind::Other => None,
        }
    }

    /// The stream and what is added to it, at a residual sum.
    pub fn addends(&self, side: Side) -> Option<[Rc<Dense>; 2]> {
        let (stream, added) = match self.site.stage()? {
            Stage::AttnResidual => (
                self.here(side, &self.site.block_input()?)?,
                self.stage(side, Stage::AttnPostNorm)
                    .or_else(|| self.stage(side, Stage::AttnOut))?,
            ),
            Stage::Output => (
                self.stage(side, Stage::AttnResidual)?,
                self.stage(side, Stage::FfnPostNorm)
                    .or_else(|| self.stage(side, Stage::FfnOut))?,
            ),
            _ => return None,
        };
        (stream.data.len() == added.data.len()).then_some([stream, added])
    }

    /// A tensor of the model file as numbers.
    pub fn vector(&self, name: &str) -> Option<Vec<f64>> {
        let weight = self.matrix_of(name)?;
        Some(weight.data.iter().map(|x| f64::from(*x)).collect())
    }

    /// A tensor of the model file.
    pub fn matrix_of(&self, name: &str) -> Option<Rc<Weight>> {
        self.model?.tensor(name).ok()?.map(Rc::new)
    }
}

/// Element by element.
pub fn sum(a: &Dense, b: &Dense) -> Dense {
    Dense {
        shape: a.shape.clone(),
        data: a.data.iter().zip(&b.data).map(|(a, b)| a + b).collect(),
    }
}
