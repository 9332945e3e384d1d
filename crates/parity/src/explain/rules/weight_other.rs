//! P020.

use crate::align::Stage;
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene, Side};

/// Another tensor.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P020",
        name: "another weight tensor",
        detects: "The projection multiplies with the matrix of another projection: gate and up, or keys and values, exchanged; the \
                  matrix of another block; the embedding table where the model has an output matrix of its own.",
        evidence: "The product of the candidate's own input with the other matrix of the model file; without the file, equality with \
                   the reference's other projection.",
        confirm: "Print the first weights of both matrices as the engine has them.",
        fix: "Load every tensor under its own name, and fail on names that are missing or left over.",
        reports: &["charlie12345/ROCmFPX#49", "huggingface/transformers#43429"],
    },
    kinds: &[Kind::Linear],
    costly: true,
    test,
};

/// Projections that are taken for each other, by what they are called.
const PARTNERS: [(Stage, Stage, &str); 4] = [
    (
        Stage::FfnGate,
        Stage::FfnUp,
        "the up projection's matrix is taken for the gate's",
    ),
    (
        Stage::FfnUp,
        Stage::FfnGate,
        "the gate's matrix is taken for the up projection's",
    ),
    (
        Stage::K,
        Stage::V,
        "the values' matrix is taken for the keys'",
    ),
    (
        Stage::V,
        Stage::K,
        "the keys' matrix is taken for the values'",
    ),
];

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    let mut fits = Vec::new();
    // Parts of one matrix are cut, not loaded.
    let fused = scene.is_fused();
    for (own, other, claim) in PARTNERS.into_iter().filter(|_| fused != Some(true)) {
        if scene.site.stage() != Some(own) {
            continue;
        }
        let theirs = scene.stage(Side::Reference, other);
        if let Some(theirs) =
            theirs.filter(|theirs| theirs.data.len() == scene.candidate.data.len())
        {
            let fit = scene.fit(&theirs, Basis::Reference, claim);
            fits.push(fit.free(usize::from(fused.is_none())));
        }
    }
    let Some(linear) = scene.linear() else {
        return fits;
    };
    let mut found: Vec<Fit> = others(&linear.matrix.name)
        .into_iter()
        .filter_map(|name| {
            let weight = scene.matrix_of(&name)?;
            let fits = weight.data.len() >= linear.matrix.rows.end * linear.matrix.columns()
                && weight.shape.last() == linear.matrix.weight.shape.last();
            let columns = linear.matrix.columns();
            let start = linear.matrix.rows.start;
            let at = |row: usize, column: usize| {
                f64::from(weight.data[(start + row) * columns + column])
            };
            fits.then(|| {
                let claim = format!(
                    "`{name}` is multiplied with instead of `{}`",
                    linear.matrix.name
                );
                scene
                    .fit(&linear.with_weights(&at), Basis::Inputs, claim)
                    .free(1)
            })
        })
        .collect();
    found.sort_by(|a, b| a.residual.total_cmp(&b.residual));
    found.truncate(2);
    fits.extend(found);
    fits
}

/// Names of the same shape: of the same kind in all blocks, and the other kinds of the same block.
fn others(name: &str) -> Vec<String> {
    const KINDS: [&str; 7] = [
        "attn_q",
        "attn_k",
        "attn_v",
        "attn_output",
        "ffn_gate",
        "ffn_up",
        "ffn_down",
    ];
    let Some((layer, own)) = name
        .strip_prefix("blk.")
        .and_then(|rest| rest.split_once('.'))
    else {
        let all = ["token_embd.weight", "output.weight"];
        return all
            .into_iter()
            .filter(|other| *other != name)
            .map(str::to_owned)
            .collect();
    };
    let Ok(layer) = layer.parse::<usize>() else {
        return Vec::new();
    };
    let siblings = KINDS
        .iter()
        .map(|kind| format!("blk.{layer}.{kind}.weight"))
        .filter(|other| other != name);
    // Neighbours first; more blocks than this no model has.
    let blocks = (0..256)
        .filter(|other| *other != layer)
        .map(|other| format!("blk.{other}.{own}"));
    siblings.chain(blocks).collect()
}
