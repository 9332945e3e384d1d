//! Operations and hypotheses on numbers that can be checked by hand.
#![allow(clippy::unwrap_used, reason = "tests")]

use orch_log::format::Dtype;
use parity::recompute::{
    Arithmetic, Change, Factor, Failure, Frequencies, HeadMap, Hparams, Hypothesis, Inputs, Kind,
    Metadata, Operation, Pairing, Positions, Statistic, TensorInfo, Weight, WeightLayout, Weights,
    multiply, operation, recompute,
};
use parity::tensor::Dense;
use std::collections::BTreeMap;

/// A model of one block: embedding 4, two query heads and one key head of two lanes, theta 100.
struct Small {
    hparams: Hparams,
    weights: BTreeMap<String, Weight>,
}

struct Keys;

impl Metadata for Keys {
    fn number(&self, key: &str) -> Option<f64> {
        Some(match key {
            "qwen2.block_count" => 1.0,
            "qwen2.embedding_length" => 4.0,
            "qwen2.attention.head_count" => 2.0,
            "qwen2.attention.head_count_kv" => 1.0,
            "qwen2.attention.layer_norm_rms_epsilon" => 0.5,
            "qwen2.rope.freq_base" => 100.0,
            _ => return None,
        })
    }

    fn text(&self, key: &str) -> Option<String> {
        (key == "general.architecture").then(|| "qwen2".to_owned())
    }
}

impl Small {
    fn new() -> Self {
        let rising = |n: usize| (1..=n).map(|x| x as f32).collect::<Vec<f32>>();
        let tensors: [(&str, Vec<usize>, Vec<f32>); 7] = [
            ("token_embd.weight", vec![3, 4], rising(12)),
            ("blk.0.attn_norm.weight", vec![4], vec![1.0, 2.0, 1.0, -1.0]),
            ("blk.0.attn_q.weight", vec![4, 4], rising(16)),
            ("blk.0.attn_q.bias", vec![4], vec![0.5, 0.0, 0.0, -0.5]),
            ("blk.0.attn_k.weight", vec![2, 4], rising(8)),
            ("blk.0.ffn_up.weight", vec![2, 4], rising(8)),
            ("blk.0.ffn_gate.weight", vec![2, 4], rising(8)),
        ];
        let mut infos = BTreeMap::new();
        let mut weights = BTreeMap::new();
        for (name, shape, data) in tensors {
            let info = TensorInfo {
                shape: shape.clone(),
                dtype: "f32".to_owned(),
            };
            infos.insert(name.to_owned(), info);
            let weight = Weight {
                shape,
                data: data.into(),
                dtype: "f32".to_owned(),
            };
            weights.insert(name.to_owned(), weight);
        }
        Self {
            hparams: Hparams::read(&Keys, infos).unwrap(),
            weights,
        }
    }

    fn operation(&self, checkpoint: &str) -> Operation {
        operation(&self.hparams, checkpoint).unwrap()
    }

    /// Elements of what `checkpoint` is under a hypothesis, for rows from position `first` on.
    fn at(&self, checkpoint: &str, first: i64, x: &[Dense], changes: &[Change]) -> Vec<f64> {
        self.engine(checkpoint, first, x, changes, Arithmetic::F64)
            .unwrap()
    }

    fn engine(
        &self,
        checkpoint: &str,
        first: i64,
        x: &[Dense],
        changes: &[Change],
        arithmetic: Arithmetic,
    ) -> Result<Vec<f64>, Failure> {
        let tokens = x[0].n_rows();
        let inputs = Inputs {
            first,
            tokens,
            pass_first: vec![first; tokens],
            tensors: x.to_vec(),
        };
        let hypothesis = Hypothesis {
            changes: changes.to_vec(),
        };
        let operation = self.operation(checkpoint);
        recompute(&operation, &inputs, self, arithmetic, &hypothesis).map(|dense| dense.data)
    }
}

impl Weights for Small {
    fn hparams(&self) -> &Hparams {
        &self.hparams
    }

    fn tensor(&self, name: &str) -> Result<Option<Weight>, parity::Error> {
        Ok(self.weights.get(name).cloned())
    }

