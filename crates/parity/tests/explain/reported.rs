//! Further reported mistakes, each of which the worker cannot make.

use crate::{
    Fused, HEADS, LANES, Memory, SCALE, TOKENS, angle, attend, explained, first, noise, proven,
    rotate, single,
};
use parity::explain::{Certainty, Outcome};

#[test]
fn a_bias_of_the_output_head_that_is_dropped() {
    // vllm-project/vllm#46835.
    let (rows, width) = (6, 64);
    let product = noise(41, rows * width);
    let bias = noise(42, width);
    let with = single(
        product
            .iter()
            .zip(bias.iter().cycle())
            .map(|(x, bias)| x + bias)
            .collect(),
    );
    let of = |data| Memory::default().with("logits", &[rows, width], data);
    let claim = proven(&explained(&of(with), &of(product), "logits"), "P026");
    assert!(claim.contains("one and the same vector"), "{claim}");
}

#[test]
fn frequency_factors_of_the_long_context() {
    // ggml-org/llama.cpp#24823: LongRoPE's other table; ggml-org/llama.cpp#8676: some frequencies blended otherwise.
    let q = noise(43, 12 * HEADS * LANES);
    let turned = |factors: [f64; LANES / 2]| {
        let rows = rotate(
            &q,
            HEADS,
            LANES,
            |row, pair| angle(row as f64, pair) / factors[pair],
            |pair| (pair, pair + LANES / 2),
        );
        Memory::default()
            .with("layer_0_q", &[12, HEADS, LANES], q.clone())
            .with("layer_0_q_rope", &[12, HEADS, LANES], rows)
    };
    for factors in [[1.05, 1.8, 7.5, 31.0], [1.0, 1.3, 4.2, 1.0]] {
        let found = explained(&turned([1.0; 4]), &turned(factors), "layer_0_q_rope");
        let claim = proven(&found, "P041");
        assert!(claim.contains("other frequencies"), "{claim}");
    }
}

#[test]
fn rotation_in_a_layer_that_has_none() {
    // JacobCallahan/camelid#535, and the false alarm huggingface/transformers#43756: the layers agree, so nothing is said.
    let q = noise(44, 12 * HEADS * LANES);
    let turned = rotate(
        &q,
        HEADS,
        LANES,
        |row, pair| angle(row as f64, pair),
        |pair| (pair, pair + LANES / 2),
    );
    let of = |rows: &[f64]| {
        Memory::default()
            .with("layer_0_q", &[12, HEADS, LANES], q.clone())
            .with("layer_0_q_rope", &[12, HEADS, LANES], rows.to_vec())
    };
    let claim = proven(&explained(&of(&q), &of(&turned), "layer_0_q_rope"), "P033");
    assert!(claim.contains("are rotated"), "{claim}");
    let found = explained(&of(&q), &of(&q), "layer_0_q_rope");
    assert!(found.causes.is_empty(), "{}", found.summary());
}

/// One layer of scores from logged queries and keys, a number added to each.
fn scored(fused: &Fused, added: impl Fn(usize, usize) -> f64) -> Memory {
    let mut scores = Vec::new();
    for row in 0..TOKENS {
        for head in 0..4 {
            for column in 0..TOKENS {
                let dot: f64 = (0..LANES)
                    .map(|lane| {
                        fused.q[(row * 4 + head) * LANES + lane]
                            * fused.k[(column * HEADS + head / 2) * LANES + lane]
                    })
                    .sum();
                let distance = row as i64 - column as i64;
                scores.push(dot * SCALE + added(head, distance.max(0) as usize));
            }
        }
    }
    fused.trace(vec![0.0; TOKENS * 4 * LANES]).with(
        "layer_0_attn_scores",
        &[TOKENS, 4, TOKENS],
        single(scores),
    )
}

#[test]
fn a_table_of_relative_positions_read_at_another_place() {
    // NVIDIA/TensorRT-LLM#1343.
    let fused = Fused::new();
    let table = noise(45, 4 * (TOKENS + 1));
    let right = scored(&fused, |head, distance| {
        table[head * (TOKENS + 1) + distance]
    });
    let wrong = scored(&fused, |head, distance| {
        table[head * (TOKENS + 1) + distance + 1]
    });
    let claim = proven(&explained(&right, &wrong, "layer_0_attn_scores"), "P063");
    assert!(claim.contains("distance alone"), "{claim}");
    // huggingface/transformers#8518: a bias that the candidate rightly does not have.
    let none = scored(&fused, |_, _| 0.0);
    let found = explained(&right, &none, "layer_0_attn_scores");
    assert!(
        found
            .causes
            .iter()
            .all(|cause| cause.certainty != Certainty::Proven)
            || found.outcome == Outcome::ReferenceDiffers,
        "{}",
        found.summary()
    );
    // paiml/aprender#2143: ALiBi's slopes with their exponent off by one.
    let slope = |head: usize, by: f64| (-8.0 * (head as f64 + by) / 4.0).exp2();
    let alibi = |by: f64| {
        scored(&fused, move |head, distance| {
            -slope(head, by) * distance as f64
        })
    };
    proven(
        &explained(&none, &alibi(1.0), "layer_0_attn_scores"),
        "P063",
    );
    proven(
        &explained(&alibi(1.0), &alibi(0.0), "layer_0_attn_scores"),
        "P063",
    );
}

