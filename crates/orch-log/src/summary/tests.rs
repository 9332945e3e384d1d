//! The kernels against the definitions, against each other, and the promise of the sketch.

use proptest::prelude::*;

use super::accumulator::Sums;
use super::*;
use crate::tensor::{Internals, Number, TensorView};

/// Statistics and sketch by the letter of the definitions, one element at a time.
fn by_definition(elements: &[f64]) -> (Stats, Sketch) {
    let finite: Vec<f64> = elements
        .iter()
        .copied()
        .filter(|value| value.is_finite())
        .collect();
    let n = finite.len() as f64;
    let count = |of: fn(&f64) -> bool| elements.iter().filter(|value| of(value)).count() as u64;
    let stats = Stats {
        n: elements.len() as u64,
        nan: count(|value| value.is_nan()),
        inf: count(|value| value.is_infinite()),
        zero: count(|value| *value == 0.0),
        min: finite.iter().copied().fold(f64::NAN, f64::min),
        max: finite.iter().copied().fold(f64::NAN, f64::max),
        mean: finite.iter().sum::<f64>() / n,
        rms: (finite.iter().map(|value| value * value).sum::<f64>() / n).sqrt(),
    };
    let mut sketch = Sketch::default();
    for (index, value) in elements
        .iter()
        .enumerate()
        .filter(|(_, value)| value.is_finite())
    {
        for (k, sum) in sketch.s.iter_mut().enumerate() {
            *sum += Sketch::sign(index as u64, k as u32) * value;
        }
    }
    (stats, sketch)
}

fn assert_close(found: (Stats, Sketch), elements: &[f64], what: &str) {
    let expected = by_definition(elements);
    let tolerance = 2f64.powi(-40);
    let magnitude: f64 = elements
        .iter()
        .filter(|value| value.is_finite())
        .map(|value| value.abs())
        .sum();
    let same = |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan());
    let (a, b) = (found.0, expected.0);
    assert_eq!(
        (a.n, a.nan, a.inf, a.zero),
        (b.n, b.nan, b.inf, b.zero),
        "{what}"
    );
    assert!(
        same(a.min, b.min) && same(a.max, b.max),
        "{what}: {a:?} is not {b:?}"
    );
    assert!(
        same(a.mean, b.mean) || (a.mean - b.mean).abs() * a.n as f64 <= tolerance * magnitude,
        "{what}: {a:?}, {b:?}"
    );
    assert!(
        same(a.rms, b.rms) || (a.rms - b.rms).abs() <= tolerance * b.rms,
        "{what}: {a:?} is not {b:?}"
    );
    for (a, b) in found.1.s.iter().zip(&expected.1.s) {
        assert!(
            (a - b).abs() <= tolerance * magnitude,
            "{what}: {a} is not {b}"
        );
    }
}

/// A reproducible sequence with many magnitudes.
fn sequence(seed: u64) -> impl Iterator<Item = f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let bits = (state >> 33) as u32;
        (f32::from_bits(0x3f80_0000 | bits & 0x7f_ffff) - 1.5) * 2f32.powi((bits >> 24) as i32 % 12)
    })
}

const LENGTHS: [usize; 15] = [
    0, 1, 10, 15, 16, 17, 255, 256, 257, 512, 896, 4095, 4096, 4097, 20_000,
];

#[test]
fn every_length() {
    for length in LENGTHS {
        let elements: Vec<f32> = sequence(length as u64).take(length).collect();
        let wide: Vec<f64> = elements.iter().map(|value| f64::from(*value)).collect();
        assert_close(
            summarize(&TensorView::new(&elements)),
            &wide,
            &format!("{length} f32"),
        );
        assert_close(
            summarize(&TensorView::new(&wide)),
            &wide,
            &format!("{length} f64"),
        );
        let (as_f32, as_f64) = (
            summarize(&TensorView::new(&elements)),
            summarize(&TensorView::new(&wide)),
        );
        if length > 0 {
            assert_eq!(
                as_f32, as_f64,
                "equal bits from both kernels, {length} elements"
            );
        }
    }
}

#[test]
fn nothing_and_nothing_finite() {
    for elements in [&[][..], &[f32::NAN, f32::INFINITY]] {
        let (stats, sketch) = summarize(&TensorView::new(elements));
        assert!(
            stats.min.is_nan() && stats.max.is_nan() && stats.mean.is_nan() && stats.rms.is_nan()
        );
        assert_eq!(sketch, Sketch::default());
    }
}

