//! The random signs of the sketch.

use super::COLUMNS;

/// 32 random bits of a column: bit r is the sign of row r before the transform, bit 16 + k that of
/// projection k after it.
///
/// # Source
///
/// C. Wellons, "Prospecting for hash functions" (2018, public domain), `lowbias32`. The added constant, 2^32
/// over the golden ratio, keeps column 0 from hashing to 0.
#[inline(always)]
pub(super) const fn column_bits(column: u32) -> u32 {
    let mut bits = column.wrapping_add(SEED);
    bits = (bits ^ (bits >> 16)).wrapping_mul(FACTORS[0]);
    bits = (bits ^ (bits >> 15)).wrapping_mul(FACTORS[1]);
    bits ^ (bits >> 16)
}

pub(super) const SEED: u32 = 0x9e37_79b9;
pub(super) const FACTORS: [u32; 2] = [0x7feb_352d, 0x846c_a68b];

/// The random bits of all columns of a block.
#[inline(always)]
pub(super) fn block_bits(block: u32) -> [u32; COLUMNS] {
    std::array::from_fn(|column| {
        column_bits(
            block
                .wrapping_mul(COLUMNS as u32)
                .wrapping_add(column as u32),
        )
    })
}

/// The sign of element `index` in projection `projection`, as the specification defines it.
pub(super) const fn sign(index: u64, projection: u32) -> f64 {
    let row = (index >> 4) as u32 & 15;
    let column = ((index >> 8) * 16 + (index & 15)) as u32;
    let bits = column_bits(column);
    let parity = (row & projection).count_ones();
    if (bits >> row ^ bits >> (16 + projection) ^ parity) & 1 == 1 {
        -1.0
    } else {
        1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of `spec/trace-format.md`, which a Python program computed.
    #[test]
    fn examples_of_the_specification() {
        for (column, expected) in [
            (0, 0x01fc_e552),
            (1, 0x9f50_5634),
            (2, 0x079f_4ece),
            (151_935, 0x57ee_fb51),
            (u32::MAX, 0xa4f7_896c),
        ] {
            assert_eq!(column_bits(column), expected);
        }
        for (index, expected) in [
            (0, "++-------+++++++"),
            (1, "++++-+-+-----++-"),
            (16, "-++-+-+-++-+-+-+"),
            (255, "++-++---+++-----"),
            (256, "+++--++------+-+"),
            (151_935, "-------++++++--+"),
        ] {
            let signs: String = (0..16)
                .map(|k| if sign(index, k) < 0.0 { '-' } else { '+' })
                .collect();
            assert_eq!(signs, expected, "element {index}");
        }
    }
}