    fn matmul(
        &self,
        weight: &str,
        x: &Dense,
        _: Arithmetic,
    ) -> Result<Option<Dense>, parity::Error> {
        let weight = &self.weights[weight];
        let data = multiply(&x.data, weight.row_len(), &weight.data);
        Ok(Dense::new(vec![x.n_rows(), weight.shape[0]], data))
    }
}

fn dense(shape: &[usize], data: &[f64]) -> Dense {
    Dense::new(shape.to_vec(), data.to_vec()).unwrap()
}

#[track_caller]
fn near(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    let close = |(f, e): (&f64, &f64)| (f - e).abs() <= 1e-12 * e.abs().max(1.0);
    assert!(
        found.iter().zip(expected).all(close),
        "{found:?} instead of {expected:?}"
    );
}

#[test]
fn the_graph_of_a_block() {
    let small = Small::new();
    let inputs = |name: &str| {
        let of = small.operation(name).inputs;
        of.into_iter().map(|one| one.checkpoint).collect::<Vec<_>>()
    };
    assert_eq!(inputs("embedding"), ["tokens"]);
    assert_eq!(inputs("layer_0_attn_norm"), ["embedding"]);
    assert_eq!(inputs("layer_0_k_rope"), ["layer_0_k"]);
    assert_eq!(
        inputs("layer_0_attn_scores"),
        ["layer_0_q_rope", "layer_0_k_rope"]
    );
    assert_eq!(
        inputs("layer_0_attn_residual"),
        ["layer_0_attn_out", "embedding"]
    );
    assert_eq!(
        inputs("layer_0_ffn_act"),
        ["layer_0_ffn_gate", "layer_0_ffn_up"]
    );
    for absent in [
        "tokens",
        "layer_1_q",
        "layer_0_q_norm",
        "layer_0_v",
        "layer_0_ffn_router",
        "x",
    ] {
        assert_eq!(operation(&small.hparams, absent), None, "{absent}");
    }
    assert_eq!(
        small.operation("layer_0_q").weights(),
        ["blk.0.attn_q.weight", "blk.0.attn_q.bias"]
    );
    // The embedding's matrix, where the model has none of its own.
    assert_eq!(small.operation("logits").weights(), ["token_embd.weight"]);
}

#[test]
fn norms() {
    // Mean of squares (1 + 9 + 25 + 1) / 4 = 9; their sum 36; mean 2, variance 5.
    let small = Small::new();
    let x = [dense(&[1, 4], &[1.0, 3.0, 5.0, -1.0])];
    let norm = |changes: &[Change]| small.at("layer_0_attn_norm", 0, &x, changes);
    let over = |root: f64| [1.0 / root, 6.0 / root, 5.0 / root, 1.0 / root];
    near(&norm(&[]), &over(9.5_f64.sqrt()));
    near(&norm(&[Change::Eps(0.0)]), &over(3.0));
    near(&norm(&[Change::EpsOutside]), &over(3.5));
    near(
        &norm(&[Change::Statistic(Statistic::Sum), Change::Eps(0.0)]),
        &over(6.0),
    );
    near(
        &norm(&[Change::Inverted, Change::Eps(0.0)]),
        &over(1.0 / 3.0),
    );
    let plain = [1.0 / 3.0, 1.0, 5.0 / 3.0, -1.0 / 3.0];
    near(
        &norm(&[Change::Factor(Factor::One), Change::Eps(0.0)]),
        &plain,
    );
    let plus = [2.0 / 3.0, 3.0, 10.0 / 3.0, 0.0];
    near(
        &norm(&[Change::Factor(Factor::OnePlus), Change::Eps(0.0)]),
        &plus,
    );
    let centred = [
        Change::Centred(true),
        Change::Eps(4.0),
        Change::Factor(Factor::One),
    ];
    near(&norm(&centred), &[-1.0 / 3.0, 1.0 / 3.0, 1.0, -1.0]);
    near(&norm(&[Change::NormSkipped]), &x[0].data);
    // Pairs of 1, 3 and 5, -1: means of squares 5 and 13.
    let (a, b) = (5_f64.sqrt(), 13_f64.sqrt());
    near(
        &norm(&[Change::Group(2), Change::Eps(0.0)]),
        &[1.0 / a, 6.0 / a, 5.0 / b, 1.0 / b],
    );
}

