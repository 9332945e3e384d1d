//! Mistakes in decoding quantised blocks.
//!
//! They are made on the stored bytes of the file, for the matrices of the blocks (the embedding table and the
//! output matrix stay right, so that the first wrong checkpoint is in the faulty layer). Source of the layouts:
//! `block_q4_0`, `block_q4_1` and `block_q8_0` in ggml.

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Result, Tensor};
use half::{bf16, f16};

use super::replace::{self, Built};
use super::{Fault, Needs};
use crate::ops::Matrix;

/// Elements of a block.
const BLOCK: usize = 32;

const FAMILY: Fault = Fault {
    family: "dequantisation",
    first: "layer_{L}_q",
    by_token: false,
    ..Fault::BASE
};

const FOUR_BITS: &[Needs] = &[Needs::Stored(&[GgmlDType::Q4_0, GgmlDType::Q4_1])];

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "dequant-nibbles-woven",
        summary: "takes the two codes of a byte for neighbours instead of elements 16 apart",
        needs: FOUR_BITS,
        build: |_, _| decoding(|block| block.codes_at(|element| (element / 2, element % 2 == 1))),
        ..FAMILY
    },
    Fault {
        name: "dequant-nibbles-exchanged",
        summary: "takes the high half of each byte first",
        needs: FOUR_BITS,
        build: |_, _| decoding(|block| block.codes_at(|element| (element % 16, element < 16))),
        ..FAMILY
    },
    Fault {
        name: "dequant-twos-complement",
        summary: "reads four-bit codes as two's complement instead of counting from −8",
        needs: &[Needs::Stored(&[GgmlDType::Q4_0])],
        build: |_, _| {
            decoding(|block| {
                let signed = |code: f32| if code < 8.0 { code } else { code - 16.0 };
                block.values(|code| block.scale * signed(code))
            })
        },
        ..FAMILY
    },
    Fault {
        name: "dequant-zero-off-by-one",
        summary: "subtracts 7 from four-bit codes instead of 8",
        needs: &[Needs::Stored(&[GgmlDType::Q4_0])],
        build: |_, _| decoding(|block| block.values(|code| block.scale * (code - 7.0))),
        ..FAMILY
    },
    Fault {
        name: "dequant-minimum-ignored",
        summary: "does not add the block's minimum",
        needs: &[Needs::Stored(&[GgmlDType::Q4_1])],
        build: |_, _| decoding(|block| block.values(|code| block.scale * code)),
        ..FAMILY
    },
    Fault {
        name: "dequant-header-short",
        summary: "skips two bytes before the codes instead of the four of scale and minimum",
        needs: &[Needs::Stored(&[GgmlDType::Q4_1])],
        build: |_, _| {
            decoding(|block| {
                let early = Block {
                    codes: &block.bytes[2..18],
                    ..*block
                };
                early.values(|code| block.scale * code + block.minimum)
            })
        },
        ..FAMILY
    },
    Fault {
        name: "dequant-unsigned",
        summary: "reads eight-bit codes as unsigned",
        needs: &[Needs::Stored(&[GgmlDType::Q8_0])],
        build: |_, _| decoding(|block| block.values(|code| block.scale * code.rem_euclid(256.0))),
        ..FAMILY
    },
    Fault {
        name: "dequant-scale-bf16",
        summary: "reads the bits of the scale, which are f16, as bf16",
        needs: &[Needs::Stored(&[
            GgmlDType::Q4_0,
            GgmlDType::Q4_1,
            GgmlDType::Q8_0,
        ])],
        build: |_, _| {
            decoding(|block| {
                let bits = u16::from_le_bytes([block.bytes[0], block.bytes[1]]);
                let scale = bf16::from_bits(bits).to_f32();
                Block { scale, ..*block }.decoded()
            })
        },
        ..FAMILY
    },
    Fault {
        name: "dequant-scale-of-neighbour",
        summary: "uses the scale of the block before",
        needs: &[Needs::Stored(&[
            GgmlDType::Q4_0,
            GgmlDType::Q4_1,
            GgmlDType::Q8_0,
        ])],
        build: |_, _| {
            decoding(|block| {
                let scale = block.scale_before;
                Block { scale, ..*block }.decoded()
            })
        },
        ..FAMILY
    },
];

