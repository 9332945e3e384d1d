//! Attention, step by step or fused, with the numbers that the reference uses.

use crate::align::Stage;
use crate::explain::numbers::factor;
use crate::explain::{Kind, Scene, Side};
use crate::recompute::formula::{capped, mixed, products, softmax};
use crate::tensor::Dense;
use std::rc::Rc;

/// Which places of a row of scores take part in the softmax: `sees(row, position of the row, column)`.
pub type Sees = Rc<dyn Fn(usize, i64, i64) -> bool>;

/// Everything that decides what attention makes of its inputs.
#[derive(Clone)]
pub struct Attention {
    /// `[tokens, heads, lanes]`.
    pub queries: Rc<Dense>,
    /// `[kv, kv_heads, lanes]`.
    pub keys: Rc<Dense>,
    /// `[kv, kv_heads, lanes]`.
    pub values: Option<Rc<Dense>>,
    /// Scores as logged, where the engine logs them.
    pub scores: Option<Rc<Dense>>,
    /// Probabilities as logged.
    pub probs: Option<Rc<Dense>>,
    /// Position of the first row.
    pub first: i64,
    /// Factor of the products.
    pub scale: f64,
    /// `cap · tanh(score / cap)`.
    pub softcap: Option<f64>,
    /// The key head of each query head.
    pub key_head: Vec<usize>,
    /// Which places are visible.
    pub sees: Sees,
    /// What the reference hides of the positions up to a token's own, where that is anything.
    pub hides: Option<String>,
    /// What hidden scores are lowered by.
    pub hidden: f64,
    /// A further logit in the denominator.
    pub sink: Option<f64>,
    /// Slope of a bias by distance, for each head.
    pub slopes: Option<Vec<f64>>,
    /// Factor of the scores inside the softmax.
    pub temperature: f64,
    /// What the reference's numbers leave unexplained of the reference.
    pub reference_residual: f64,
}

/// What right numbers leave of the reference at most.
const DESCRIBES: f64 = 1e-3;

/// Keys up to which every mask of the reference is tried.
const TRIED: i64 = 64;

/// True unless the model's file says that its attention sees everything.
fn may_hide(scene: &Scene<'_>) -> bool {
    scene
        .model
        .is_none_or(|model| model.hparams().window.is_some())
}

/// Masks that models have: windows, and padding on the left.
fn masks(end: i64) -> impl Iterator<Item = (Sees, String)> {
    let windows = (1..end.min(TRIED)).map(|width| -> (Sees, String) {
        let sees = move |_: usize, at: i64, column: i64| column <= at && at - column < width;
        (Rc::new(sees), format!("all but the last {width}"))
    });
    let padding = (1..end.min(TRIED)).map(|first| -> (Sees, String) {
        let sees =
            move |_: usize, at: i64, column: i64| column <= at && (column >= first || column == at);
        (Rc::new(sees), format!("the first {first}"))
    });
    windows.chain(padding)
}

impl Attention {
    /// The numbers of the reference and the inputs of one side.
    pub(super) fn find(scene: &Scene<'_>) -> Option<Self> {
        let mut reference = Self::inputs(scene, Side::Reference)?;
        // What the reference does, as far as its scores or its context show.
        if let Some(scores) = scene.stage(Side::Reference, Stage::AttnScores) {
            let products = reference.products();
            let pairs =
                visible(&scores, scene.tokens.start).map(|at| (scores.data[at], products.data[at]));
            reference.scale = factor(pairs).unwrap_or(reference.scale);
        }
        let usual = 1.0 / (*reference.queries.shape.last()? as f64).sqrt();
        if (reference.scale / usual - 1.0).abs() < 1e-3 {
            reference.scale = usual;
        }
        let left = |attention: &Self| {
            let predicted = attention.predict(scene.kind())?;
            Some(scene.reference_residual(&predicted))
        };
        let mut residual = left(&reference)?;
        if residual > DESCRIBES && scene.kind() == Kind::Scores {
            // A factor that does not describe the reference is not its scale.
            reference.scale = usual;
            residual = left(&reference)?;
        }
        if residual > DESCRIBES && reference.has_softmax(scene.kind()) && may_hide(scene) {
            let better = masks(scene.tokens.end).find_map(|(sees, hides)| {
                let mut masked = reference.clone();
                (masked.sees, masked.hides) = (sees, Some(hides));
                let residual = left(&masked)?;
                (residual < DESCRIBES).then_some((masked, residual))
            });
            (reference, residual) = better.unwrap_or((reference, residual));
        }
        let mut candidate = Self::inputs(scene, Side::Candidate)?;
        candidate.scale = reference.scale;
        candidate.sees = reference.sees;
        candidate.hides = reference.hides;
        candidate.reference_residual = residual;
        Some(candidate)
    }