#[test]
fn products() {
    // Rows 1 2 3 4, 5 6 7 8, …
    let small = Small::new();
    let x = [dense(&[1, 4], &[1.0, 0.0, 0.0, 2.0])];
    let q = |changes: &[Change]| small.at("layer_0_q", 0, &x, changes);
    let none = Change::Bias(None);
    near(&q(&[]), &[9.5, 21.0, 33.0, 44.5]);
    near(&q(std::slice::from_ref(&none)), &[9.0, 21.0, 33.0, 45.0]);
    let with = |change: Change| q(&[none.clone(), change]);
    near(
        &with(Change::Layout(WeightLayout::Reinterpreted)),
        &[27.0, 30.0, 33.0, 36.0],
    );
    // Rows from elements 0, 5, 10 and 15: 1 2 3 4, 6 7 8 9, 11 12 13 14, 16 1 2 3.
    near(
        &with(Change::Layout(WeightLayout::Leading { elements: 5 })),
        &[9.0, 24.0, 39.0, 22.0],
    );
    near(
        &with(Change::WeightColumns(vec![3, 1, 2, 0])),
        &[6.0, 18.0, 30.0, 42.0],
    );
    near(
        &with(Change::WeightRows(vec![3, 2, 1, 0])),
        &[45.0, 33.0, 21.0, 9.0],
    );
    let other = [
        none.clone(),
        Change::Weight("token_embd.weight".into()),
        Change::WeightRows(vec![0, 1, 2, 0]),
    ];
    near(&q(&other), &[9.0, 21.0, 33.0, 9.0]);
    // Two rows of four, read as four rows of two and transposed: 1 3 5 7, 2 4 6 8.
    let up = small.at(
        "layer_0_ffn_up",
        0,
        &x,
        &[Change::Layout(WeightLayout::Reinterpreted)],
    );
    near(&up, &[15.0, 18.0]);
    let missing = [Change::Weight("blk.7.attn_q.weight".into())];
    let missing = small.engine("layer_0_q", 0, &x, &missing, Arithmetic::F64);
    assert!(matches!(missing, Err(Failure::NoWeight(name)) if name == "blk.7.attn_q.weight"));
    let wrong = small.engine("layer_0_q", 0, &x, &[Change::Theta(1.0)], Arithmetic::F64);
    assert!(matches!(wrong, Err(Failure::NotApplicable)));
}

#[test]
fn rotations() {
    // One head of two lanes is one pair, which turns by one radian a position.
    let small = Small::new();
    let x = [dense(&[2, 1, 2], &[1.0, 0.0, 0.0, 2.0])];
    let rope = |changes: &[Change]| small.at("layer_0_k_rope", 3, &x, changes);
    let turned = |a: f64, b: f64| [a.cos(), a.sin(), -2.0 * b.sin(), 2.0 * b.cos()];
    near(&rope(&[]), &turned(3.0, 4.0));
    near(&rope(&[Change::Reversed]), &turned(-3.0, -4.0));
    let position = |position| rope(&[Change::Position(position)]);
    near(&position(Positions::Row), &turned(0.0, 1.0));
    near(&position(Positions::First), &turned(3.0, 3.0));
    near(&position(Positions::Head), &turned(0.0, 0.0));
    let shifted = Positions::Absolute {
        offset: -1.0,
        scale: 0.5,
    };
    near(&position(shifted), &turned(0.5, 1.0));
    near(&rope(&[Change::RopeTimes(2)]), &turned(6.0, 8.0));
    near(&rope(&[Change::RopeTimes(0)]), &x[0].data);
    near(&rope(&[Change::RopeDims(0)]), &x[0].data);
    near(
        &rope(&[Change::Frequencies(Frequencies::Given(vec![2.0]))]),
        &turned(1.5, 2.0),
    );
    near(
        &rope(&[Change::Amplitude(2.0)]),
        &turned(3.0, 4.0).map(|x| 2.0 * x),
    );

    // Four lanes: angles p and p/10 with base 100; halves pair lanes 0 and 2.
    let x = [dense(&[1, 1, 4], &[1.0, 1.0, 0.0, 0.0])];
    let wide = |changes: &[Change]| {
        let all = [&[Change::RopeDims(4)], changes].concat();
        small.at("layer_0_k_rope", 2, &x, &all)
    };
    let (c, s, cs, ss) = (2_f64.cos(), 2_f64.sin(), 0.2_f64.cos(), 0.2_f64.sin());
    near(&wide(&[]), &[c, cs, s, ss]);
    near(&wide(&[Change::Theta(1.0)]), &[c, c, s, s]);
    near(&wide(&[Change::Exponent(0.0)]), &[c, c, s, s]);
    near(
        &wide(&[Change::Pairing(Pairing::Adjacent)]),
        &[c - s, c + s, 0.0, 0.0],
    );
    near(
        &wide(&[Change::RopeOutput(Pairing::Adjacent)]),
        &[c, s, cs, ss],
    );
}

