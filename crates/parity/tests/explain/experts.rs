//! Mixtures of experts: routing, weights, the sum, and the expert that all tokens share.

use crate::{Memory, explained, likely, noise, proven, single};
use parity::explain::{Explanation, Outcome};

const TOKENS: usize = 24;
const EXPERTS: usize = 8;
const CHOSEN: usize = 3;
const WIDTH: usize = 12;

/// What a router and its experts give, all of it.
#[derive(Clone)]
struct Mixture {
    probs: Vec<f64>,
    chosen: Vec<f64>,
    weights: Vec<f64>,
    outputs: Vec<f64>,
    shared: Vec<f64>,
    /// Sigmoid of the shared expert's gate.
    gate: Vec<f64>,
    sum: Vec<f64>,
}

/// Softmax over all experts.
fn probabilities(logits: &[f64]) -> Vec<f64> {
    let mut probs = Vec::new();
    for row in logits.chunks(EXPERTS) {
        let total: f64 = row.iter().map(|x| x.exp()).sum();
        probs.extend(row.iter().map(|x| x.exp() / total));
    }
    single(probs)
}

/// The experts with the largest scores, the largest first.
fn choose(scores: &[f64], experts: usize) -> Vec<f64> {
    let mut chosen = Vec::new();
    for row in scores.chunks(EXPERTS) {
        let mut order: Vec<usize> = (0..experts).collect();
        order.sort_by(|a, b| row[*b].partial_cmp(&row[*a]).unwrap());
        chosen.extend(order[..CHOSEN].iter().map(|expert| *expert as f64));
    }
    chosen
}

/// The scores of the chosen experts.
fn gather(scores: &[f64], chosen: &[f64]) -> Vec<f64> {
    let of = |(slot, expert): (usize, &f64)| scores[slot / CHOSEN * EXPERTS + *expert as usize];
    chosen.iter().enumerate().map(of).collect()
}

fn summing_to_one(weights: &[f64]) -> Vec<f64> {
    let mut made = Vec::new();
    for token in weights.chunks(CHOSEN) {
        let total: f64 = token.iter().sum();
        made.extend(token.iter().map(|weight| weight / total));
    }
    single(made)
}

fn scaled(values: &[f64], by: f64) -> Vec<f64> {
    single(values.iter().map(|x| x * by).collect())
}

/// Each token's chosen experts, weighted.
fn routed(outputs: &[f64], weights: &[f64]) -> Vec<f64> {
    let mut sum = vec![0.0; TOKENS * WIDTH];
    for token in 0..TOKENS {
        for slot in 0..CHOSEN {
            for lane in 0..WIDTH {
                sum[token * WIDTH + lane] += weights[token * CHOSEN + slot]
                    * outputs[(token * CHOSEN + slot) * WIDTH + lane];
            }
        }
    }
    sum
}

impl Mixture {
    /// As Qwen2-MoE computes it: probabilities as they are, and a gated shared expert.
    fn new() -> Self {
        let logits: Vec<f64> = noise(31, TOKENS * EXPERTS)
            .iter()
            .map(|x| 2.0 * x)
            .collect();
        let probs = probabilities(&logits);
        let chosen = choose(&probs, EXPERTS);
        let gate = single(
            noise(34, TOKENS)
                .iter()
                .map(|x| 1.0 / (1.0 + (-3.0 * x).exp()))
                .collect(),
        );
        let mut mixture = Self {
            weights: gather(&probs, &chosen),
            probs,
            chosen,
            outputs: noise(32, TOKENS * CHOSEN * WIDTH),
            shared: noise(33, TOKENS * WIDTH),
            gate,
            sum: Vec::new(),
        };
        mixture.sum = mixture.summed(|routed, shared, gate| routed + gate * shared);
        mixture
    }

    fn summed(&self, with: impl Fn(f64, f64, f64) -> f64) -> Vec<f64> {
        let routed = routed(&self.outputs, &self.weights);
        let sums =
            (0..TOKENS * WIDTH).map(|at| with(routed[at], self.shared[at], self.gate[at / WIDTH]));
        single(sums.collect())
    }