#[test]
fn non_finite_elements_anywhere() {
    for position in [0, 15, 16, 255, 256, 4000, 5000, 5119, 5120, 5130] {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, -0.0] {
            let mut elements: Vec<f32> = sequence(7).take(5131).collect();
            elements[position] = bad;
            elements[77] = f32::NAN;
            let wide: Vec<f64> = elements.iter().map(|value| f64::from(*value)).collect();
            assert_close(
                summarize(&TensorView::new(&elements)),
                &wide,
                &format!("{bad} at {position}"),
            );
        }
    }
}

#[test]
fn huge_f64_overflow_only_what_they_must() {
    let mut elements = vec![1.0f64; 700];
    elements[300] = 1e200;
    let (stats, _) = summarize(&TensorView::new(&elements));
    assert_eq!(
        (stats.n, stats.inf, stats.max, stats.rms),
        (700, 0, 1e200, f64::INFINITY)
    );
    assert!((stats.mean / (1e200 / 700.0) - 1.0).abs() < 1e-12);
}

#[test]
fn a_zero_extreme_has_no_sign() {
    for elements in [[-0.0f32, 0.0], [0.0, -0.0], [-0.0, -0.0]] {
        let (stats, _) = summarize(&TensorView::new(&elements));
        assert_eq!(
            (stats.min.to_bits(), stats.max.to_bits(), stats.zero),
            (0, 0, 2)
        );
        let many: Vec<f32> = elements.into_iter().cycle().take(512).collect();
        let (stats, _) = summarize(&TensorView::new(&many));
        assert_eq!(
            (stats.min.to_bits(), stats.max.to_bits(), stats.zero),
            (0, 0, 512)
        );
    }
}

fn widen(element: impl Internals) -> f64 {
    match element.number() {
        Number::F32(value) => f64::from(value),
        Number::F64(value) => value,
        Number::Int(value) => value as f64,
        Number::Uint(value) => value as f64,
    }
}

#[test]
fn every_type() {
    macro_rules! check {
        ($($type:ty: $from:expr;)*) => {$(
            let elements: Vec<$type> = (0..1000u32).map($from).collect();
            let wide: Vec<f64> = elements.iter().map(|value| widen(*value)).collect();
            assert_close(summarize(&TensorView::new(&elements)), &wide, stringify!($type));
        )*};
    }
    check! {
        i8: |i| (i * 37 % 256) as u8 as i8;
        i16: |i| (i * 7919 % 65536) as u16 as i16;
        i32: |i| i.wrapping_mul(2_654_435_761) as i32;
        i64: |i| i64::from(i).wrapping_mul(-7_046_029_254_386_353_131);
        u8: |i| (i * 37 % 256) as u8;
        u16: |i| (i * 7919 % 65536) as u16;
        u32: |i| i.wrapping_mul(2_654_435_761);
        u64: |i| u64::from(i).wrapping_mul(11_400_714_819_323_198_485);
        bool: |i| i % 3 == 0;
        crate::F8E4m3: |i| crate::F8E4m3(i as u8);
        crate::F8E5m2: |i| crate::F8E5m2(i as u8);
    }
    #[cfg(feature = "half")]
    check! {
        half::f16: |i| half::f16::from_bits((i * 7919 % 65536) as u16);
        half::bf16: |i| half::bf16::from_bits((i * 7919 % 65536) as u16);
    }
}

#[test]
fn views_are_summed_in_logical_order() {
    let data: Vec<f32> = sequence(3).take(60 * 70).collect();
    let transposed = TensorView::strided(&data, &[70, 60], &[1, 70], 0).expect("inside");
    let copied: Vec<f32> = transposed.iter().collect();
    assert_eq!(summarize(&transposed), summarize(&TensorView::new(&copied)));
    let reversed = TensorView::strided(&data, &[4200], &[-1], 4199).expect("inside");
    let copied: Vec<f32> = data.iter().rev().copied().collect();
    assert_eq!(summarize(&reversed), summarize(&TensorView::new(&copied)));
}

