//! Every kernel gives the same bits, and they are right.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use half::{bf16, f16};
use orch_log::format::Dtype;
use parity::measure::{BLOCK, DiffHistogram, Kernel, Partial, Ulp};
use parity::tensor::Block;
use proptest::prelude::*;

const DTYPES: [Dtype; 7] = [
    Dtype::F32,
    Dtype::Bf16,
    Dtype::F16,
    Dtype::F8E4m3,
    Dtype::F8E5m2,
    Dtype::F64,
    Dtype::I32,
];

/// Equal in every bit: `==` takes −0 for 0 and tells NaN from itself, the printed digits do neither.
fn assert_same(a: &Partial, b: &Partial, what: &str) {
    assert!(
        format!("{a:?}") == format!("{b:?}"),
        "{what}: {a:?}\nand {b:?}"
    );
}

fn of(reference: &[f32], candidate: &[f32], dtype: Dtype, kernel: Kernel) -> Partial {
    Partial::of_block(
        Block::F32(reference),
        Block::F32(candidate),
        1000,
        Ulp::of(dtype),
        kernel,
    )
}

/// Any bits at all, and ordinary numbers that nearly agree.
fn pair() -> impl Strategy<Value = (f32, f32)> {
    let any_bits = || any::<u32>().prop_map(f32::from_bits);
    prop_oneof![
        1 => (any_bits(), any_bits()),
        4 => (-4.0_f32..4.0, -20_i32..0, any::<bool>()).prop_map(|(x, e, up)| {
            let change = 2_f32.powi(e) * if up { 1.0 } else { -1.0 };
            (x, x * (1.0 + change))
        }),
        2 => (-1e-38_f32..1e-38, -1e-38_f32..1e-38),
        1 => any_bits().prop_map(|x| (x, x)),
        1 => Just((0.0, -0.0)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn all_kernels_give_the_same_bits(
        pairs in proptest::collection::vec(pair(), 0..600),
        finite: bool,
        dtype in prop::sample::select(&DTYPES[..]),
    ) {
        // NaN, infinity and the largest numbers send a block the careful way: without them it takes the fast one.
        let usual = |x: f32| if !finite || x.abs() < 1e30 { x } else { 1.0 };
        let (reference, candidate): (Vec<f32>, Vec<f32>) =
            pairs.into_iter().map(|(a, b)| (usual(a), usual(b))).unzip();
        let portable = of(&reference, &candidate, dtype, Kernel::PORTABLE);
        for kernel in Kernel::all() {
            assert_same(&of(&reference, &candidate, dtype, kernel), &portable, kernel.name());
        }
        // Element by element in f64, the way of numbers that are no `f32`.
        let wide = |v: &[f32]| v.iter().copied().map(f64::from).collect::<Vec<f64>>();
        let careful = Partial::of_block(
            Block::F64(&wide(&reference)),
            Block::F64(&wide(&candidate)),
            1000,
            Ulp::of(dtype),
            Kernel::PORTABLE,
        );
        assert_same(&careful, &portable, "careful");
    }
}

/// A deterministic draw from [0, 1).
fn draws() -> impl FnMut() -> f64 {
    let mut state = 7_u64;
    move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[test]
fn a_whole_block_and_all_that_is_shorter() {
    let mut draw = draws();
    let reference: Vec<f32> = (0..BLOCK).map(|_| (draw() - 0.5) as f32).collect();
    let noise: Vec<f32> = reference
        .iter()
        .map(|x| x * (1.0 + 1e-6 * (draw() as f32 - 0.5)))
        .collect();
    let other: Vec<f32> = (0..BLOCK).map(|_| (draw() - 0.5) as f32).collect();
    assert!(
        Kernel::all().contains(&Kernel::best()),
        "the best is one of them"
    );
    for candidate in [&noise, &other, &reference] {
        for len in (0..70).chain([255, 256, 257, 1000, BLOCK - 1, BLOCK]) {
            let portable = of(
                &reference[..len],
                &candidate[..len],
                Dtype::F32,
                Kernel::PORTABLE,
            );
            assert_eq!(portable.elements, len as u64);
            for kernel in Kernel::all() {
                let found = of(&reference[..len], &candidate[..len], Dtype::F32, kernel);
                assert_same(&found, &portable, &format!("{} of {len}", kernel.name()));
            }
        }
    }
}

#[test]
fn steps_signs_and_histogram_against_a_plain_count() {
    let mut draw = draws();
    let pairs: Vec<(f32, f32)> = (0..3000)
        .map(|_| {
            let x = (draw() - 0.5) as f32;
            (x, x + ((draw() - 0.5) * 2_f64.powf(-20.0 * draw())) as f32)
        })
        .collect();
    let (reference, candidate): (Vec<f32>, Vec<f32>) = pairs.iter().copied().unzip();
    let opposite = pairs.iter().filter(|(a, b)| a * b < 0.0).count() as u64;
    let mut counts = [0; DiffHistogram::PLACES];
    for (a, b) in &pairs {
        let difference = f64::from((b - a).abs());
        let place = (1..DiffHistogram::PLACES)
            .rev()
            .find(|place| difference > 0.0 && difference >= DiffHistogram::lower_edge(*place));
        counts[place.unwrap_or(0)] += 1;
    }
    // By the library's own conversions and the order of the bits.
    let in_order = |bits: u16| {
        let magnitude = i64::from(bits & 0x7fff);
        if bits >> 15 == 1 {
            -magnitude
        } else {
            magnitude
        }
    };
    let apart = |place: &dyn Fn(f32) -> i64| {
        let distances = pairs.iter().map(|(a, b)| place(*a).abs_diff(place(*b)));
        distances.max().unwrap()
    };
    let half = |x: f32| in_order(f16::from_f32(x).to_bits());
    let brain = |x: f32| in_order(bf16::from_f32(x).to_bits());
    for kernel in Kernel::all() {
        let name = kernel.name();
        let found = of(&reference, &candidate, Dtype::F16, kernel);
        assert_eq!(found.sign_disagreements, opposite, "{name}");
        assert_eq!(found.diff_histogram.counts(), &counts, "{name}");
        assert_eq!(found.max_ulp, apart(&half), "{name}");
        let found = of(&reference, &candidate, Dtype::Bf16, kernel);
        assert_eq!(found.max_ulp, apart(&brain), "{name}");
    }
}
