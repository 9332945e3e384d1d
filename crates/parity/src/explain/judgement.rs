//! Which hypotheses explain, and what may be said of them.

use super::numbers::{list, short};
use super::{Basis, Fit, Kind, Page, RULES, Rule, Scene, Side};

/// How sure a cause is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Certainty {
    /// The candidate's numbers follow from it down to rounding, and from nothing simpler.
    Proven,
    /// It explains far more than anything else, but not down to rounding, or numbers alone cannot prove it.
    Likely,
    /// Others explain as well.
    Ambiguous,
}

impl Certainty {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::Likely => "likely",
            Self::Ambiguous => "ambiguous",
        }
    }
}

/// A cause that may be stated.
#[derive(Clone)]
pub struct Cause {
    /// What there is to read about it.
    pub page: &'static Page,
    /// How sure it is.
    pub certainty: Certainty,
    /// The hypothesis.
    pub fit: Fit,
    /// The claim, with the rows that it concerns where these are not all.
    pub claim: String,
}

/// One hypothesis that was tried.
#[derive(Clone)]
pub struct Tried {
    /// Its rule.
    pub page: &'static Page,
    /// Its numbers.
    pub fit: Fit,
    /// Whether it leaves no more than rounding.
    pub explains: bool,
}

impl Tried {
    /// A hypothesis, judged.
    pub(super) fn new(page: &'static Page, fit: Fit, explanation: &Explanation) -> Self {
        Self {
            page,
            explains: explains(&fit, explanation),
            fit,
        }
    }
}

/// What came of a scene.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// At least one cause may be stated.
    Found,
    /// The candidate's output follows from its own inputs: what is wrong came in with them.
    Inherited,
    /// The candidate follows from its inputs as the model's formula says, and the reference does not.
    ReferenceDiffers,
    /// Nothing that is known here explains it.
    Unknown,
}

/// Everything that was found out about a scene.
pub struct Explanation {
    /// True where only first values, statistics and sketches were there to look at.
    pub outline: bool,
    /// The checkpoint.
    pub checkpoint: String,
    /// Positions of the rows that were looked at.
    pub tokens: std::ops::Range<i64>,
    /// The form of the operation.
    pub kind: Kind,
    /// Positions of the rows that differ.
    pub affected: Vec<i64>,
    /// Candidate against reference, relative to the candidate.
    pub divergence: f64,
    /// Candidate against what the reference's formula makes of the candidate's own inputs.
    pub unmodified: Option<f64>,
    /// Reference against what the formula makes of the reference's own inputs.
    pub formula_residual: Option<f64>,
    /// Largest disagreement of the inputs.
    pub inputs: f64,
    /// Largest residual that counts as rounding, from own inputs and from the reference.
    pub floors: [f64; 2],
    /// What came of it.
    pub outcome: Outcome,
    /// Causes that may be stated, the likeliest first.
    pub causes: Vec<Cause>,
    /// All hypotheses, the best first.
    pub tried: Vec<Tried>,
}

/// Relative rounding of one operation in f32, with room: a clean engine's output follows from its own inputs to a
/// fifth of it or less (`parity verify`).
const ROUNDING: f64 = 1.5e-6;

/// How many times what the formula leaves of the reference it may leave of the candidate.
const ROOM: f64 = 8.0;

/// A formula that leaves more of the reference than this does not describe it.
const DESCRIBES: f64 = 3e-2;

/// How many times smaller than without the hypothesis the residual must be.
const GAIN: f64 = 8.0;

/// What is known of a scene before any rule is tested.
pub(super) fn before_rules(scene: &Scene<'_>) -> Explanation {
    let divergence = scene.residual(&scene.reference);
    let expected = scene.expected();
    let unmodified = expected.as_ref().map(|expected| scene.residual(expected));
    let formula = scene.formula_residual();
    let inputs = inputs_disagree(scene);
    let described = formula.filter(|found| *found < DESCRIBES);
    let floors = [
        ROUNDING.max(ROOM * described.unwrap_or(0.0)),
        ROUNDING.max(6.0 * inputs),
    ];
    let mut explanation = Explanation {
        outline: false,
        checkpoint: scene.checkpoint.clone(),
        tokens: scene.tokens.clone(),
        kind: scene.kind(),
        affected: scene
            .affected()
            .iter()
            .map(|row| scene.tokens.start + *row as i64)
            .collect(),
        divergence,
        unmodified,
        formula_residual: formula,
        inputs,
        floors,
        outcome: Outcome::Unknown,
        causes: Vec::new(),
        tried: Vec::new(),
    };
    if let (Some(expected), Some(formula)) = (&expected, formula) {
        let all = scene.residual_all(expected);
        if all <= floors[0] {
            explanation.outcome =
                if formula > 20.0 * ROUNDING && inputs < divergence_of(scene) / GAIN {
                    Outcome::ReferenceDiffers
                } else {
                    Outcome::Inherited
                };
        }
    }
    explanation
}