#[test]
fn pages_past_the_end_of_the_sequence() {
    // pegainfer-project/pegainfer#350: a page of sixteen keys of zeros.
    let fused = Fused::new();
    let padded = |values: &[f64]| [values, &[0.0; 16 * HEADS * LANES]].concat();
    let (k, v) = (padded(&fused.k), padded(&fused.v));
    let mut context = Vec::new();
    for row in 0..TOKENS {
        for head in 0..4 {
            let key = |column: usize, lane: usize| k[(column * HEADS + head / 2) * LANES + lane];
            let columns: Vec<usize> = (0..=row).chain(TOKENS..TOKENS + 16).collect();
            let weights: Vec<f64> = columns
                .iter()
                .map(|column| {
                    let dot: f64 = (0..LANES)
                        .map(|lane| fused.q[(row * 4 + head) * LANES + lane] * key(*column, lane))
                        .sum();
                    (dot * SCALE).exp()
                })
                .collect();
            let total: f64 = weights.iter().sum();
            context.extend((0..LANES).map(|lane| {
                let of = |(column, weight): (&usize, &f64)| {
                    weight / total * v[(column * HEADS + head / 2) * LANES + lane]
                };
                columns.iter().zip(&weights).map(of).sum::<f64>()
            }));
        }
    }
    let claim = proven(&fused.explained(single(context)), "P062");
    assert!(claim.contains("further logit"), "{claim}");
    let found = fused.explained(attended_with_zero_keys(&fused));
    let looks_like = found.causes[0].fit.parameters[0].looks_like.clone();
    assert!(looks_like.is_some_and(|look| look.contains("16 keys of zeros")));
}

/// The same through the definition of fused attention: sixteen times e^0 more in every denominator.
fn attended_with_zero_keys(fused: &Fused) -> Vec<f64> {
    let plain = attend(
        &fused.q,
        &fused.k,
        &fused.v,
        |head| head / 2,
        SCALE,
        |row, column| column <= row,
    );
    let mut out = Vec::new();
    for row in 0..TOKENS {
        for head in 0..4 {
            let total: f64 = (0..=row)
                .map(|column| {
                    let dot: f64 = (0..LANES)
                        .map(|lane| {
                            fused.q[(row * 4 + head) * LANES + lane]
                                * fused.k[(column * HEADS + head / 2) * LANES + lane]
                        })
                        .sum();
                    (dot * SCALE).exp()
                })
                .sum();
            let rows = &plain[(row * 4 + head) * LANES..][..LANES];
            out.extend(rows.iter().map(|x| x * total / (total + 16.0)));
        }
    }
    single(out)
}

#[test]
fn layers_with_and_without_a_window_exchanged() {
    // huggingface/transformers#31775, and huggingface/transformers#39408: one key more than the window has.
    let fused = Fused::new();
    let windowed = |window: usize| {
        let sees = move |row: usize, column: usize| column <= row && row - column < window;
        fused.trace(fused.context(&fused.q, |head| head / 2, SCALE, sees))
    };
    let at = "layer_0_attn_context";
    for (right, wrong) in [(4, TOKENS), (TOKENS, 4), (4, 5)] {
        let found = explained(&windowed(right), &windowed(wrong), at);
        let claim = first(&found, "P060", found.causes[0].certainty);
        assert!(!claim.is_empty());
    }
}

#[test]
fn padding_on_the_left_that_is_not_masked() {
    // ml-explore/mlx-lm#1906.
    let fused = Fused::new();
    let hidden = |first: usize| {
        // A row of padding sees itself.
        let sees =
            move |row: usize, column: usize| column <= row && (column >= first || column == row);
        fused.trace(fused.context(&fused.q, |head| head / 2, SCALE, sees))
    };
    let found = explained(&hidden(2), &hidden(0), "layer_0_attn_context");
    assert!(
        found.causes.iter().all(|cause| cause.page.code == "P060")
            || found.outcome == Outcome::ReferenceDiffers,
        "{}",
        found.summary()
    );
    proven(
        &explained(&hidden(0), &hidden(1), "layer_0_attn_context"),
        "P060",
    );
}