#[cfg(target_arch = "x86_64")]
#[test]
fn vectorised_kernels_equal_the_portable_one() {
    type Kernel = fn(&mut Sums, &[[f32; BLOCK]]) -> bool;
    let kernels: [(&str, Kernel); 2] = [
        ("best", x86::add_finite),
        ("AVX2", x86::add_finite_with_avx2),
    ];
    let mut elements: Vec<f32> = sequence(11).take(BLOCK * 9).collect();
    elements[..300].fill(0.0);
    elements[300..400].fill(-0.0);
    elements[400] = f32::MAX;
    elements[401] = f32::from_bits(1);
    let blocks = elements.as_chunks::<BLOCK>().0;
    let mut expected = Sums::new();
    blocks
        .iter()
        .for_each(|full| block::add_finite(&mut expected, &full.map(f64::from)));
    for (name, kernel) in kernels {
        let mut sums = Sums::new();
        if !kernel(&mut sums, &blocks[..4]) {
            eprintln!("skipped: this processor does not run the {name} kernel");
            continue;
        }
        kernel(&mut sums, &blocks[4..]);
        let bits = |rows: &[f64; COLUMNS]| rows.map(f64::to_bits);
        assert_eq!(
            sums.projections.each_ref().map(bits),
            expected.projections.each_ref().map(bits),
            "{name}"
        );
        assert_eq!(bits(&sums.sum), bits(&expected.sum), "{name}");
        assert_eq!(bits(&sums.squares), bits(&expected.squares), "{name}");
        assert_eq!((sums.min, sums.max), (expected.min, expected.max), "{name}");
        assert_eq!(
            (sums.zeros, sums.blocks),
            (expected.zeros, expected.blocks),
            "{name}"
        );
    }
}

/// Estimated over true norm.
fn ratio(elements: &[f32]) -> f64 {
    let exact = elements
        .iter()
        .map(|value| f64::from(*value).powi(2))
        .sum::<f64>()
        .sqrt();
    Sketch::of(elements).norm() / exact
}

/// Fails unless the ratios keep the promise: 95 of 100 within 1 ± 0.35, with room for the spread of the
/// fraction itself (five standard deviations), and none far outside `Sketch::RANGE`.
fn assert_promise(ratios: &[f64], what: &str) {
    let n = ratios.len() as f64;
    let outside = ratios
        .iter()
        .filter(|ratio| (*ratio - 1.0).abs() > 0.35)
        .count() as f64;
    let allowed = 0.05 * n + 5.0 * (n * 0.05 * 0.95).sqrt();
    assert!(
        outside <= allowed,
        "{what}: {outside} of {n} outside 1 ± 0.35"
    );
    let extreme = ratios
        .iter()
        .filter(|ratio| **ratio < Sketch::RANGE.0 || **ratio > Sketch::RANGE.1)
        .count();
    assert!(
        extreme as f64 <= 1.0 + n / 2000.0,
        "{what}: {extreme} of {n} outside {:?}",
        Sketch::RANGE
    );
    let mean_square = ratios.iter().map(|ratio| ratio * ratio).sum::<f64>() / n;
    // The estimate of the squared norm is unbiased; its relative standard deviation is √(2/16).
    assert!(
        (mean_square - 1.0).abs() < 5.0 * (2.0 / 16.0 / n).sqrt(),
        "{what}: mean of squares {mean_square}"
    );
}

#[test]
fn random_tensors_keep_the_promise() {
    for length in [33, 576, 896, 4096] {
        let mut values = sequence(length as u64);
        let ratios: Vec<f64> = (0..1000)
            .map(|_| ratio(&values.by_ref().take(length).collect::<Vec<_>>()))
            .collect();
        assert_promise(&ratios, &format!("{length} elements"));
    }
}

#[test]
fn a_few_elements_that_differ_keep_the_promise() {
    // One element is exact; of a few, wherever they lie, no pair may hide.
    for (count, length) in [(2usize, 896usize), (3, 4096), (8, 896), (64, 20_000)] {
        let mut places = sequence(count as u64).map(|value| value.to_bits() as usize * 31 % length);
        let ratios: Vec<f64> = (0..1500)
            .map(|_| {
                let mut elements = vec![0.0f32; length];
                while elements.iter().filter(|value| **value != 0.0).count() < count {
                    let place = places.next().expect("endless");
                    elements[place] = if place % 3 == 0 { -1.0 } else { 1.0 };
                }
                ratio(&elements)
            })
            .collect();
        let outside = ratios
            .iter()
            .filter(|ratio| (*ratio - 1.0).abs() > 0.35)
            .count();
        assert!(
            outside <= 110,
            "{count} of {length}: {outside} of 1500 outside 1 ± 0.35"
        );
        assert!(
            ratios.iter().all(|ratio| *ratio > 0.2 && *ratio < 2.5),
            "{count} of {length}"
        );
    }
    for place in 0..5000 {
        let mut elements = vec![0.0f32; 5000];
        elements[place] = -3.0;
        assert_eq!(Sketch::of(&elements).norm(), 3.0);
    }
}

