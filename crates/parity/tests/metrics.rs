//! Metrics against values worked out by hand and against an independent computation.

use orch_log::format::Dtype;
use parity::measure::{BLOCK, Basis, Evidence, Metrics, Partial, Ulp, measure, sqnr_db};
use parity::tensor::{Numbers, Region};
use proptest::prelude::*;

fn whole(reference: &[f64], candidate: &[f64]) -> Partial {
    Partial::of(reference, candidate, 0)
}

fn metrics(reference: &[f64], candidate: &[f64]) -> Metrics {
    Metrics::of(&whole(reference, candidate), None, Some(Ulp::F32)).expect("finite elements")
}

#[test]
fn by_hand() {
    // differences 0, 1, -2, 0.5; squares sum to 5.25; reference squares 1+4+16+0.25 = 21.25
    let reference = [1.0, -2.0, 4.0, 0.5];
    let candidate = [1.0, -1.0, 2.0, 1.0];
    let metrics = metrics(&reference, &candidate);
    assert_eq!(metrics.max_abs_diff, 2.0);
    assert_eq!(metrics.mean_abs_diff, 3.5 / 4.0);
    assert_eq!(metrics.max_rel_diff, 1.0, "0.5 of 0.5");
    assert_eq!(metrics.rmse, (5.25_f64 / 4.0).sqrt());
    assert!((metrics.nmse - 5.25 / 21.25).abs() < 1e-15);
    // dot 1+2+8+0.5 = 11.5, candidate squares 1+1+4+1 = 7
    assert!((metrics.cosine.unwrap() - 11.5 / (21.25_f64 * 7.0).sqrt()).abs() < 1e-15);
    // -10 log10(0.01) = 20 dB
    assert_eq!(sqnr_db(0.01), 20.0);
    assert_eq!(sqnr_db(0.0), f64::INFINITY);
}

#[test]
fn relative_differences_have_a_smallest_denominator() {
    assert_eq!(metrics(&[0.0], &[1e-9]).max_rel_diff, 1e-9 / 1e-8);
    assert_eq!(metrics(&[-2.0], &[-3.0]).max_rel_diff, 0.5);
}

#[test]
fn all_zero_reference() {
    let same = metrics(&[0.0, 0.0], &[0.0, 0.0]);
    assert_eq!((same.nmse, same.cosine), (0.0, None));
    let other = metrics(&[0.0, 0.0], &[0.0, 1e-30]);
    assert_eq!((other.nmse, other.cosine), (f64::INFINITY, None));
    let zeroed = metrics(&[3.0, 4.0], &[0.0, 0.0]);
    assert_eq!((zeroed.nmse, zeroed.cosine), (1.0, None));
}

#[test]
fn constants_and_equal_vectors() {
    let equal = metrics(&[0.1; 7], &[0.1; 7]);
    assert_eq!((equal.nmse, equal.cosine), (0.0, Some(1.0)));
    let opposite = metrics(&[1.0; 7], &[-1.0; 7]);
    assert_eq!(opposite.nmse, 4.0);
    assert!((opposite.cosine.unwrap() + 1.0).abs() < 1e-15);
}

#[test]
fn huge_values() {
    let metrics = metrics(&[1e300], &[2e300]);
    assert_eq!(metrics.max_abs_diff, 1e300);
    assert_eq!(metrics.nmse, f64::INFINITY, "an overflow is disagreement");
    // The largest f32 does not overflow.
    let largest = f64::from(f32::MAX);
    let fine = self::metrics(&[largest, largest], &[largest, -largest]);
    assert!((fine.nmse - 2.0).abs() < 1e-15);
    assert!(fine.cosine.unwrap().abs() < 1e-15);
}