    /// One side's inputs with the usual numbers.
    pub fn inputs(scene: &Scene<'_>, side: Side) -> Option<Self> {
        use Stage as S;
        let first_of = |stages: &[S], history: bool| {
            stages.iter().find_map(|stage| {
                if history {
                    scene.history(side, *stage)
                } else {
                    scene.stage(side, *stage)
                }
            })
        };
        let queries = first_of(&[S::QRope, S::QNorm, S::Q], false)?;
        let keys = first_of(&[S::KRope, S::KNorm, S::K], true)?;
        let values = scene.history(side, S::V);
        let ([_, heads, lanes], [_, kv_heads, key_lanes]) = (&queries.shape[..], &keys.shape[..])
        else {
            return None;
        };
        if lanes != key_lanes || *kv_heads == 0 || heads % kv_heads != 0 {
            return None;
        }
        let (group, lanes) = (heads / kv_heads, *lanes);
        let key_head = (0..*heads).map(|head| head / group).collect();
        let (at_scores, at_probs) = (scene.kind() == Kind::Scores, scene.kind() == Kind::Probs);
        let scores = scene.stage(side, S::AttnScores).filter(|_| !at_scores);
        let probs = scene
            .stage(side, S::AttnProbs)
            .filter(|_| !at_scores && !at_probs);
        Some(Self {
            queries,
            keys,
            values,
            scores,
            probs,
            first: scene.tokens.start,
            scale: 1.0 / (lanes as f64).sqrt(),
            softcap: None,
            key_head,
            sees: Rc::new(|_, position, column| column <= position),
            hides: None,
            hidden: f64::NEG_INFINITY,
            sink: None,
            slopes: None,
            temperature: 1.0,
            reference_residual: 0.0,
        })
    }

    /// What the scene's checkpoint would be, from what was logged nearest before it.
    pub fn predict(&self, kind: Kind) -> Option<Dense> {
        match kind {
            Kind::Scores => Some(self.scaled()),
            Kind::Probs => Some(self.softmax(&self.logged_or_own_scores())),
            Kind::Context => {
                let probs = match &self.probs {
                    Some(probs) => Rc::clone(probs),
                    None => Rc::new(self.softmax(&self.logged_or_own_scores())),
                };
                self.context(&probs)
            }
            _ => None,
        }
    }

    /// True where the softmax is part of what separates the scene's checkpoint from what was logged before it.
    pub fn has_softmax(&self, kind: Kind) -> bool {
        kind == Kind::Probs || kind == Kind::Context && self.probs.is_none()
    }

    /// True where the products of queries and keys are.
    pub fn has_products(&self, kind: Kind) -> bool {
        kind == Kind::Scores || self.has_softmax(kind) && self.scores.is_none()
    }

    fn logged_or_own_scores(&self) -> Rc<Dense> {
        match &self.scores {
            Some(scores) => Rc::clone(scores),
            None => Rc::new(self.scaled()),
        }
    }

    /// Products of queries and keys, `[tokens, heads, kv]`.
    pub fn products(&self) -> Dense {
        products(&self.queries, &self.keys, &self.key_head)
    }

    /// Scores as the softmax gets them.
    pub fn scaled(&self) -> Dense {
        self.products()
            .map(|product| capped(product * self.scale, self.softcap))
    }

    /// Masked softmax of scores.
    pub fn softmax(&self, scores: &Dense) -> Dense {
        let mut probs = scores.clone();
        let [_, heads, kv] = scores.shape[..] else {
            return probs;
        };
        for (index, row) in probs.data.chunks_mut(kv).enumerate() {
            let (token, head) = (index / heads, index % heads);
            let position = self.first + token as i64;
            for (column, score) in row.iter_mut().enumerate() {
                let column = column as i64;
                *score *= self.temperature;
                if let Some(slopes) = &self.slopes {
                    *score -= slopes[head] * (position - column).abs() as f64;
                }
                if !(self.sees)(token, position, column) {
                    *score += self.hidden;
                }
            }
            softmax(row, self.sink.unwrap_or(f64::NEG_INFINITY));
        }
        probs
    }

    /// Probabilities times values, `[tokens, heads, lanes]`.
    pub fn context(&self, probs: &Dense) -> Option<Dense> {
        let values = self.values.as_ref()?;
        let ([_, heads, kv], [rows, _, _]) = (&probs.shape[..], &values.shape[..]) else {
            return None;
        };
        (kv == rows && *heads == self.key_head.len()).then(|| mixed(probs, values, &self.key_head))
    }
}

/// The indices of scores that a causal mask shows.
pub fn visible(scores: &Dense, first: i64) -> impl Iterator<Item = usize> + use<> {
    let heads = scores.shape.get(1).copied().unwrap_or(1);
    let kv = scores.shape.last().copied().unwrap_or(1).max(1);
    (0..scores.data.len()).filter(move |index| {
        let row = (index / (heads * kv).max(1)) as i64;
        (index % kv) as i64 <= first + row
    })
}
