//! P008.

use crate::align::{Place, Stage};
use crate::explain::numbers::{factor, looks_like, short};
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene, Side, Site};
use crate::tensor::Dense;
use std::rc::Rc;

/// What a buffer held before.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P008",
        name: "former contents of the output buffer",
        detects: "What stood in the buffer is still there. Either the result is added to it instead of replacing it: `beta` = 1 in a call of \
                  cuBLAS, an accumulator that is not cleared. Or it was not replaced, as a whole or in part: a kernel that was not launched, a grid \
                  that ends too early, a reader that does not wait. It is what the buffer's last user left: another operation of the pass, or the \
                  same one a layer or a pass before; then the first one may be right, for a new buffer is often zero.",
        evidence: "The right result plus another tensor of the candidate's own trace that was logged earlier, or with elements that have that \
                   tensor's bits.",
        confirm: "Fill the output buffer with NaN before the operation: it shows in the result.",
        fix: "Pass `beta` = 0, or clear the accumulator before each use; check the error of every launch, its grid, and the order of streams.",
        reports: &[],
    },
    kinds: &[
        Kind::Norm,
        Kind::Linear,
        Kind::Rope,
        Kind::Context,
        Kind::Activation,
        Kind::Residual,
        Kind::ExpertSum,
        Kind::Other,
    ],
    costly: true,
    test,
};

/// Agreement of streams that makes what was added before them harmless.
const AGREES: f64 = 1e-4;

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    let (basis, right) = match scene.expected() {
        Some(expected) => (Basis::Inputs, expected),
        None => (Basis::Reference, scene.reference.clone()),
    };
    let accumulates = matches!(scene.kind(), Kind::Linear | Kind::Context);
    let mut fits = Vec::new();
    for (what, left) in left_behind(scene) {
        if left.data.len() != right.data.len() {
            continue;
        }
        if accumulates {
            fits.extend(added(scene, basis, &right, &what, &left));
        }
        fits.extend(kept(scene, basis, &right, &what, &left));
    }
    fits.sort_by(|a, b| a.residual.total_cmp(&b.residual));
    fits.truncate(2);
    fits
}

/// What a buffer may hold.
struct Left {
    /// The checkpoint that it was logged as.
    name: String,
    /// Whether a pass before.
    is_earlier: bool,
}

impl Left {
    fn in_words(&self) -> String {
        let when = if self.is_earlier {
            " of the pass before"
        } else {
            ""
        };
        format!("`{}`{when}", self.name)
    }
}

/// The result comes on top.
fn added(scene: &Scene<'_>, basis: Basis, right: &Dense, what: &Left, left: &Dense) -> Option<Fit> {
    let excess = scene.pairs(right).map(|(found, right)| found - right);
    let found = factor(excess.zip(scene.pairs(left).map(|(_, left)| left)))?;
    let times = if (found - 1.0).abs() < 1e-3 {
        1.0
    } else {
        found
    };
    let made = right.zip(left, |right, left| right + times * left)?;
    let name = what.in_words();
    let stream = scene.site.stage().and_then(|stage| match stage {
        Stage::AttnOut => Some((scene.site.block_input()?, Stage::AttnResidual)),
        Stage::FfnOut => Some((scene.site.neighbour(Stage::AttnResidual)?, Stage::Output)),
        _ => None,
    });
    let sum = stream
        .filter(|(stream, _)| !what.is_earlier && *stream == what.name)
        .map(|(_, sum)| sum);
    let claim = match sum {
        Some(_) => format!("the product is added to the residual stream {name} where it is made"),
        None if times == 1.0 => format!(
            "the product is added to {name}, which stood in its buffer, instead of replacing it (beta = 1)"
        ),
        None => format!(
            "the product is added to {} times {name}, which stood in its buffer, instead of replacing it",
            short(times)
        ),
    };
    // Which tensor it is was looked for.
    let fit = scene.fit(&made, basis, claim).free(1);
    let fit = fit.benign(sum.is_some_and(|sum| agrees(scene, sum)));
    Some(if times == 1.0 {
        fit.named("beta", times, None)
    } else {
        fit.fitted(
            "beta",
            times,
            looks_like(times, &[(0.5, "1/2"), (-1.0, "-1")]),
        )
    })
}

