//! Eight-bit floating-point elements.

use super::element::{convert, element};

/// Four exponent bits, three significand bits, no infinity: `float8_e4m3fn`.
///
/// # Source
///
/// Open Compute Project, "OCP 8-bit Floating Point Specification (OFP8)", revision 1.0, 2023.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct F8E4m3(
    /// The bits.
    pub u8,
);

/// Five exponent bits, two significand bits, with infinities: `float8_e5m2`.
///
/// # Source
///
/// As [`F8E4m3`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct F8E5m2(
    /// The bits.
    pub u8,
);

impl F8E4m3 {
    /// The value, exactly.
    pub const fn to_f32(self) -> f32 {
        if self.0 & 0x7f == 0x7f {
            f32::NAN
        } else {
            finite(self.0, 3, 7)
        }
    }
}

impl F8E5m2 {
    /// The value, exactly.
    pub const fn to_f32(self) -> f32 {
        match self.0 & 0x7f {
            0x7c if self.0 < 0x80 => f32::INFINITY,
            0x7c => f32::NEG_INFINITY,
            0x7d..=0x7f => f32::NAN,
            _ => finite(self.0, 2, 15),
        }
    }
}

/// Sign, exponent with `bias`, and `significand_bits`, as IEEE 754 has them.
const fn finite(bits: u8, significand_bits: u32, bias: i32) -> f32 {
    let magnitude = (bits & 0x7f) as u32;
    let (exponent, fraction) = (
        magnitude >> significand_bits,
        magnitude & ((1 << significand_bits) - 1),
    );
    // A subnormal has the exponent of the smallest normal number, without the leading one.
    let (significand, exponent) = if exponent == 0 {
        (fraction, 1)
    } else {
        (fraction | 1 << significand_bits, exponent)
    };
    let scale = exponent as i32 - bias - significand_bits as i32;
    // 2^scale as the bits of an `f32`, whose own bias is 127.
    let value = significand as f32 * f32::from_bits(((127 + scale) as u32) << 23);
    if bits & 0x80 == 0 { value } else { -value }
}

element! {
    F8E4m3, F8E4m3, F32(F8E4m3::to_f32), |elements, into| into.push_as_f32(elements, convert(F8E4m3::to_f32));
    F8E5m2, F8E5m2, F32(F8E5m2::to_f32), |elements, into| into.push_as_f32(elements, convert(F8E5m2::to_f32));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values from the tables of the OCP specification.
    #[test]
    fn corners() {
        assert_eq!(F8E4m3(0x7e).to_f32(), 448.0);
        assert_eq!(F8E4m3(0x08).to_f32(), 2f32.powi(-6));
        assert_eq!(F8E4m3(0x07).to_f32(), 0.875 * 2f32.powi(-6));
        assert_eq!(F8E4m3(0x81).to_f32(), -2f32.powi(-9));
        assert!(F8E4m3(0x7f).to_f32().is_nan() && F8E4m3(0xff).to_f32().is_nan());
        assert_eq!(F8E5m2(0x7b).to_f32(), 57344.0);
        assert_eq!(F8E5m2(0x04).to_f32(), 2f32.powi(-14));
        assert_eq!(F8E5m2(0x03).to_f32(), 0.75 * 2f32.powi(-14));
        assert_eq!(F8E5m2(0x01).to_f32(), 2f32.powi(-16));
        assert_eq!(F8E5m2(0xfc).to_f32(), f32::NEG_INFINITY);
        assert!(F8E5m2(0x7d).to_f32().is_nan());
        assert_eq!(F8E5m2(0x80).to_f32().to_bits(), (-0.0f32).to_bits());
    }
}