#[test]
fn attention() {
    let small = Small::new();
    // Two tokens, two heads, two lanes; two keys of one head.
    let q = dense(&[2, 2, 2], &[1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 2.0, 0.0]);
    let k = dense(&[2, 1, 2], &[1.0, 2.0, 3.0, 5.0]);
    let scores =
        |changes: &[Change]| small.at("layer_0_attn_scores", 0, &[q.clone(), k.clone()], changes);
    let products = [1.0, 3.0, 2.0, 5.0, 3.0, 8.0, 2.0, 6.0];
    near(&scores(&[]), &products.map(|x| x / 2_f64.sqrt()));
    near(&scores(&[Change::Scale(1.0)]), &products);
    let capped = scores(&[Change::Scale(1.0), Change::Cap(Some(2.0))]);
    near(&capped, &products.map(|x| 2.0 * (x / 2.0).tanh()));
    // There is no second key head to be met.
    let given = [Change::Heads(HeadMap::Given(vec![0, 1]))];
    let outside = small.engine("layer_0_attn_scores", 0, &[q, k], &given, Arithmetic::F64);
    assert!(matches!(outside, Err(Failure::Shape(_))));

    // One head, two rows, three keys: e⁰ = 1, e^ln2 = 2, e^ln4 = 4.
    let (two, four) = (2_f64.ln(), 4_f64.ln());
    let scores = [dense(&[2, 1, 3], &[0.0, two, four, 0.0, two, four])];
    let probs = |changes: &[Change]| small.at("layer_0_attn_probs", 1, &scores, changes);
    let (third, seventh) = (1.0 / 3.0, 1.0 / 7.0);
    let all = [seventh, 2.0 * seventh, 4.0 * seventh];
    near(
        &probs(&[]),
        &[&[third, 2.0 * third, 0.0][..], &all].concat(),
    );
    near(&probs(&[Change::Ahead(None)]), &[all, all].concat());
    near(&probs(&[Change::Ahead(Some(1))]), &[all, all].concat());
    near(
        &probs(&[Change::Ahead(Some(-1))]),
        &[1.0, 0.0, 0.0, third, 2.0 * third, 0.0],
    );
    let window = [third, 2.0 * third, 0.0, 0.0, third, 2.0 * third];
    near(&probs(&[Change::Window(Some(2))]), &window);
    near(
        &probs(&[Change::Hidden(vec![0])]),
        &[0.0, 1.0, 0.0, 0.0, third, 2.0 * third],
    );
    near(&probs(&[Change::Hidden(vec![0, 1])])[..3], &[0.0; 3]);
}

#[test]
fn a_cache_of_eight_bits() {
    // 17 lies between 16 and 18 in E4M3; of a tie the even one.
    let small = Small::new();
    let q = dense(&[1, 2, 2], &[1.0, 0.0, 0.0, 1.0]);
    let k = dense(&[1, 1, 2], &[17.0, 17.5]);
    let scores = |arithmetic| {
        let changes = [Change::Scale(1.0), Change::Cache(Dtype::F8E4m3)];
        let inputs = [q.clone(), k.clone()];
        let scores = small.engine("layer_0_attn_scores", 0, &inputs, &changes, arithmetic);
        scores.unwrap()
    };
    near(&scores(Arithmetic::Engine), &[16.0, 18.0]);
    near(&scores(Arithmetic::F64), &[17.0, 17.5]);
    let unknown = [Change::Cache(Dtype::parse("q4_0").unwrap())];
    let unknown = small.engine(
        "layer_0_attn_scores",
        0,
        &[q, k],
        &unknown,
        Arithmetic::Engine,
    );
    assert!(matches!(unknown, Err(Failure::NotEmulated(_))));
}