#[test]
fn non_finite_values_are_settled_first() {
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    let partial = whole(
        &[nan, inf, -inf, inf, nan, 1.0, 2.0],
        &[nan, inf, inf, 1.0, 1.0, nan, 2.5],
    );
    assert_eq!(partial.elements, 7);
    assert_eq!(partial.finite, 1);
    assert_eq!(partial.nan, [2, 2]);
    assert_eq!(partial.infinite, [3, 2]);
    assert_eq!(partial.mismatched_non_finite, 4);
    assert_eq!(partial.different, 5, "NaN and NaN, ∞ and ∞ agree");
    assert_eq!(partial.max_abs_diff, 0.5);
    let worst: Vec<u64> = partial
        .worst
        .elements()
        .iter()
        .map(|element| element.index)
        .collect();
    assert_eq!(
        worst,
        [2, 3, 4, 5, 6],
        "mismatches before the largest finite difference"
    );
    assert_eq!(Metrics::of(&whole(&[nan], &[nan]), None, None), None);
    assert_eq!(Metrics::of(&whole(&[], &[]), None, None), None);
}

#[test]
fn zeros_of_either_sign_are_equal_numbers_but_not_equal_bits() {
    let partial = whole(&[0.0], &[-0.0]);
    assert_eq!((partial.different, partial.max_abs_diff), (1, 0.0));
}

#[test]
fn the_scale_of_the_whole_tensor_is_used_for_its_first_elements() {
    // First two of many: tiny here, but the tensor's magnitude is 10.
    let metrics = Metrics::of(&whole(&[1e-3, 0.0], &[2e-3, 0.0]), Some(10.0), None).unwrap();
    assert!((metrics.nmse - 0.5e-6 / 100.0).abs() < 1e-20);
}

fn evidence<'a>(numbers: &'a dyn Numbers) -> Evidence<'a> {
    Evidence {
        numbers,
        stats: None,
        sketch: None,
        dtype: Dtype::F32,
    }
}

#[test]
fn only_the_region_is_measured() {
    let reference = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    let candidate = [1.0, 99.0, 3.0, 4.0, 5.0, 7.0];
    // Two tokens at positions 0 and 1, three keys: [0], [0, 1] are visible, the rest is masked.
    let region = Region::whole(&[2, 3], Some(0)).causal(3, 0);
    let measured = measure(
        &evidence(&&reference[..]),
        &evidence(&&candidate[..]),
        &region,
    )
    .unwrap()
    .unwrap();
    assert_eq!(measured.basis, Basis::Exact { elements: 3 });
    assert!(measured.identical);
    assert_eq!(measured.nmse, 0.0);
}

/// Another way to the same figures: two passes, compensated sums, differences taken as one vector.
fn independent(reference: &[f64], candidate: &[f64]) -> [f64; 6] {
    let compensated = |terms: Vec<f64>| {
        let (mut sum, mut lost) = (0.0_f64, 0.0_f64);
        for term in terms {
            let next = sum + term;
            lost += if sum.abs() >= term.abs() {
                (sum - next) + term
            } else {
                (term - next) + sum
            };
            sum = next;
        }
        sum + lost
    };
    let n = reference.len() as f64;
    let differences: Vec<f64> = candidate
        .iter()
        .zip(reference)
        .map(|(b, a)| b - a)
        .collect();
    let squares = |v: &[f64]| compensated(v.iter().map(|x| x.powi(2)).collect());
    let max_abs = differences.iter().map(|d| d.abs()).fold(0.0, f64::max);
    let mean_abs = compensated(differences.iter().map(|d| d.abs()).collect()) / n;
    let max_rel = differences
        .iter()
        .zip(reference)
        .map(|(d, a)| d.abs() / if a.abs() > 1e-8 { a.abs() } else { 1e-8 })
        .fold(0.0, f64::max);
    let rmse = (squares(&differences) / n).sqrt();
    let nmse = squares(&differences) / squares(reference);
    let dot = compensated(
        reference
            .iter()
            .zip(candidate)
            .map(|(a, b)| a * b)
            .collect(),
    );
    let cosine = dot / (squares(reference) * squares(candidate)).sqrt();
    [max_abs, mean_abs, max_rel, rmse, nmse, cosine]
}

