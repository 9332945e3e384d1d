//! Relations that sketches and statistics show of whole tensors.

use super::Outline;
use crate::align::Stage;
use crate::explain::numbers::{factor, looks_like, short};
use crate::explain::{Basis, Explanation, Fit, Kind, RULES, Scene, Side, Site, Tried};

/// Everything that is tested.
pub(super) fn relations(
    scene: &Scene<'_>,
    reference: &[Outline],
    candidate: &[Outline],
    header: &Explanation,
) -> Vec<Tried> {
    let kind = Site::of(&scene.checkpoint).kind;
    let mut found: Vec<(&str, Fit)> = Vec::new();
    found.extend(zeros(scene, kind, reference, candidate));
    // Scores that no mask shows are part of a batch's sketch.
    if kind != Kind::Probs && (kind != Kind::Scores || candidate.iter().all(is_single)) {
        let factor = scaled(scene, kind, candidate);
        // Whether scores are scaled or keys come scaled out of the cache, only values and context would tell.
        let cached = factor
            .as_ref()
            .filter(|_| kind == Kind::Scores)
            .map(|(_, fit)| {
                let mut cached = fit.clone();
                cached.claim = "the keys come out of the cache scaled".to_owned();
                ("P056", cached)
            });
        found.extend(factor);
        found.extend(cached);
    }
    found.extend(equal(scene, candidate));
    found
        .into_iter()
        .filter_map(|(code, fit)| {
            let rule = RULES.iter().find(|rule| rule.page.code == code)?;
            Some(Tried::new(&rule.page, fit, header))
        })
        .collect()
}

fn is_single(outline: &Outline) -> bool {
    outline.pass.end - outline.pass.start == 1
}

/// So many times the reference.
fn scaled(scene: &Scene<'_>, kind: Kind, candidate: &[Outline]) -> Option<(&'static str, Fit)> {
    let code = match kind {
        Kind::Embedding => "P090",
        Kind::Scores => "P050",
        Kind::Context => "P056",
        Kind::Rope => "P037",
        // A norm's own rules say more of its factors.
        Kind::Residual | Kind::Norm => return None,
        _ => "P003",
    };
    let times = factor(scene.pairs(&scene.reference))?;
    if times == 0.0 || (times - 1.0).abs() < 1e-6 {
        return None;
    }
    let outline = candidate.first()?;
    let mut known: Vec<(f64, String)> = vec![(-1.0, "the wrong sign".to_owned())];
    let mut both = |number: f64, name: String| {
        known.push((1.0 / number, format!("1/{name}")));
        known.push((number, name));
    };
    for number in [2.0, 4.0, 8.0, 16.0] {
        both(number, format!("{number}"));
    }
    both(
        (outline.row_len() as f64).sqrt(),
        format!("√{}", outline.row_len()),
    );
    let lanes = scene
        .site
        .neighbour(Stage::Q)
        .and_then(|q| {
            let record = outline.pass.clone();
            scene.side(Side::Candidate).outline(&q, record)
        })
        .and_then(|q| q.inner.last().copied());
    if let Some(lanes) = lanes {
        both((lanes as f64).sqrt(), format!("√{lanes}, of the head"));
    }
    let look = looks_like(times, &known);
    let made = scene.reference.map(|x| x * times);
    let claim = format!(
        "the tensor is {} times the right one{}",
        short(times),
        look.as_ref()
            .map_or(String::new(), |look| format!(", {look}"))
    );
    let fit = scene.fit(&made, Basis::Reference, claim);
    Some((code, fit.fitted("factor", times, look)))
}