    fn trace(&self) -> Memory {
        Memory::default()
            .with(
                "layer_0_ffn_router_probs",
                &[TOKENS, EXPERTS],
                self.probs.clone(),
            )
            .with(
                "layer_0_ffn_experts",
                &[TOKENS, CHOSEN],
                self.chosen.clone(),
            )
            .with(
                "layer_0_ffn_expert_weights",
                &[TOKENS, CHOSEN],
                self.weights.clone(),
            )
            .with(
                "layer_0_ffn_expert_out",
                &[TOKENS, CHOSEN, WIDTH],
                self.outputs.clone(),
            )
            .with(
                "layer_0_ffn_shared_out",
                &[TOKENS, WIDTH],
                self.shared.clone(),
            )
            .with("layer_0_ffn_shared_weight", &[TOKENS, 1], self.gate.clone())
            .with("layer_0_ffn_out", &[TOKENS, WIDTH], self.sum.clone())
    }
}

const WEIGHTS: &str = "layer_0_ffn_expert_weights";

/// Two mixtures that differ in the weights of the chosen experts.
fn weights(reference: Vec<f64>, candidate: Vec<f64>) -> Explanation {
    let of = |weights| {
        Mixture {
            weights,
            ..Mixture::new()
        }
        .trace()
    };
    explained(&of(reference), &of(candidate), WEIGHTS)
}

/// Two mixtures that differ in the sum.
fn sums(with: impl Fn(f64, f64, f64) -> f64) -> Explanation {
    let right = Mixture::new();
    let mut wrong = right.clone();
    wrong.sum = right.summed(with);
    explained(&right.trace(), &wrong.trace(), "layer_0_ffn_out")
}

#[test]
fn what_is_right_has_no_cause() {
    let right = Mixture::new().trace();
    for checkpoint in [WEIGHTS, "layer_0_ffn_out", "layer_0_ffn_experts"] {
        let found = explained(&right, &right, checkpoint);
        assert!(found.causes.is_empty(), "{}", found.summary());
    }
    // Other probabilities and experts, weighted and summed rightly: that came in with them.
    let mut other = Mixture::new();
    other.outputs = noise(99, TOKENS * CHOSEN * WIDTH);
    other.sum = other.summed(|routed, shared, gate| routed + gate * shared);
    let found = explained(&right, &other.trace(), "layer_0_ffn_out");
    assert_eq!(found.outcome, Outcome::Inherited, "{}", found.summary());
}

#[test]
fn a_softmax_over_the_chosen_only() {
    // lablup/mlxcel#391. exp(a) / Σ of the chosen exp is the probability over the sum of the chosen probabilities.
    let plain = Mixture::new().weights;
    let claim = proven(&weights(plain.clone(), summing_to_one(&plain)), "P100");
    assert!(claim.contains("are made to sum to one"), "{claim}");
}

#[test]
fn chosen_probabilities_not_renormalised() {
    // pytorch/torchtitan#1448.
    let plain = Mixture::new().weights;
    let claim = proven(&weights(summing_to_one(&plain), plain), "P100");
    assert!(claim.contains("are not made to sum to one"), "{claim}");
}

#[test]
fn the_factor_of_routed_experts() {
    // sgl-project/sglang-jax#1282: the factor was only applied where weights are normalised, and elsewhere twice.
    let plain = Mixture::new().weights;
    let with = scaled(&plain, 2.5);
    let missing = proven(&weights(with.clone(), plain.clone()), "P100");
    assert!(
        missing.contains("0.4 times") && missing.contains("factor missing"),
        "{missing}"
    );
    let twice = proven(&weights(with, scaled(&plain, 6.25)), "P100");
    assert!(
        twice.contains("2.5 times") && twice.contains("once more"),
        "{twice}"
    );
    // A factor that the weights do not have is a fitted number, not a familiar one.
    let alone = weights(plain.clone(), scaled(&plain, 2.5));
    assert!(proven(&alone, "P100").contains("2.5 times"));
}

