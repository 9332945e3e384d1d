//! Quantised rows taken apart: scales, floors, integers.

use super::product::widen;
use llama_cpp_sys_2 as sys;
use std::ops::Range;

/// Quantised rows taken apart: element = floor of its block + scale of its block × integer.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockParts {
    /// Elements that share a scale and a floor.
    pub len: usize,
    /// One for each block.
    pub scales: Vec<f32>,
    /// What an element with the integer 0 is.
    pub floors: Vec<f32>,
    /// One for each element.
    pub integers: Vec<i8>,
}

/// Where a type keeps what, in the bytes of one of ggml's blocks.
struct Layout {
    bytes: usize,
    elements: usize,
    len: usize,
    /// Bytes of integers, and what they are for all zeros and for all ones.
    integers: &'static [(Range<usize>, u8, u8)],
    /// Bytes of what all floors are multiples of.
    floors: Range<usize>,
}

/// # Source
///
/// The blocks of ggml's `ggml-common.h`. The integers of Q3_K and Q6_K count from -4 and -32, as its kernels take them; those of
/// Q4_0 and Q5_0 from 0, with a floor of -8 and -16 scales.
fn layout(kind: sys::ggml_type) -> Option<Layout> {
    let (bytes, elements, len, integers, floors): (_, _, _, &'static [_], _) = match kind {
        sys::GGML_TYPE_Q4_0 => (18, 32, 32, &[(2..18, 0, 0x99)], 0..0),
        sys::GGML_TYPE_Q4_1 => (20, 32, 32, &[(4..20, 0, 0x11)], 2..4),
        sys::GGML_TYPE_Q5_0 => (22, 32, 32, &[(2..6, 0, 0xff), (6..22, 0, 0x11)], 0..0),
        sys::GGML_TYPE_Q5_1 => (24, 32, 32, &[(4..8, 0, 0), (8..24, 0, 0x11)], 2..4),
        sys::GGML_TYPE_Q8_0 => (34, 32, 32, &[(2..34, 0, 1)], 0..0),
        sys::GGML_TYPE_Q2_K => (84, 256, 16, &[(16..80, 0, 0x55)], 82..84),
        sys::GGML_TYPE_Q3_K => (
            110,
            256,
            16,
            &[(0..32, 0xff, 0xff), (32..96, 0, 0x55)],
            0..0,
        ),
        sys::GGML_TYPE_Q4_K => (144, 256, 32, &[(16..144, 0, 0x11)], 2..4),
        sys::GGML_TYPE_Q5_K => (176, 256, 32, &[(16..48, 0, 0), (48..176, 0, 0x11)], 2..4),
        sys::GGML_TYPE_Q6_K => (
            210,
            256,
            16,
            &[(0..128, 0, 0x11), (128..192, 0xaa, 0xaa)],
            0..0,
        ),
        _ => return None,
    };
    Some(Layout {
        bytes,
        elements,
        len,
        integers,
        floors,
    })
}

/// Takes whole blocks apart; `None` for types that are not blocks of integers with one scale and one floor.
///
/// ggml widens the blocks three times: as they are, with all integers 0, and with all integers 1 and no floors.
pub(super) fn take_apart(kind: sys::ggml_type, bytes: &[u8]) -> Option<BlockParts> {
    let layout = layout(kind)?;
    let count = bytes.len() / layout.bytes * layout.elements;
    let with = |ones: bool| {
        let mut changed = bytes.to_vec();
        for block in changed.chunks_exact_mut(layout.bytes) {
            for (range, zero, one) in layout.integers {
                block[range.clone()].fill(if ones { *one } else { *zero });
            }
            if ones {
                block[layout.floors.clone()].fill(0);
            }
        }
        let of_elements = widen(kind, &changed, count)?;
        let of_blocks = of_elements.iter().step_by(layout.len);
        Some(of_blocks.copied().collect::<Vec<f32>>())
    };
    let (floors, scales) = (with(false)?, with(true)?);
    let mut integers = Vec::with_capacity(count);
    let widened = widen(kind, bytes, count)?;
    for (block, (scale, floor)) in widened.chunks(layout.len).zip(scales.iter().zip(&floors)) {
        let (scale, floor) = (f64::from(*scale), f64::from(*floor));
        integers.extend(block.iter().map(|x| match scale == 0.0 {
            true => 0,
            false => ((f64::from(*x) - floor) / scale).round() as i8,
        }));
    }
    Some(BlockParts {
        len: layout.len,
        scales,
        floors,
        integers,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    /// Bytes without a pattern; f16 scales of them may be anything finite.
    fn bytes(kind: sys::ggml_type, blocks: usize) -> Vec<u8> {
        let len = layout(kind).unwrap().bytes * blocks;
        let mut state = 0x9e37_79b9_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // The top bit pair of an f16's high byte stays away from infinities.
            (state >> 24) as u8 & 0xbf
        };
        (0..len).map(|_| next()).collect()
    }

    #[test]
    fn parts_make_up_the_whole() {
        for kind in [
            sys::GGML_TYPE_Q4_0,
            sys::GGML_TYPE_Q4_1,
            sys::GGML_TYPE_Q5_0,
            sys::GGML_TYPE_Q5_1,
            sys::GGML_TYPE_Q8_0,
            sys::GGML_TYPE_Q2_K,
            sys::GGML_TYPE_Q3_K,
            sys::GGML_TYPE_Q4_K,
            sys::GGML_TYPE_Q5_K,
            sys::GGML_TYPE_Q6_K,
        ] {
            let bytes = bytes(kind, 7);
            let parts = take_apart(kind, &bytes).unwrap();
            let widened = widen(kind, &bytes, parts.integers.len()).unwrap();
            let used: std::collections::BTreeSet<i8> = parts.integers.iter().copied().collect();
            assert!(used.len() >= 4, "type {kind}: {used:?}");
            for (at, whole) in widened.iter().enumerate() {
                let (scale, floor) = (parts.scales[at / parts.len], parts.floors[at / parts.len]);
                let made = f64::from(scale) * f64::from(parts.integers[at]) + f64::from(floor);
                let near = 1e-6 * f64::from(scale.abs().max(floor.abs()).max(whole.abs()));
                assert!(
                    (made - f64::from(*whole)).abs() <= near,
                    "type {kind}, element {at}"
                );
            }
        }
        assert_eq!(take_apart(sys::GGML_TYPE_F16, &[0; 64]), None);
    }

    #[test]
    fn a_block_by_hand() {
        // Q4_1: scale 0.5 (f16 0x3800), floor -2 (0xc000), the first byte has the integers of elements 0 and 16.
        let mut block = [0_u8; 20];
        block[..5].copy_from_slice(&[0x00, 0x38, 0x00, 0xc0, 0xf3]);
        let parts = take_apart(sys::GGML_TYPE_Q4_1, &block).unwrap();
        assert_eq!(
            (parts.len, parts.integers[0], parts.integers[16]),
            (32, 3, 15)
        );
        assert_eq!((parts.scales, parts.floors), (vec![0.5], vec![-2.0]));
    }
}