#[test]
fn nan_from_a_fixed_token_on() {
    // kekzl/imp#1282: born inside one operation, at one position whatever the prompt.
    let (rows, width) = (9, 16);
    let x = noise(46, rows * width);
    let weight = noise(47, width);
    let mut normed = Vec::new();
    for row in x.chunks(width) {
        let square: f64 = row.iter().map(|x| x * x).sum::<f64>() / width as f64;
        normed.extend(
            row.iter()
                .zip(&weight)
                .map(|(x, w)| x / (square + 1e-5).sqrt() * w),
        );
    }
    let normed = single(normed);
    let mut wrong = normed.clone();
    wrong[6 * width..].fill(f64::NAN);
    let of = |normed: Vec<f64>| {
        Memory::default()
            .with("layer_0_attn_residual", &[rows, width], x.clone())
            .with("layer_0_ffn_norm", &[rows, width], normed)
    };
    let claim = proven(
        &explained(&of(normed), &of(wrong), "layer_0_ffn_norm"),
        "P006",
    );
    assert!(claim.contains("6 to 8"), "{claim}");
}

#[test]
fn a_scale_folded_into_the_wrong_norm() {
    // mlx-node/mlx-node#87: AWQ divides a matrix by s and multiplies the norm before it with s.
    let (rows, width) = (9, 16);
    let x = noise(48, rows * width);
    let weight = noise(49, width);
    let fold: Vec<f64> = noise(50, width).iter().map(|x| 1.5 + x).collect();
    let with = |weight: &dyn Fn(usize) -> f64| {
        let mut normed = Vec::new();
        for row in x.chunks(width) {
            let square: f64 = row.iter().map(|x| x * x).sum::<f64>() / width as f64;
            normed.extend(
                row.iter()
                    .enumerate()
                    .map(|(lane, x)| x / (square + 1e-6).sqrt() * weight(lane)),
            );
        }
        Memory::default()
            .with("layer_0_attn_residual", &[rows, width], x.clone())
            .with("layer_0_ffn_norm", &[rows, width], single(normed))
    };
    let (right, wrong) = (
        with(&|lane| weight[lane]),
        with(&|lane| weight[lane] / fold[lane]),
    );
    let claim = proven(&explained(&right, &wrong, "layer_0_ffn_norm"), "P019");
    assert!(claim.contains("every lane"), "{claim}");
    // Two lanes only.
    let two = with(&|lane| if lane == 3 || lane == 7 { 2.0 } else { 1.0 } * weight[lane]);
    let claim = proven(&explained(&right, &two, "layer_0_ffn_norm"), "P019");
    assert!(claim.contains("lanes 3 and 7"), "{claim}");
}

#[test]
fn a_fused_projection_of_two_shards_cut_as_one() {
    // vllm-project/vllm#42803: each shard has queries, keys and values of its own.
    let (rows, heads, groups) = (5, 4, 2);
    let q = noise(51, rows * heads * LANES);
    let (k, v) = (
        noise(52, rows * groups * LANES),
        noise(53, rows * groups * LANES),
    );
    let of = |q: Vec<f64>, k: Vec<f64>, v: Vec<f64>| {
        Memory::default()
            .with("layer_0_q", &[rows, heads, LANES], q)
            .with("layer_0_k", &[rows, groups, LANES], k)
            .with("layer_0_v", &[rows, groups, LANES], v)
    };
    let mut cut = (Vec::new(), Vec::new(), Vec::new());
    for row in 0..rows {
        let part = |x: &[f64], heads: usize, head: usize, n: usize| {
            x[(row * heads + head) * LANES..][..n * LANES].to_vec()
        };
        let shards: Vec<f64> = (0..2)
            .flat_map(|shard| {
                [
                    part(&q, heads, 2 * shard, 2),
                    part(&k, groups, shard, 1),
                    part(&v, groups, shard, 1),
                ]
                .concat()
            })
            .collect();
        cut.0.extend_from_slice(&shards[..heads * LANES]);
        cut.1
            .extend_from_slice(&shards[heads * LANES..][..groups * LANES]);
        cut.2.extend_from_slice(&shards[(heads + groups) * LANES..]);
    }
    let (reference, candidate) = (of(q, k, v), of(cut.0, cut.1, cut.2));
    for checkpoint in ["layer_0_q", "layer_0_k", "layer_0_v"] {
        let found = explained(&reference, &candidate, checkpoint);
        proven(&found, "P024");
    }
}