#[test]
fn sums_lookups_and_gates() {
    let small = Small::new();
    let (a, b) = (dense(&[1, 2], &[1.0, 2.0]), dense(&[1, 2], &[10.0, 20.0]));
    let inputs = [a, b];
    near(
        &small.at("layer_0_attn_residual", 0, &inputs, &[]),
        &[11.0, 22.0],
    );
    let twice = [Change::Factors(vec![0.5, 2.0])];
    near(
        &small.at("layer_0_attn_residual", 0, &inputs, &twice),
        &[20.5, 41.0],
    );
    let silu = |x: f64| x / (1.0 + (-x).exp());
    near(
        &small.at("layer_0_ffn_act", 0, &inputs, &[]),
        &[10.0 * silu(1.0), 20.0 * silu(2.0)],
    );
    let exchanged = small.at("layer_0_ffn_act", 0, &inputs, &[Change::Exchanged]);
    near(&exchanged, &[silu(10.0), 2.0 * silu(20.0)]);
    let alone = small.at("layer_0_ffn_act", 0, &inputs, &[Change::Gated(false)]);
    near(&alone, &[silu(1.0), silu(2.0)]);
    let ids = [dense(&[2], &[2.0, 0.0])];
    let rows = [9.0, 10.0, 11.0, 12.0, 1.0, 2.0, 3.0, 4.0];
    near(&small.at("embedding", 0, &ids, &[]), &rows);
    let beyond = small.engine("embedding", 0, &[dense(&[1], &[3.0])], &[], Arithmetic::F64);
    assert!(matches!(beyond, Err(Failure::Shape(_))));
}

#[test]
fn an_architecture_that_is_not_known_is_refused() {
    struct Mamba;
    impl Metadata for Mamba {
        fn number(&self, _: &str) -> Option<f64> {
            None
        }
        fn text(&self, _: &str) -> Option<String> {
            Some("mamba".to_owned())
        }
    }
    let refused = Hparams::read(&Mamba, BTreeMap::new()).unwrap_err();
    assert!(refused.starts_with("architecture `mamba` is not known here, only llama, "));
    let small = Small::new();
    let Kind::Rope(rope) = small.operation("layer_0_q_rope").kind else {
        panic!("a rotation");
    };
    assert_eq!(
        (rope.theta, rope.dims, rope.pairing),
        (100.0, 2, Pairing::Halves)
    );
}

#[test]
fn eight_bit_products_in_long_blocks() {
    let mut small = Small::new();
    let mut row = vec![0.0_f32; 256];
    row[1..4].copy_from_slice(&[1.0, 2.0, -1.0]);
    let weight = Weight {
        shape: vec![4, 256],
        data: row.repeat(4).into(),
        dtype: "q8_0".to_owned(),
    };
    let info = TensorInfo {
        shape: weight.shape.clone(),
        dtype: weight.dtype.clone(),
    };
    let name = "blk.0.attn_q.weight".to_owned();
    small.hparams.tensors.insert(name.clone(), info);
    small.weights.insert(name, weight);
    let mut x = vec![0.0; 256];
    x[..4].copy_from_slice(&[254.0, 100.9, -3.1, 7.2]);
    let x = [dense(&[1, 256], &x)];
    let by = |arithmetic| small.engine("layer_0_q", 0, &x, &[], arithmetic);
    // Steps of 2: 100.9, -3.1 and 7.2 become 100, -4 and 8. Then the bias.
    for (arithmetic, product) in [
        (Arithmetic::F64, 100.9 - 6.2 - 7.2),
        (Arithmetic::LongBlocks, 100.0 - 8.0 - 8.0),
    ] {
        let found = by(arithmetic).unwrap();
        for (found, bias) in found.iter().zip([0.5, 0.0, 0.0, -0.5]) {
            assert!((found - product - bias).abs() < 1e-4, "{found}");
        }
    }
    // Nothing else is computed so: no weights in f32, no norm.
    for (checkpoint, x) in [("layer_0_k", &x[..]), ("layer_0_attn_norm", &x[..])] {
        let found = small.engine(checkpoint, 0, x, &[], Arithmetic::LongBlocks);
        assert!(
            matches!(found, Err(Failure::NotEmulated(_))),
            "{checkpoint}"
        );
    }
}
