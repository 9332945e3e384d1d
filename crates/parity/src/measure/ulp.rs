//! Distances in units of the last place.

use orch_log::format::Dtype;

/// The float format in whose steps a distance is counted.
///
/// Numbers of a format, in order, have consecutive places: 0 is zero, the smallest subnormal is 1, negative numbers
/// mirror them. The distance of two numbers is the difference of the places that they round to (nearest, ties to
/// even), so that zero is neither skipped nor counted twice. Beyond the largest number the places go on as if the
/// exponent did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ulp {
    /// Stored bits of the significand.
    pub(super) significand_bits: u32,
    /// Exponent of the smallest normal number.
    pub(super) min_exponent: i32,
}

impl Ulp {
    /// Steps of binary32.
    pub const F32: Self = Self::new(23, -126);
    /// Steps of the upper half of binary32.
    pub const BF16: Self = Self::new(7, -126);
    const F64: Self = Self::new(52, -1022);

    const fn new(significand_bits: u32, min_exponent: i32) -> Self {
        Self {
            significand_bits,
            min_exponent,
        }
    }

    /// The steps of a storage type: its own for floats; those of `f32` for block-quantised types, whose results
    /// engines compute in it; `None` for integers.
    pub fn of(dtype: Dtype) -> Option<Self> {
        Some(match dtype {
            Dtype::F64 => Self::F64,
            Dtype::F32 | Dtype::Ggml(_) => Self::F32,
            Dtype::F16 => Self::new(10, -14),
            Dtype::Bf16 => Self::BF16,
            Dtype::F8E4m3 => Self::new(3, -6),
            Dtype::F8E5m2 => Self::new(2, -14),
            _ => return None,
        })
    }

    /// Whether places fit 32 bits, as the kernels need.
    pub(super) fn fits_f32(self) -> bool {
        self != Self::F64
    }

    /// The place of the number of this format that is nearest to a finite `value`.
    pub fn place(self, value: f64) -> i64 {
        let magnitude = value.abs();
        let bits = magnitude.to_bits();
        let place = if self == Self::F64 {
            bits as i64
        } else {
            let exponent = ((bits >> 52) as i32 - 1023).max(self.min_exponent);
            // A power of two: nothing is rounded but what the format cannot hold.
            let steps = magnitude * 2_f64.powi(self.significand_bits as i32 - exponent);
            (i64::from(exponent - self.min_exponent) << self.significand_bits)
                + steps.round_ties_even() as i64
        };
        if value.is_sign_negative() {
            -place
        } else {
            place
        }
    }

    /// How many steps two finite numbers lie apart.
    ///
    /// # Example
    ///
    /// ```
    /// use orch_log::format::Dtype;
    /// use parity::measure::Ulp;
    /// let bf16 = Ulp::of(Dtype::Bf16).unwrap();
    /// assert_eq!(bf16.distance(1.0, 1.0 + 2.0 / 128.0), 2);
    /// assert_eq!(Ulp::F32.distance(-0.0, 0.0), 0);
    /// assert_eq!(Ulp::F32.distance(-1e-45, 1e-45), 2);
    /// ```
    pub fn distance(self, a: f64, b: f64) -> u64 {
        self.place(a).abs_diff(self.place(b))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::f16;

    #[test]
    fn places_are_the_bits_of_each_format() {
        let half = Ulp::of(Dtype::F16).unwrap();
        for bits in (0..0x7c00_u16).step_by(7) {
            let value = f64::from(f16::from_bits(bits));
            assert_eq!(half.place(value), i64::from(bits));
            assert_eq!(half.place(-value), -i64::from(bits));
        }
        for bits in [0, 1, 0x7f_ffff, 0x80_0000, 0x3f80_0000, 0x7f7f_ffff_u32] {
            let value = f64::from(f32::from_bits(bits));
            assert_eq!(Ulp::F32.place(value), i64::from(bits));
        }
        let e4m3 = Ulp::of(Dtype::F8E4m3).unwrap();
        assert_eq!((e4m3.place(448.0), e4m3.place(2_f64.powi(-9))), (0x7e, 1));
        let e5m2 = Ulp::of(Dtype::F8E5m2).unwrap();
        assert_eq!(e5m2.place(57344.0), 0x7b);
        assert_eq!(Ulp::of(Dtype::F64).unwrap().place(1.0), 0x3ff << 52);
        assert_eq!(Ulp::of(Dtype::I32), None);
    }

    #[test]
    fn ties_go_to_even() {
        assert_eq!(Ulp::BF16.place(1.0 + 1.0 / 256.0), 0x3f80);
        assert_eq!(Ulp::BF16.place(1.0 + 3.0 / 256.0), 0x3f82);
        assert_eq!(
            Ulp::BF16.place(2.0 - 1.0 / 512.0),
            0x4000,
            "up to the next power of two"
        );
    }
}
