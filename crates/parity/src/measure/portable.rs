//! One block in portable code: what every vectorised kernel must equal, bit for bit.

use super::element::Element;
use super::histogram::DiffHistogram;
use super::lanes::*;
use super::partial::MIN_DENOMINATOR;
use super::ulp::Ulp;

const MAGNITUDE: u32 = 0x7fff_ffff;

/// Adds rows whose first element has the index `first`; `exponents` takes the exponent field of each difference.
pub(super) fn rows(
    (reference, candidate): (&[Row], &[Row]),
    first: u64,
    ulp: Option<Ulp>,
    lanes: &mut Lanes,
    watch: &mut Watch,
    exponents: &mut [[u8; COLUMNS]],
) {
    for (index, ((a, b), exponents)) in reference.iter().zip(candidate).zip(exponents).enumerate() {
        let (worst_from, relative_from) = (watch.worst_from(), watch.relative_from());
        let mut stands_out = false;
        for c in 0..COLUMNS {
            let (x, y) = (f64::from(a[c]), f64::from(b[c]));
            let difference = y - x;
            let sums = &mut lanes.sums;
            sums[ABS_DIFF][c] += difference.abs();
            sums[SQ_DIFF][c] = difference.mul_add(difference, sums[SQ_DIFF][c]);
            // Products of two f32 are exact: fused or not is the same.
            sums[SQ_REFERENCE][c] += x * x;
            sums[SQ_CANDIDATE][c] += y * y;
            sums[DOT][c] += x * y;
            sums[REFERENCE][c] += x;
            sums[CANDIDATE][c] += y;
        }
        for (side, values) in [a, b].into_iter().enumerate() {
            for (c, value) in values.iter().enumerate() {
                let (min, max) = (&mut lanes.min[side][c], &mut lanes.max[side][c]);
                *min = if value < min { *value } else { *min };
                *max = if value > max { *value } else { *max };
            }
        }
        for c in 0..COLUMNS {
            let difference = (b[c] - a[c]).abs();
            let denominator = a[c].abs().max(MIN_DENOMINATOR as f32);
            exponents[c] = (difference.to_bits() >> 23) as u8;
            stands_out |= difference > worst_from || difference > relative_from * denominator;
            let (x, y) = (a[c].to_bits(), b[c].to_bits());
            lanes.different += u64::from(x != y);
            let opposite = (x ^ y) >> 31 != 0 && x & MAGNITUDE != 0 && y & MAGNITUDE != 0;
            lanes.opposite += u64::from(opposite);
            if let Some(ulp) = ulp {
                lanes.ulp[c] = lanes.ulp[c].max(distance(ulp, a[c], b[c]));
            }
        }
        if stands_out {
            for c in 0..COLUMNS {
                watch.see(Element {
                    index: first + (index * COLUMNS + c) as u64,
                    reference: f64::from(a[c]),
                    candidate: f64::from(b[c]),
                });
            }
        }
    }
}

/// Formats with no more range and precision than binary32 have places that fit 32 bits.
fn distance(ulp: Ulp, a: f32, b: f32) -> u32 {
    if ulp == Ulp::F32 {
        let place = |value: f32| {
            let magnitude = i64::from(value.to_bits() & MAGNITUDE);
            if value.is_sign_negative() {
                -magnitude
            } else {
                magnitude
            }
        };
        return place(a).abs_diff(place(b)) as u32;
    }
    ulp.distance(f64::from(a), f64::from(b)) as u32
}

/// Counts differences by the exponent fields of their binary32.
pub(super) fn count(exponents: &[u8], counts: &mut [u64; DiffHistogram::PLACES]) {
    for exponent in exponents {
        counts[DiffHistogram::place(*exponent)] += 1;
    }
}