/// True where both sides have the same stream after the addition.
fn agrees(scene: &Scene<'_>, sum: Stage) -> bool {
    let after = scene.site.neighbour(sum);
    after
        .and_then(|name| Scene::new(scene.known, &name, scene.tokens.clone()))
        .is_some_and(|after| after.residual_all(&after.reference) < AGREES)
}

/// The result did not come, or not everywhere.
fn kept(scene: &Scene<'_>, basis: Basis, right: &Dense, what: &Left, left: &Dense) -> Option<Fit> {
    let found = &scene.candidate.data;
    let is_left = |index: &usize| {
        found[*index] == left.data[*index] && left.data[*index] != right.data[*index]
    };
    let taken: Vec<usize> = (0..found.len()).filter(is_left).collect();
    // Zeros are equal whatever they come from.
    let told = taken.iter().filter(|index| found[**index] != 0.0).count();
    if told < 2 || told * 2 < taken.len() {
        return None;
    }
    let all = taken.len() == found.len();
    let same_rows = scene.is_later_pass() && what.is_earlier && what.name == scene.checkpoint;
    if all && same_rows {
        // The rows of the step before: another rule's.
        return None;
    }
    let mut made = right.clone();
    for index in &taken {
        made.data[*index] = left.data[*index];
    }
    let name = what.in_words();
    let claim = if all {
        format!("the result was never written: the buffer still holds {name}")
    } else {
        format!(
            "{} of {} elements are still those of {name}, which stood in the buffer: they were not written, or not yet when they were read",
            taken.len(),
            found.len()
        )
    };
    Some(scene.fit(&made, basis, claim).free(1))
}

/// What was written before the scene's tensor, and may stand in its buffer.
fn left_behind(scene: &Scene<'_>) -> Vec<(Left, Rc<Dense>)> {
    let Some(own) = scene.site.place else {
        return Vec::new();
    };
    let names = scene.side(Side::Candidate).names();
    let operands = scene.operands();
    let layer = scene.site.layer;
    let near = |name: &String| match (layer, Site::of(name).layer) {
        (Some(own), Some(other)) => own.abs_diff(other) <= 1,
        _ => true,
    };
    let is_before = |name: &String| Place::of(name).is_some_and(|place| place < own);
    let here = names
        .iter()
        .filter(|name| near(name) && is_before(name) && !operands.contains(name))
        .filter(|name| *name != "tokens")
        .filter_map(|name| Some((name, false, scene.here(Side::Candidate, name)?)));
    // In the pass before: the tensor itself, and for the first layer what the last one left.
    let last = names.iter().filter_map(|name| Site::of(name).layer).max();
    let before = names
        .iter()
        .filter(|name| {
            **name == scene.checkpoint || (layer == Some(0) && Site::of(name).layer == last)
        })
        .filter_map(|name| Some((name, true, former(scene, name)?)));
    let of = |(name, is_earlier, rows): (&String, bool, Rc<Dense>)| {
        let name = name.clone();
        (Left { name, is_earlier }, rows)
    };
    here.chain(before).map(of).collect()
}

/// Rows that earlier passes left in the places of the scene's rows; zero where none did.
fn former(scene: &Scene<'_>, name: &str) -> Option<Rc<Dense>> {
    let passes = scene.side(Side::Candidate).passes(name);
    let width = scene.candidate.row_len();
    let mut data = Vec::with_capacity(scene.candidate.data.len());
    let mut any = false;
    for position in scene.positions() {
        let own = passes.iter().find(|pass| pass.contains(&position))?;
        let row = position - own.start;
        let before = passes
            .iter()
            .filter(|pass| pass.end <= own.start && pass.end - pass.start > row)
            .max_by_key(|pass| pass.start);
        match before {
            Some(before) => {
                let place = before.start + row;
                let rows = scene.rows(Side::Candidate, name, place..place + 1)?;
                data.extend_from_slice(&rows.data);
                any = true;
            }
            None => data.resize(data.len() + width, 0.0),
        }
    }
    let rows = Dense::new(scene.candidate.shape.clone(), data);
    rows.filter(|_| any).map(Rc::new)
}
