//! P070.

use crate::explain::formula::activation::{Function, apply};
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene};

/// Another function.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P070",
        name: "another activation function",
        detects: "The feed-forward network applies another non-linearity than the model's, none, or the right one twice.",
        evidence: "The candidate's activation recomputed from its own gate and up projection with each function.",
        confirm: "Feed 1: SiLU gives 0.7311, GELU 0.8413 (error function) or 0.8412 (tanh), quick GELU 0.8458, ReLU 1.",
        fix: "`hidden_act` of the configuration; `gelu_pytorch_tanh` and `gelu` are two functions. ggml looks GELU up in a table of f16.",
        reports: &["tracel-ai/burn#4410", "tinygrad/tinygrad#14278"],
    },
    kinds: &[Kind::Activation],
    costly: false,
    test,
};

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    let Some(activation) = scene.activation() else {
        return Vec::new();
    };
    let right = activation.function;
    let mut fits: Vec<Fit> = Function::ALL
        .into_iter()
        .filter(|function| *function != right)
        .map(|function| {
            let made = activation.with(&|x| function.of(x));
            let claim = format!(
                "the activation is {} instead of {}",
                function.name(),
                right.name()
            );
            scene.fit(&made, Basis::Inputs, claim)
        })
        .collect();
    let twice = activation.with(&|x| right.of(right.of(x)));
    fits.push(scene.fit(
        &twice,
        Basis::Inputs,
        format!(
            "{} is applied twice, the second time to its own output",
            right.name()
        ),
    ));
    if activation.up.is_some() {
        let alone = apply(&|x| right.of(x), &activation.gate, None);
        fits.push(scene.fit(
            &alone,
            Basis::Inputs,
            "the activated gate is not multiplied with the up projection",
        ));
    }
    fits
}
