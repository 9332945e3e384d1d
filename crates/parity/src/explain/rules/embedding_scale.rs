//! P090.

use crate::explain::numbers::{factor, looks_like, short};
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene};
use crate::tensor::Dense;

/// Embeddings multiplied.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P090",
        name: "scale of the embedding",
        detects: "Embeddings are multiplied with a factor that the model does not have, or not with the one that it has (Gemma: the root of \
                  the width). The first norm hides it; the residual stream does not.",
        evidence: "The factor fitted over all elements, and what it looks like.",
        confirm: "Divide both embeddings element by element: one number everywhere.",
        fix: "Scale where the architecture says so, in the precision of the reference: √width rounded to bf16 is another number.",
        reports: &["TensorAuto/OpenTau#179", "huggingface/transformers#29402"],
    },
    kinds: &[Kind::Embedding],
    costly: false,
    test,
};

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    let zero = scene.reference.map(|_| 0.0);
    let mut fits: Vec<Fit> = scaled(scene, &scene.reference, &zero).into_iter().collect();
    // Learned positions are added after the factor, and are not multiplied with it.
    if let Some(learned) = learned(scene)
        && let Some(rows) = scene.reference.zip(&learned, |sum, learned| sum - learned)
    {
        fits.extend(scaled(scene, &rows, &learned));
    }
    fits
}

fn scaled(scene: &Scene<'_>, rows: &Dense, learned: &Dense) -> Option<Fit> {
    let rest: Vec<f64> = scene
        .pairs(learned)
        .map(|(found, learned)| found - learned)
        .collect();
    let rows_only: Vec<f64> = scene.pairs(rows).map(|(_, row)| row).collect();
    let found = factor(rest.into_iter().zip(rows_only)).filter(|found| *found != 0.0)?;
    let width = scene.candidate.last_len() as f64;
    let known = [
        (width.sqrt(), format!("√{width}, of the width")),
        (1.0 / width.sqrt(), format!("1/√{width}, of the width")),
    ];
    let made = rows.zip(learned, |row, learned| row * found + learned)?;
    let look = looks_like(found, &known);
    let claim = format!(
        "embeddings are multiplied with {}{}",
        short(found),
        look.as_ref()
            .map_or(String::new(), |look| format!(", {look}"))
    );
    Some(
        scene
            .fit(&made, Basis::Reference, claim)
            .fitted("factor", found, look),
    )
}

/// The learned positions of the scene's rows, from the model file.
fn learned(scene: &Scene<'_>) -> Option<Dense> {
    let table = scene.matrix_of("position_embd.weight")?;
    let width = scene.candidate.last_len();
    let mut data = Vec::new();
    for position in scene.positions() {
        let at = usize::try_from(position).ok()?;
        let row = table.data.get(at * width..(at + 1) * width)?;
        data.extend(row.iter().map(|x| f64::from(*x)));
    }
    Dense::new(scene.candidate.shape.clone(), data)
}