fn close(found: f64, expected: f64, what: &str) -> Result<(), TestCaseError> {
    let tolerance = 1e-12 * expected.abs().max(1e-300);
    prop_assert!(
        (found - expected).abs() <= tolerance,
        "{what}: {found} instead of {expected}"
    );
    Ok(())
}

/// f32 numbers of all magnitudes, since that is what tensors hold.
fn element() -> impl Strategy<Value = f64> {
    (any::<bool>(), -30_i32..30, 0.5_f32..1.0).prop_map(|(negative, exponent, mantissa)| {
        let magnitude = f64::from(mantissa) * 2_f64.powi(exponent);
        if negative { -magnitude } else { magnitude }
    })
}

proptest! {
    #[test]
    fn agrees_with_an_independent_computation(pairs in proptest::collection::vec((element(), element()), 1..300)) {
        let (reference, candidate): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
        let found = metrics(&reference, &candidate);
        let [max_abs, mean_abs, max_rel, rmse, nmse, cosine] = independent(&reference, &candidate);
        close(found.max_abs_diff, max_abs, "max abs")?;
        close(found.mean_abs_diff, mean_abs, "mean abs")?;
        close(found.max_rel_diff, max_rel, "max rel")?;
        close(found.rmse, rmse, "rmse")?;
        close(found.nmse, nmse, "nmse")?;
        // The dot product may cancel: absolute, in units of its terms.
        prop_assert!((found.cosine.unwrap() - cosine).abs() < 1e-12);
    }

    #[test]
    fn parts_merge_to_the_whole(
        pairs in proptest::collection::vec((element(), element()), 2..100),
        cut in 0.0_f64..1.0,
    ) {
        let (reference, candidate): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
        let cut = (reference.len() as f64 * cut) as usize;
        let mut merged = Partial::of(&reference[..cut], &candidate[..cut], 0);
        merged.merge(&Partial::of(&reference[cut..], &candidate[cut..], cut as u64));
        let at_once = whole(&reference, &candidate);
        prop_assert_eq!(&merged.worst, &at_once.worst);
        prop_assert_eq!(
            (merged.elements, merged.different, merged.max_abs_diff, merged.max_rel_diff),
            (at_once.elements, at_once.different, at_once.max_abs_diff, at_once.max_rel_diff)
        );
        close(merged.sum_sq_diff, at_once.sum_sq_diff, "Σ d²")?;
        close(merged.sum_abs_diff, at_once.sum_abs_diff, "Σ |d|")?;
    }
}

#[test]
fn several_blocks_are_measured_as_one_tensor() {
    let n = 3 * BLOCK + 17;
    let reference: Vec<f64> = (0..n)
        .map(|index| ((index * 7919) % 1000) as f64 - 499.5)
        .collect();
    let mut candidate = reference.clone();
    for (index, change) in [(0, 1.0), (BLOCK, -2.0), (2 * BLOCK + 5, 3.0), (n - 1, -4.0)] {
        candidate[index] += change;
    }
    let region = Region::whole(&[n], None);
    let measured = measure(
        &evidence(&&reference[..]),
        &evidence(&&candidate[..]),
        &region,
    )
    .unwrap()
    .unwrap();
    let metrics = measured.metrics.unwrap();
    assert_eq!(metrics.max_abs_diff, 4.0);
    assert!((metrics.mean_abs_diff * n as f64 - 10.0).abs() < 1e-9);
    assert!((metrics.rmse.powi(2) * n as f64 - 30.0).abs() < 1e-9);
    let worst: Vec<u64> = measured
        .partial
        .worst
        .elements()
        .iter()
        .map(|element| element.index)
        .collect();
    assert_eq!(worst, [n as u64 - 1, 2 * BLOCK as u64 + 5, BLOCK as u64, 0]);
}
