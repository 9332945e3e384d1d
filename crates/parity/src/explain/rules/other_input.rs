//! P007.

use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene, Side};
use crate::tensor::Dense;
use std::rc::Rc;

/// The right operation on the wrong tensor.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P007",
        name: "reads the wrong tensor",
        detects: "The operation is right but is given another tensor of the model: the block's input instead of the stream after attention, \
                  another norm's output, the unnormed stream.",
        evidence: "The candidate's output recomputed from the other tensor of its own trace.",
        confirm: "Print the first elements of what the operation reads.",
        fix: "Check what is passed on; some architectures do run attention and feed-forward side by side, on the same input.",
        reports: &["deepspeedai/DeepSpeed#2446", "NousResearch/torchtitan#36"],
    },
    kinds: &[Kind::Norm, Kind::Linear],
    costly: true,
    test,
};

/// Size against the right tensor's below which another one cannot be told from zero.
const VANISHES: f64 = 1e-6;

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    let own = scene.input_names();
    let Some(x) = scene.input(Side::Candidate) else {
        return Vec::new();
    };
    // Tensors of this block, and the streams before and after it.
    let layer = scene.site.layer;
    let near = |name: &String| match (layer, crate::explain::Site::of(name).layer) {
        (Some(own), Some(other)) => own.abs_diff(other) <= 1,
        _ => true,
    };
    let names = scene.side(Side::Candidate).names();
    let mut fits: Vec<Fit> = names
        .iter()
        .filter(|name| near(name) && !own.contains(name) && **name != scene.checkpoint)
        .filter_map(|name| {
            let other = scene.here(Side::Candidate, name)?;
            // What is next to nothing leaves a bias, whichever tensor it is.
            let size = |x: &Dense| x.data.iter().map(|x| x * x).sum::<f64>();
            let vanishes = size(&other) < VANISHES * VANISHES * size(&x);
            if other.data.len() != x.data.len() || other.data == x.data || vanishes {
                return None;
            }
            let other = Rc::new(Dense {
                shape: x.shape.clone(),
                data: other.data.clone(),
            });
            let made = match scene.kind() {
                Kind::Norm => scene.norm()?.of(&other),
                _ => {
                    let linear = scene.linear()?;
                    linear.with_bias(&linear.of(&other)?, 1.0)
                }
            };
            let claim = format!("it is computed from `{name}` instead of `{}`", own.first()?);
            Some(scene.fit(&made, Basis::Inputs, claim).free(1))
        })
        .collect();
    fits.sort_by(|a, b| a.residual.total_cmp(&b.residual));
    fits.truncate(2);
    fits
}
