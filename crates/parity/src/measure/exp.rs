//! Exponentials of many numbers.

/// eˣ for x ≤ 0, within 2 ulp; what is below −708 gives a number below 1e-307.
///
/// Without branches and calls, so that a loop over it runs on vectors: the softmax of a vocabulary is what a comparison
/// of logits costs.
///
/// # Source
///
/// Range reduction to |r| ≤ ln 2 / 2 with ln 2 in two parts (Cody and Waite, *Software Manual for the Elementary
/// Functions*, 1980), then the Taylor series to r¹³/13!, whose remainder is below 5e-18.
#[inline(always)]
pub(super) fn exp_nonpositive(x: f64) -> f64 {
    /// Adding it leaves the nearest integer in the lowest bits.
    const TO_INTEGER: f64 = 6_755_399_441_055_744.0;
    /// ln 2 with its last 21 bits cleared, so that multiples are exact.
    const LN2_HIGH: f64 = f64::from_bits(std::f64::consts::LN_2.to_bits() & !0x1f_ffff);
    /// ln 2 − `LN2_HIGH`, from ln 2 = 0.693147180559945309417232121458….
    const LN2_LOW: f64 = (std::f64::consts::LN_2 - LN2_HIGH) + 2.319_046_813_846_299_6e-17;
    const INVERSE_FACTORIALS: [f64; 14] = {
        let mut inverse = [1.0; 14];
        let (mut n, mut factorial) = (1, 1.0);
        while n < 14 {
            factorial *= n as f64;
            inverse[n] = 1.0 / factorial;
            n += 1;
        }
        inverse
    };
    let x = if x > -708.0 { x } else { -708.0 };
    let shifted = x.mul_add(std::f64::consts::LOG2_E, TO_INTEGER);
    let k = shifted - TO_INTEGER;
    let r = k.mul_add(-LN2_LOW, k.mul_add(-LN2_HIGH, x));
    let mut series = INVERSE_FACTORIALS[13];
    for n in (0..13).rev() {
        series = series.mul_add(r, INVERSE_FACTORIALS[n]);
    }
    series * f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_the_standard_library() {
        for step in 0..200_000 {
            let x = -f64::from(step) * 0.0035 * (1.0 + f64::from(step % 7) * 1e-3);
            if x < -707.9 {
                continue;
            }
            let (found, expected) = (exp_nonpositive(x), x.exp());
            assert!(
                (found - expected).abs() <= 4.5e-16 * expected,
                "{x}: {found} {expected}"
            );
        }
        assert_eq!(exp_nonpositive(0.0), 1.0);
        assert!(exp_nonpositive(f64::NEG_INFINITY) < 1e-307);
    }
}