#[test]
fn the_bias_of_the_choice_in_the_weights() {
    // vllm-project/vllm#12002.
    let mut right = Mixture::new();
    let bias = noise(35, EXPERTS);
    let biased: Vec<f64> = single(
        right
            .probs
            .iter()
            .zip(bias.iter().cycle())
            .map(|(score, bias)| score + bias)
            .collect(),
    );
    right.chosen = choose(&biased, EXPERTS);
    right.weights = gather(&right.probs, &right.chosen);
    let mut wrong = right.clone();
    wrong.weights = gather(&biased, &right.chosen);
    let found = explained(&right.trace(), &wrong.trace(), WEIGHTS);
    proven(&found, "P101");
    // The bias that was planted is the one that is shown.
    let shown: Vec<_> = found.causes[0].fit.evidence.clone();
    assert!(!shown.is_empty());
    for (name, value) in shown {
        let expert: usize = name.rsplit(' ').next().unwrap().parse().unwrap();
        assert!(
            (value - bias[expert]).abs() < 1e-6,
            "{name} {value} {}",
            bias[expert]
        );
    }
}

#[test]
fn a_shared_expert_without_its_gate() {
    // NousResearch/torchtitan#36.
    let claim = proven(&sums(|routed, shared, _| routed + shared), "P104");
    assert!(claim.contains("without its gate"), "{claim}");
}

#[test]
fn a_gate_that_multiplies_the_routed_experts_too() {
    // ikawrakow/ik_llama.cpp#1368.
    let claim = proven(
        &sums(|routed, shared, gate| gate * (routed + shared)),
        "P104",
    );
    assert!(claim.contains("routed experts, too"), "{claim}");
}

#[test]
fn a_shared_expert_added_by_every_rank() {
    // vllm-project/vllm#49366: four ranks, each of which has the whole.
    let claim = proven(
        &sums(|routed, shared, gate| routed + 4.0 * gate * shared),
        "P104",
    );
    assert!(claim.contains("4 times"), "{claim}");
    let claim = proven(&sums(|routed, _, _| routed), "P104");
    assert!(claim.contains("not added"), "{claim}");
}

#[test]
fn weights_of_the_first_token_for_all() {
    // ggml-org/llama.cpp#17032: a fused reduction that was right for one token only.
    let right = Mixture::new();
    let mut wrong = right.clone();
    for token in 1..TOKENS {
        wrong.weights.copy_within(0..CHOSEN, token * CHOSEN);
    }
    wrong.sum = wrong.summed(|routed, shared, gate| routed + gate * shared);
    wrong.weights = right.weights.clone();
    let claim = proven(
        &explained(&right.trace(), &wrong.trace(), "layer_0_ffn_out"),
        "P103",
    );
    assert!(
        claim.contains("all rows have the weights of the first"),
        "{claim}"
    );
}

#[test]
fn rounding_decides_between_two_experts() {
    // turboderp-org/exllamav2#554.
    let mut right = Mixture::new();
    // In one token the last chosen and the first that is not are a millionth apart.
    let row = 5;
    let order = choose(&right.probs, EXPERTS);
    let last = order[row * CHOSEN + CHOSEN - 1] as usize;
    let mut rest: Vec<usize> = (0..EXPERTS).collect();
    rest.retain(|expert| !order[row * CHOSEN..][..CHOSEN].contains(&(*expert as f64)));
    rest.sort_by(|a, b| right.probs[row * EXPERTS + b].total_cmp(&right.probs[row * EXPERTS + a]));
    let least = right.probs[row * EXPERTS + last];
    right.probs[row * EXPERTS + rest[0]] = f64::from((least * (1.0 - 1e-6)) as f32);
    right.chosen = choose(&right.probs, EXPERTS);
    let mut wrong = right.clone();
    wrong.probs[row * EXPERTS + rest[0]] = f64::from((least * (1.0 + 1e-6)) as f32);
    wrong.chosen = choose(&wrong.probs, EXPERTS);
    assert_ne!(right.chosen, wrong.chosen);
    let found = explained(&right.trace(), &wrong.trace(), "layer_0_ffn_experts");
    let claim = likely(&found, "P102");
    assert!(claim.contains("rounding decides"), "{claim}");
}

#[test]
fn a_choice_among_the_first_experts_only() {
    // JustVugg/colibri#1554: candidates past the end of a chunk were never looked at.
    let right = Mixture::new();
    let mut wrong = right.clone();
    wrong.chosen = choose(&right.probs, 5);
    assert_ne!(right.chosen, wrong.chosen);
    let claim = proven(
        &explained(&right.trace(), &wrong.trace(), "layer_0_ffn_experts"),
        "P102",
    );
    assert!(claim.contains("first 5"), "{claim}");
}