/// Tests every rule on a scene and judges what they say.
pub fn explain(scene: &Scene<'_>) -> Explanation {
    let mut explanation = before_rules(scene);
    if explanation.outcome != Outcome::Unknown {
        return explanation;
    }
    let mut tried: Vec<Tried> = Vec::new();
    for costly in [false, true] {
        // What is proven without a fitted number, or with one of a familiar value, has no simpler rival.
        let proven = tried
            .iter()
            .any(|one| one.explains && !one.fit.only_likely && complexity(&one.fit) <= 1);
        if costly && proven {
            break;
        }
        let rules = RULES
            .iter()
            .filter(|rule| rule.costly == costly && rule.kinds.contains(&scene.kind()));
        for rule in rules {
            tried.extend(test(rule, scene, &explanation));
        }
    }
    explanation.causes = ordered(&mut tried, &explanation);
    if explanation
        .causes
        .iter()
        .any(|cause| cause.certainty == Certainty::Ambiguous)
    {
        settle(scene, &mut tried);
        explanation.causes = ordered(&mut tried, &explanation);
    }
    if !explanation.causes.is_empty() {
        explanation.outcome = Outcome::Found;
    }
    explanation.tried = tried;
    explanation
}

/// Lets the candidate's other passes decide between hypotheses that explain this one equally well: what is done there,
/// rightly or wrongly, is done by the same code. Those that some pass contradicts no longer explain, if any is left.
fn settle(scene: &Scene<'_>, tried: &mut [Tried]) {
    let passes = scene.side(Side::Reference).passes(&scene.checkpoint);
    let others: Vec<std::ops::Range<i64>> = passes
        .into_iter()
        .filter(|pass| *pass != scene.tokens && pass.end > 1)
        .take(2)
        .collect();
    for pass in others {
        let Some(other) = Scene::new(scene.known, &scene.checkpoint, pass) else {
            continue;
        };
        let floor = ROUNDING.max(ROOM * other.formula_residual().unwrap_or(0.0));
        let holds: Vec<bool> = tried
            .iter()
            .map(|one| {
                let rule = RULES.iter().find(|rule| rule.page.code == one.page.code);
                let fits = rule
                    .filter(|_| one.explains)
                    .map(|rule| (rule.test)(&other))
                    .unwrap_or_default();
                fits.iter().any(|fit| {
                    fit.claim == one.fit.claim
                        && fit.residual_all <= floor.max(fit.tolerance.unwrap_or(0.0))
                })
            })
            .collect();
        if holds.contains(&true) {
            tried
                .iter_mut()
                .zip(holds)
                .for_each(|(one, holds)| one.explains &= holds);
        }
    }
}

/// The causes that may be stated, of hypotheses that are put in order.
pub(super) fn ordered(tried: &mut [Tried], explanation: &Explanation) -> Vec<Cause> {
    tried.sort_by(|a, b| {
        order(a)
            .partial_cmp(&order(b))
            .unwrap_or(std::cmp::Ordering::Equal)
    });
    causes(tried, explanation)
}

/// Candidate against reference over all rows.
fn divergence_of(scene: &Scene<'_>) -> f64 {
    scene.residual_all(&scene.reference)
}

pub(super) fn test(
    rule: &'static Rule,
    scene: &Scene<'_>,
    explanation: &Explanation,
) -> Vec<Tried> {
    (rule.test)(scene)
        .into_iter()
        .map(|fit| Tried::new(&rule.page, fit, explanation))
        .collect()
}

/// The residual without any hypothesis, from the same basis.
fn without(fit: &Fit, explanation: &Explanation) -> f64 {
    match fit.basis {
        Basis::Inputs => explanation.unmodified.unwrap_or(explanation.divergence),
        Basis::Reference => explanation.divergence,
    }
}

fn explains(fit: &Fit, explanation: &Explanation) -> bool {
    let floor = match fit.basis {
        Basis::Inputs => explanation.floors[0],
        Basis::Reference => explanation.floors[1],
    };
    let limit = fit
        .tolerance
        .map_or(floor, |tolerance| tolerance.max(floor));
    // A parameter that is not a number was fitted to what is none, and agrees with it for nothing.
    if !fit
        .parameters
        .iter()
        .all(|parameter| parameter.value.is_finite())
    {
        return false;
    }
    // What does not differ needs no explanation.
    let without = without(fit, explanation);
    without > 0.0 && fit.residual <= limit && fit.residual * GAIN <= without
}

/// Simplest first: what is proven before what is likely, few fitted numbers before many, familiar before arbitrary.
fn order(tried: &Tried) -> (bool, bool, usize, bool, f64) {
    let fit = &tried.fit;
    (
        !tried.explains,
        fit.only_likely,
        if tried.explains { complexity(fit) } else { 0 },
        fit.basis == Basis::Reference,
        fit.residual,
    )
}

/// Twice the number of fitted parameters, less one for each that comes to a familiar value.
fn complexity(fit: &Fit) -> usize {
    let familiar = fit
        .parameters
        .iter()
        .filter(|parameter| parameter.looks_like.is_some());
    (2 * fit.free).saturating_sub(familiar.count().min(fit.free))
}