/// One block as it is stored.
#[derive(Clone, Copy)]
struct Block<'a> {
    dtype: GgmlDType,
    bytes: &'a [u8],
    codes: &'a [u8],
    scale: f32,
    scale_before: f32,
    minimum: f32,
}

impl<'a> Block<'a> {
    fn new(dtype: GgmlDType, bytes: &'a [u8], scale_before: Option<f32>) -> Self {
        let half = |at: usize| f16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f32();
        let scale = half(0);
        let header = if dtype == GgmlDType::Q4_1 { 4 } else { 2 };
        Self {
            dtype,
            bytes,
            codes: &bytes[header..],
            scale,
            scale_before: scale_before.unwrap_or(scale),
            minimum: if header == 4 { half(2) } else { 0.0 },
        }
    }

    /// The code of one element, given the byte it is in and whether it is the byte's high half.
    fn nibble(&self, byte: usize, high: bool) -> f32 {
        let byte = self.codes[byte];
        f32::from(if high { byte >> 4 } else { byte & 15 })
    }

    /// Each code through `value`.
    fn values(&self, value: impl Fn(f32) -> f32) -> [f32; BLOCK] {
        std::array::from_fn(|element| {
            value(match self.dtype {
                GgmlDType::Q8_0 => f32::from(self.codes[element] as i8),
                _ => self.nibble(element % 16, element >= 16),
            })
        })
    }

    /// As it should be.
    fn decoded(&self) -> [f32; BLOCK] {
        self.values(|code| self.value(code))
    }

    /// As it should be, with four-bit codes from other places.
    fn codes_at(&self, place: impl Fn(usize) -> (usize, bool)) -> [f32; BLOCK] {
        std::array::from_fn(|element| {
            let (byte, high) = place(element);
            self.value(self.nibble(byte, high))
        })
    }

    fn value(&self, code: f32) -> f32 {
        match self.dtype {
            GgmlDType::Q4_0 => self.scale * (code - 8.0),
            _ => self.scale * code + self.minimum,
        }
    }
}

fn decoding(decode: impl Fn(&Block<'_>) -> [f32; BLOCK] + Send + Sync + 'static) -> Built {
    replace::matrix(move |slot, stored| {
        let known = [GgmlDType::Q4_0, GgmlDType::Q4_1, GgmlDType::Q8_0];
        if slot.layer.is_none() || !known.contains(&stored.dtype()) {
            return Ok(Matrix::Stored(stored));
        }
        decoded(&stored, &decode).map(Matrix::Dense)
    })
}

fn decoded(stored: &QTensor, decode: &dyn Fn(&Block<'_>) -> [f32; BLOCK]) -> Result<Tensor> {
    let (bytes, dtype) = (stored.data()?, stored.dtype());
    let mut values = Vec::with_capacity(stored.shape().elem_count());
    let mut before = None;
    for bytes in bytes.chunks_exact(dtype.type_size()) {
        let block = Block::new(dtype, bytes, before);
        before = Some(block.scale);
        values.extend(decode(&block));
    }
    Tensor::from_vec(values, stored.shape(), &stored.device())
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn the_right_decoding_is_candles_own() {
        let values: Vec<f32> = (0..4 * 64).map(|i| (i as f32 * 0.37).sin() + 0.2).collect();
        let tensor = Tensor::from_vec(values, (4, 64), &Device::Cpu).unwrap();
        for dtype in [GgmlDType::Q4_0, GgmlDType::Q4_1, GgmlDType::Q8_0] {
            let stored = QTensor::quantize(&tensor, dtype).unwrap();
            let own = decoded(&stored, &|block| block.decoded()).unwrap();
            let expected = stored.dequantize(&Device::Cpu).unwrap();
            assert_eq!(
                own.to_vec2::<f32>().unwrap(),
                expected.to_vec2::<f32>().unwrap(),
                "{dtype:?}"
            );
        }
    }
}