#[test]
fn structured_tensors_keep_the_promise() {
    // Each is one draw of the signs, so that only the wide interval can be asked of it.
    let check = |what: &str, element: &dyn Fn(usize) -> f32| {
        for length in [64, 256, 576, 896, 1000, 4096, 4864, 49_152, 151_936] {
            let elements: Vec<f32> = (0..length).map(element).collect();
            if elements.iter().any(|value| *value != 0.0) {
                let ratio = ratio(&elements);
                assert!(
                    (0.35..1.9).contains(&ratio),
                    "{what}, {length} elements: {ratio}"
                );
            }
        }
    };
    check("constant", &|_| 1.5);
    check("ramp", &|i| i as f32);
    check("falling ramp", &|i| 1e6 - i as f32);
    check("alternating ramp", &|i| {
        if i % 2 == 0 { i as f32 } else { -(i as f32) }
    });
    check("sine", &|i| (i as f32 * 0.01).sin());
    check("row 5 of heads of 64", &|i| {
        if i % 64 == 5 { 1.0 } else { 0.0 }
    });
    for period in 1..=14 {
        check(&format!("square wave of period 2^{period}"), &|i| {
            1.0 - 2.0 * (i >> (period - 1) & 1) as f32
        });
        check(&format!("every 2^{period}-th"), &|i| {
            if i % (1 << period) == 0 { 1.0 } else { 0.0 }
        });
        check(&format!("saw tooth of period 2^{period}"), &|i| {
            (i % (1 << period)) as f32
        });
    }
    for mask in 1..256usize {
        // Rows of Hadamard matrices are the tensors that a plain transform would send into one projection.
        check(&format!("Walsh function {mask}"), &|i| {
            1.0 - 2.0 * ((i & mask).count_ones() & 1) as f32
        });
        check(&format!("Walsh function {mask} of rows"), &|i| {
            1.0 - 2.0 * ((i >> 4 & mask).count_ones() & 1) as f32
        });
    }
}

#[test]
fn similar_tensors_keep_the_promise() {
    // Differences far below the tensors' own size, down to a single unit in the last place: the sketch's own
    // rounding must not show.
    for length in [896usize, 4096, 151_936] {
        let elements: Vec<f32> = sequence(5).take(length).collect();
        let sketch = Sketch::of(&elements);
        for relative in [1e-3f32, 1e-6, 2e-7] {
            let mut other: Vec<f32> = elements
                .iter()
                .map(|value| value * (1.0 + relative))
                .collect();
            assert_distance(&sketch, &elements, &other, "scaled");
            for (index, value) in other.iter_mut().enumerate() {
                *value = if index % 2 == 0 {
                    elements[index] * (1.0 + relative)
                } else {
                    elements[index]
                };
            }
            assert_distance(&sketch, &elements, &other, "every other scaled");
        }
        for place in [0, 1, 255, 256, length / 2, length - 1] {
            let mut other = elements.clone();
            other[place] = other[place].next_up();
            assert_distance(&sketch, &elements, &other, "one unit in the last place");
        }
        for (a, b) in [(0, 1), (0, 16), (0, 256), (3, length - 1), (100, 612)] {
            let mut other = elements.clone();
            other.swap(a, b);
            assert_distance(&sketch, &elements, &other, "two elements swapped");
        }
        let mut shifted = elements.clone();
        shifted.rotate_left(1);
        assert_distance(&sketch, &elements, &shifted, "shifted by one");
        assert_eq!(sketch.distance(&Sketch::of(&elements)), 0.0);
    }
}

fn assert_distance(sketch: &Sketch, a: &[f32], b: &[f32], what: &str) {
    let exact = a
        .iter()
        .zip(b)
        .map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2))
        .sum::<f64>()
        .sqrt();
    let ratio = sketch.distance(&Sketch::of(b)) / exact;
    assert!(
        (0.35..1.9).contains(&ratio),
        "{what}, {} elements: estimated over true distance {ratio}",
        a.len()
    );
}

proptest! {
    #[test]
    fn any_bits(bits in proptest::collection::vec(any::<u32>(), 0..1200)) {
        let elements: Vec<f32> = bits.iter().map(|bits| f32::from_bits(*bits)).collect();
        let wide: Vec<f64> = elements.iter().map(|value| f64::from(*value)).collect();
        assert_close(summarize(&TensorView::new(&elements)), &wide, "any bits");
    }

    #[test]
    fn a_sketch_is_linear(a in proptest::collection::vec(-1e3f32..1e3, 700), scale in -4i32..4) {
        let scaled: Vec<f32> = a.iter().map(|value| value * 2f32.powi(scale)).collect();
        let (a, scaled) = (Sketch::of(&a), Sketch::of(&scaled));
        for k in 0..PROJECTIONS {
            prop_assert_eq!(a.s[k] * 2f64.powi(scale), scaled.s[k]);
        }
    }
}