fn causes(tried: &[Tried], explanation: &Explanation) -> Vec<Cause> {
    let Some(best) = tried.first() else {
        return Vec::new();
    };
    if !best.explains {
        return far_better(tried, explanation).into_iter().collect();
    }
    // Another rule that needs no more and leaves no more is a rival.
    let rivals: Vec<&Tried> = tried[1..]
        .iter()
        .filter(|other| {
            other.explains
                && other.page.code != best.page.code
                && other.fit.only_likely == best.fit.only_likely
                && complexity(&other.fit) <= complexity(&best.fit)
                && other.fit.residual <= 10.0 * best.fit.residual.max(1e-7)
        })
        .collect();
    let certainty = match (rivals.is_empty(), best.fit.only_likely || best.fit.partial) {
        (false, _) => Certainty::Ambiguous,
        (true, true) => Certainty::Likely,
        (true, false) => Certainty::Proven,
    };
    let mut causes = vec![cause(best, certainty, explanation)];
    causes.extend(
        rivals
            .into_iter()
            .take(3)
            .map(|rival| cause(rival, Certainty::Ambiguous, explanation)),
    );
    causes
}

/// Arithmetic that cannot be followed to the last digit (8-bit activations) leaves more than rounding; a hypothesis
/// that leaves a thirtieth of what there was, and a fifth of what any other leaves, is still likely.
fn far_better(tried: &[Tried], explanation: &Explanation) -> Option<Cause> {
    let candidates = || tried.iter().filter(|tried| !tried.fit.only_likely);
    let best = candidates().min_by(|a, b| a.fit.residual.total_cmp(&b.fit.residual))?;
    let next = candidates()
        .filter(|other| other.page.code != best.page.code)
        .map(|other| other.fit.residual)
        .fold(f64::INFINITY, f64::min);
    let enough = best.fit.residual * 30.0 < without(&best.fit, explanation)
        && best.fit.residual < 0.05
        && best.fit.residual * 5.0 < next
        && best.fit.free <= 2;
    enough.then(|| cause(best, Certainty::Likely, explanation))
}

fn cause(tried: &Tried, certainty: Certainty, explanation: &Explanation) -> Cause {
    let fit = tried.fit.clone();
    let rows = explanation.affected.len() as i64;
    let some = rows < explanation.tokens.end - explanation.tokens.start;
    let limit = fit
        .tolerance
        .unwrap_or(0.0)
        .max(explanation.floors[usize::from(fit.basis == Basis::Reference)]);
    let claim = if some && (fit.residual_all > limit || fit.residual_all.is_nan()) {
        format!(
            "{} (at position {} only)",
            fit.claim,
            list(&explanation.affected)
        )
    } else {
        fit.claim.clone()
    };
    Cause {
        page: tried.page,
        certainty,
        fit,
        claim,
    }
}

/// The largest disagreement of what the operation reads.
fn inputs_disagree(scene: &Scene<'_>) -> f64 {
    let mut worst: f64 = 0.0;
    let mut compare = |name: &str, tokens: std::ops::Range<i64>| {
        let (reference, candidate) = (
            scene.rows(Side::Reference, name, tokens.clone()),
            scene.rows(Side::Candidate, name, tokens),
        );
        if let (Some(a), Some(b)) = (reference, candidate)
            && a.data.len() == b.data.len()
        {
            let found =
                super::numbers::residual(b.data.iter().copied().zip(a.data.iter().copied()));
            worst = worst.max(found);
        }
    };
    for name in scene.operands() {
        compare(&name, scene.tokens.clone());
    }
    worst
}

impl Explanation {
    /// One sentence: what may be said.
    pub fn summary(&self) -> String {
        match self.outcome {
            Outcome::Found => self
                .causes
                .iter()
                .map(|cause| format!("{} {}", cause.page.code, cause.claim))
                .collect::<Vec<_>>()
                .join("; or "),
            Outcome::Inherited => format!(
                "`{}` follows from the candidate's own inputs to {}: what is wrong came in with them",
                self.checkpoint,
                short(self.unmodified.unwrap_or(0.0))
            ),
            Outcome::ReferenceDiffers => format!(
                "the candidate's `{}` follows from its inputs by the model's formula, the reference's only to {}: look at the reference",
                self.checkpoint,
                short(self.formula_residual.unwrap_or(f64::NAN))
            ),
            Outcome::Unknown => {
                let rules: std::collections::BTreeSet<&str> =
                    self.tried.iter().map(|tried| tried.page.code).collect();
                let from = if self.outline {
                    "; only first values, statistics and sketches were logged, which most rules cannot use \
                     (ORCH_LOG_DETAIL=full, `parity capture --detail full`)"
                } else {
                    ""
                };
                format!(
                    "unknown: none of {} hypotheses of {} rules explains `{}`{from}",
                    self.tried.len(),
                    rules.len(),
                    self.checkpoint
                )
            }
        }
    }
}