/// Another tensor, element by element.
fn equal(scene: &Scene<'_>, candidate: &[Outline]) -> Vec<(&'static str, Fit)> {
    use Stage as S;
    type Other = (&'static str, Side, S, &'static str);
    const ROTATION: &str = "the rotation is missing: the tensor is what should have been rotated";
    const RESTARTED: &str =
        "the position is 0 in every pass of one token: what should have been rotated is as it was";
    const FROZEN: &str = "every row of the pass has the position of its first: what should have been rotated is as it was";
    const EXCHANGED: &str = "the matrix of another projection is taken";
    const CUT: &str = "the fused projection is cut in another order";
    let fused = scene.is_fused();
    let exchanged = if fused == Some(true) {
        ("P024", CUT)
    } else {
        ("P020", EXCHANGED)
    };
    let exchanged = |stage: S| -> Other { (exchanged.0, Side::Reference, stage, exchanged.1) };
    let others: Vec<Other> = match scene.site.stage() {
        Some(S::QRope) => [S::QNorm, S::Q]
            .map(|stage| ("P033", Side::Candidate, stage, ROTATION))
            .to_vec(),
        Some(S::KRope) => [S::KNorm, S::K]
            .map(|stage| ("P033", Side::Candidate, stage, ROTATION))
            .to_vec(),
        Some(S::K) => vec![exchanged(S::V)],
        Some(S::V) => vec![exchanged(S::K)],
        Some(S::FfnGate) => vec![exchanged(S::FfnUp)],
        Some(S::FfnUp) => vec![exchanged(S::FfnGate)],
        _ => Vec::new(),
    };
    // Position 0 does not turn anything either: that of every pass of one token, or that of a prompt's first row for all.
    let decoded = candidate.iter().all(is_single);
    let position = if decoded { RESTARTED } else { FROZEN };
    let still = others.iter().filter(|(code, ..)| *code == "P033");
    let still: Vec<Other> = still
        .map(|(_, side, stage, _)| ("P039", *side, *stage, position))
        .collect();
    let others = if decoded {
        [still, others].concat()
    } else {
        [others, still].concat()
    };
    let mut names: Vec<(&'static str, Side, String, &'static str)> = others
        .into_iter()
        .filter_map(|(code, side, stage, claim)| {
            Some((code, side, scene.site.neighbour(stage)?, claim))
        })
        .collect();
    if Site::of(&scene.checkpoint).kind == Kind::Norm {
        let skipped = "the norm is skipped: the tensor is what should have been normed";
        let inputs = scene.input_names().into_iter();
        names.extend(inputs.map(|name| ("P015", Side::Candidate, name, skipped)));
    }
    names
        .into_iter()
        .filter_map(|(code, side, name, claim)| {
            let same = candidate.iter().all(|own| {
                let other = scene.side(side).outline(&name, own.pass.clone());
                other.is_some_and(|other| other.len == own.len)
            });
            let other = scene.here(side, &name).filter(|_| same)?;
            let basis = match side {
                Side::Reference => Basis::Reference,
                Side::Candidate => Basis::Inputs,
            };
            let claim = format!("{claim} (it equals `{name}`)");
            let fit = scene.fit(&other, basis, claim);
            let doubt = usize::from(code == "P020" && fused.is_none());
            Some((code, fit.free(doubt)))
        })
        .collect()
}

/// Zeros where the reference has none.
fn zeros(
    scene: &Scene<'_>,
    kind: Kind,
    reference: &[Outline],
    candidate: &[Outline],
) -> Option<(&'static str, Fit)> {
    // Zeros are what masks and some activations make.
    if matches!(kind, Kind::Probs | Kind::Scores | Kind::Activation) {
        return None;
    }
    let pairs = || candidate.iter().zip(reference);
    if pairs().any(|(_, right)| right.zero > 0) {
        return None;
    }
    let claim = if pairs().all(|(found, _)| found.zero == found.len) {
        "all elements are zero: the weights are zero, or the result was never written".to_owned()
    } else if let [(found, right)] = pairs().collect::<Vec<_>>()[..] {
        // Whole rows of a batch, and the first row as it should be.
        let whole = found.zero > 0 && found.zero % found.row_len() == 0;
        let as_ever = found
            .values
            .iter()
            .zip(&right.values)
            .all(|(a, b)| (a - b).abs() <= 1e-4 * right.mean_square.sqrt());
        if !whole || !as_ever || is_single(found) {
            return None;
        }
        format!(
            "{} rows of {} are zero: they were not computed",
            found.zero / found.row_len(),
            found.pass.end - found.pass.start
        )
    } else {
        let each = candidate.first()?.zero;
        if each == 0 || candidate.iter().any(|found| found.zero != each) {
            return None;
        }
        format!(
            "{each} of {} elements are zero in every row: they were not computed",
            candidate.first()?.len
        )
    };
    let mut fit = scene.fit(&scene.candidate, Basis::Reference, claim);
    fit.partial = candidate.iter().any(|found| found.zero != found.len);
    Some(("P001", fit))
}