#[test]
fn an_adapter_without_its_scale() {
    // hao-ai-lab/FastVideo#870: alpha / rank left out; NeuraLegion/shainet#176: 1/√64 left out.
    let delta = noise(54, 6 * 32);
    let of = |by: f64| {
        let scaled = single(delta.iter().map(|x| by * x).collect());
        Memory::default().with("layer_0_lora_delta", &[6, 32], scaled)
    };
    let found = explained(&of(2.0), &of(1.0), "layer_0_lora_delta");
    let claim = proven(&found, "P003");
    assert!(claim.contains("0.5 times"), "{claim}");
    proven(
        &explained(&of(0.125), &of(1.0), "layer_0_lora_delta"),
        "P003",
    );
}

#[test]
fn nan_is_not_explained_by_numbers_fitted_to_it() {
    // Neither a bias, nor a factor, nor a weight of NaN is a cause.
    let (rows, width) = (6, 16);
    let (x, weight) = (noise(55, rows * width), noise(56, width));
    let normed: Vec<f64> = x
        .iter()
        .zip(weight.iter().cycle())
        .map(|(x, w)| x * w)
        .collect();
    for checkpoint in [
        "logits",
        "layer_0_ffn_norm",
        "layer_0_attn_scores",
        "layer_0_lora_delta",
    ] {
        let of = |data: Vec<f64>| {
            let shape = if checkpoint.ends_with("scores") {
                vec![rows, 1, width]
            } else {
                vec![rows, width]
            };
            // The input is as far from a number as the output: NaN came in with it.
            let input = if data[0].is_nan() {
                vec![f64::NAN; rows * width]
            } else {
                x.clone()
            };
            Memory::default()
                .with("layer_0_attn_residual", &[rows, width], input)
                .with(checkpoint, &shape, data)
        };
        let found = explained(
            &of(normed.clone()),
            &of(vec![f64::NAN; rows * width]),
            checkpoint,
        );
        assert!(found.causes.is_empty(), "{checkpoint}: {}", found.summary());
    }
}

#[test]
fn a_result_in_a_narrow_type_is_given_that_type() {
    let right = noise(50, 4 * 64);
    let of = |logged: Vec<f64>| Memory::default().with("layer_0_ffn_out", &[4, 64], logged);
    // Eleven and eight significant digits to nearest; eleven towards zero, as tensor cores cut.
    let digits = |x: f64, digits: i32| {
        let spacing = (x.abs().log2().floor() + 1.0 - f64::from(digits)).exp2();
        (x / spacing, spacing)
    };
    let nearest = |n| move |x: &f64| (digits(*x, n).0.round_ties_even()) * digits(*x, n).1;
    let cut = |x: &f64| digits(*x, 11).0.trunc() * digits(*x, 11).1;
    for (narrow, name) in [
        (right.iter().map(nearest(11)).collect(), "f16"),
        (right.iter().map(nearest(8)).collect(), "bf16"),
        (right.iter().map(cut).collect::<Vec<f64>>(), "tf32"),
    ] {
        let found = explained(&of(right.clone()), &of(narrow), "layer_0_ffn_out");
        let claim = proven(&found, "P005");
        assert!(claim.ends_with(&format!("rounded to {name}")), "{claim}");
    }
}

#[test]
fn one_row_of_a_norm_proves_no_factor() {
    // Of a prompt of one token any mistake in the mean square is a factor, and some epsilon makes it, too.
    let width = 48;
    let (x, weight) = (noise(51, 6 * width), noise(52, width));
    let of = |rows: usize, wrong: f64| {
        let mut normed = Vec::new();
        for row in x[..rows * width].chunks(width) {
            let square: f64 = row.iter().map(|x| x * x).sum::<f64>() / width as f64;
            let lanes = row.iter().zip(&weight);
            normed.extend(lanes.map(|(x, w)| wrong * x / (square + 1e-6).sqrt() * w));
        }
        Memory::default()
            .with("embedding", &[rows, width], x[..rows * width].to_vec())
            .with("layer_0_attn_norm", &[rows, width], single(normed))
    };
    for factor in [0.9, 1.1] {
        let found = explained(&of(1, 1.0), &of(1, factor), "layer_0_attn_norm");
        let named = found.causes.iter().map(|cause| cause.page.code);
        assert!(
            named.clone().all(|code| code != "P003" && code != "P010"),
            "{}",
            found.summary()
        );
        let found = explained(&of(6, 1.0), &of(6, factor), "layer_0_attn_norm");
        proven(&found, "P003");
    }
}
