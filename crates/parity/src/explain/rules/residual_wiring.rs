//! P080.

use crate::align::Stage;
use crate::explain::formula::sum;
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene, Side};
use crate::tensor::Dense;
use std::rc::Rc;

/// Something else is added.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P080",
        name: "residual stream wired wrongly",
        detects: "A branch is added to the wrong tensor (the normed stream, the block's input), not added, added alone, or added twice.",
        evidence: "The candidate's stream as the sum of other tensors of its own trace; nothing is fitted.",
        confirm: "Subtract the branch's output from the stream after it: what is left must be the stream before it, bit for bit nearly.",
        fix: "stream += attention(norm(stream)); stream += feed_forward(norm(stream)), unless the architecture is a parallel one.",
        reports: &["allenai/OLMo#680", "deepspeedai/DeepSpeed#2446"],
    },
    kinds: &[Kind::Residual],
    costly: false,
    test,
};

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    let Some([stream, added]) = scene.addends(Side::Candidate) else {
        return Vec::new();
    };
    let after_attention = scene.site.stage() == Some(Stage::AttnResidual);
    let branch = if after_attention {
        "attention"
    } else {
        "the feed-forward network"
    };
    let mut fits = Vec::new();
    let mut with = |made: &Dense, claim: String| fits.push(scene.fit(made, Basis::Inputs, claim));
    with(
        &added,
        format!("the stream is lost: {branch}'s output goes on alone"),
    );
    with(&stream, format!("{branch} is not added to the stream"));
    with(
        &sum(&sum(&stream, &added), &added),
        format!("{branch} is added twice"),
    );
    with(
        &sum(&stream, &stream),
        format!("the stream is doubled instead of adding {branch}"),
    );
    let difference = Dense {
        shape: stream.shape.clone(),
        data: stream
            .data
            .iter()
            .zip(&added.data)
            .map(|(a, b)| a - b)
            .collect(),
    };
    with(
        &difference,
        format!("{branch} is subtracted instead of added"),
    );
    let mut others: Vec<(Option<Rc<Dense>>, &str)> = vec![(
        scene.stage(
            Side::Candidate,
            if after_attention {
                Stage::AttnNorm
            } else {
                Stage::FfnNorm
            },
        ),
        "the normed stream",
    )];
    if !after_attention {
        let input = scene.site.block_input();
        others.push((
            input.and_then(|name| scene.here(Side::Candidate, &name)),
            "the block's input, which loses attention,",
        ));
        others.push((
            scene.stage(Side::Candidate, Stage::AttnNorm),
            "the normed input of the block",
        ));
        others.push((
            scene.stage(Side::Candidate, Stage::AttnOut),
            "attention's output alone",
        ));
    }
    for (other, name) in others {
        if let Some(other) = other.filter(|other| other.data.len() == added.data.len()) {
            with(
                &sum(&other, &added),
                format!("{branch} is added to {name} instead of the stream"),
            );
        }
    }
    fits
}
