//! Distances of whole tensors from two sketches of 16 numbers.

use super::metrics::ratio;

/// What two sketches say about the tensors they were made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SketchEstimate {
    /// NMSE of the whole tensors.
    pub nmse: f64,
    /// Cosine similarity of the whole tensors; `None` where either norm is zero.
    pub cosine: Option<f64>,
    /// Uncertainty of `nmse` at two standard deviations, relative.
    pub plus_minus: f64,
    /// True where both sketches are the same numbers.
    pub identical: bool,
}

/// Norms of the two whole tensors that are known exactly, from their statistics.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Norms {
    pub(crate) reference: f64,
    pub(crate) candidate: f64,
}

/// Estimates NMSE and cosine similarity from two sketches of the same kind.
///
/// Each of the k numbers is the inner product of a tensor with a random ±1 vector, whose square
/// has the tensor's squared norm as its expectation; the difference of two sketches is the sketch of the
/// difference. The mean of k squares has a relative standard deviation of √(2/k), which at two sigma
/// is ±71 % of the NMSE for k = 16 (±35 % on the norm itself).
///
/// `None` where the sketches differ in length, are empty, or hold a non-finite number (the tensor
/// had a NaN or infinity).
///
/// # Source
///
/// Achlioptas, *Database-friendly random projections*, 2003 (Johnson–Lindenstrauss with ±1).
pub fn estimate(reference: &[f64], candidate: &[f64]) -> Option<SketchEstimate> {
    estimate_with_norms(reference, candidate, None)
}

pub(crate) fn estimate_with_norms(
    reference: &[f64],
    candidate: &[f64],
    norms: Option<Norms>,
) -> Option<SketchEstimate> {
    let usable =
        |sketch: &[f64]| !sketch.is_empty() && sketch.iter().all(|number| number.is_finite());
    if reference.len() != candidate.len() || !usable(reference) || !usable(candidate) {
        return None;
    }
    let k = reference.len() as f64;
    let mean_square =
        |numbers: &mut dyn Iterator<Item = f64>| numbers.map(|x| x * x).sum::<f64>() / k;
    let sq_diff = mean_square(&mut reference.iter().zip(candidate).map(|(a, b)| a - b));
    let (sq_reference, sq_candidate) = match norms {
        Some(norms) => (norms.reference.powi(2), norms.candidate.powi(2)),
        None => (
            mean_square(&mut reference.iter().copied()),
            mean_square(&mut candidate.iter().copied()),
        ),
    };
    let product = (sq_reference * sq_candidate).sqrt();
    Some(SketchEstimate {
        nmse: ratio(sq_diff, sq_reference),
        // ‖a−b‖² = ‖a‖² + ‖b‖² − 2 a·b
        cosine: (product > 0.0)
            .then(|| ((sq_reference + sq_candidate - sq_diff) / (2.0 * product)).clamp(-1.0, 1.0)),
        plus_minus: 2.0 * (2.0 / k).sqrt(),
        identical: reference == candidate,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_on_a_single_direction() {
        // One non-zero element: every projection is ± it, and no randomness remains.
        let a = [3.0, -3.0, -3.0, 3.0];
        let b = [2.0, -2.0, -2.0, 2.0];
        let estimate = estimate(&a, &b).unwrap();
        assert!((estimate.nmse - 1.0 / 9.0).abs() < 1e-15);
        assert!((estimate.cosine.unwrap() - 1.0).abs() < 1e-15);
        assert!((estimate.plus_minus - 2.0 * 0.5_f64.sqrt()).abs() < 1e-15);
        assert!(!estimate.identical);
    }

    #[test]
    fn what_cannot_be_used() {
        assert_eq!(estimate(&[], &[]), None);
        assert_eq!(estimate(&[1.0], &[1.0, 2.0]), None);
        assert_eq!(estimate(&[1.0, f64::NAN], &[1.0, 2.0]), None);
        let zero = estimate(&[0.0; 4], &[0.0; 4]).unwrap();
        assert_eq!((zero.nmse, zero.cosine, zero.identical), (0.0, None, true));
        assert_eq!(estimate(&[0.0; 4], &[1.0; 4]).unwrap().nmse, f64::INFINITY);
    }

    #[test]
    fn two_sigma_covers_most_random_tensors() {
        // An independent sketch: signs from a linear congruential generator, tensors of 200 elements
        // with a known NMSE of 0.01. About 95 % of the estimates must lie within two sigma.
        let mut state = 1_u64;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 40) as f64 / f64::from(1 << 24) - 0.5
        };
        let mut inside = 0;
        for _ in 0..400 {
            let a: Vec<f64> = (0..200).map(|_| next()).collect();
            let noise: Vec<f64> = (0..200).map(|_| next()).collect();
            let norm = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
            let factor = 0.1 * norm(&a) / norm(&noise);
            let b: Vec<f64> = a.iter().zip(&noise).map(|(x, e)| x + factor * e).collect();
            let (mut sa, mut sb) = ([0.0; 16], [0.0; 16]);
            for k in 0..16 {
                for i in 0..200 {
                    let sign = if next() < 0.0 { -1.0 } else { 1.0 };
                    sa[k] += sign * a[i];
                    sb[k] += sign * b[i];
                }
            }
            let norms = Norms {
                reference: norm(&a),
                candidate: norm(&b),
            };
            let nmse = estimate_with_norms(&sa, &sb, Some(norms)).unwrap().nmse;
            inside += u32::from((nmse / 0.01 - 1.0).abs() <= 2.0 * (2.0_f64 / 16.0).sqrt());
        }
        assert!(
            (370..=396).contains(&inside),
            "{inside} of 400 within two sigma"
        );
    }
}
