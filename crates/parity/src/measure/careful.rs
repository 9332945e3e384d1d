//! One block element by element in f64: numbers that are no `f32`, NaN, infinity, and what is nearly infinite.

use super::element::Element;
use super::lanes::{COLUMNS, Watch, reduce};
use super::partial::Partial;
use super::ulp::Ulp;

/// Adds the elements from row-major index `first` on, in the columns and the order of the kernels.
pub(super) fn add(
    (reference, candidate): (&[f64], &[f64]),
    first: u64,
    ulp: Option<Ulp>,
    watch: &mut Watch,
) -> Partial {
    let mut partial = Partial {
        elements: reference.len() as u64,
        ..Partial::default()
    };
    let mut sums = [[0.0_f64; COLUMNS]; 7];
    for (offset, (&a, &b)) in reference.iter().zip(candidate).enumerate() {
        let (index, c) = (first + offset as u64, offset % COLUMNS);
        let element = Element {
            index,
            reference: a,
            candidate: b,
        };
        partial.different += u64::from(a.to_bits() != b.to_bits() && !(a.is_nan() && b.is_nan()));
        partial.count_values(a, b);
        if !a.is_finite() || !b.is_finite() {
            if element.difference() != 0.0 {
                partial.mismatched_non_finite += 1;
                partial.worst.offer(element);
            }
            continue;
        }
        let difference = b - a;
        partial.finite += 1;
        sums[0][c] += difference.abs();
        sums[1][c] = difference.mul_add(difference, sums[1][c]);
        for (sum, term) in sums[2..].iter_mut().zip([a * a, b * b, a * b, a, b]) {
            sum[c] += term;
        }
        partial.sign_disagreements +=
            u64::from(a * b < 0.0 || a < 0.0 && b > 0.0 || a > 0.0 && b < 0.0);
        partial.diff_histogram.add(difference.abs());
        if let Some(ulp) = ulp {
            partial.max_ulp = partial.max_ulp.max(ulp.distance(a, b));
        }
        watch.see(element);
    }
    let [
        abs,
        sq,
        sq_reference,
        sq_candidate,
        dot,
        sum_reference,
        sum_candidate,
    ] = sums.map(|columns| reduce(&columns));
    partial.sum_abs_diff = abs;
    partial.sum_sq_diff = sq;
    partial.sum_sq_reference = sq_reference;
    partial.sum_sq_candidate = sq_candidate;
    partial.dot = dot;
    partial.sum_reference = sum_reference;
    partial.sum_candidate = sum_candidate;
    partial
}
