//! P029.

use crate::explain::formula::blocks::{BLOCK, Block, Stored};
use crate::explain::formula::linear::Linear;
use crate::explain::numbers::{factor, short};
use crate::explain::{Basis, Fit, Kind, Page, Rule, Scene};
use crate::tensor::Dense;
use half::{bf16, f16};

/// Blocks decoded wrongly.
pub(super) static RULE: Rule = Rule {
    page: Page {
        code: "P029",
        name: "quantised blocks decoded wrongly",
        detects: "Codes, scales or minima of quantised blocks are read wrongly: the two halves of a byte in the wrong places or order, another zero \
                  point, the minimum not added, signed codes as unsigned, a scale of another block or of another 16-bit type, a header of another \
                  length.",
        evidence: "The product of the candidate's own input with the file's matrix decoded that way.",
        confirm: "Decode the first block of the matrix by hand and compare 32 numbers with ggml's (`gguf.dequantize` in Python).",
        fix: "ggml's layouts: in Q4_0 and Q4_1 byte i holds elements i (low half) and i + 16 (high half); Q4_0 counts from −8; Q4_1 has scale and \
              minimum, four bytes.",
        reports: &[
            "paiml/aprender#2115",
            "paiml/aprender#1656",
            "kekzl/imp#567",
            "ml-explore/mlx#3664",
            "1bit-MONSTER/1bit-MONSTER#153",
            "vllm-project/vllm#38966",
            "mit-han-lab/llm-awq#324",
            "1bit-MONSTER/1bit-MONSTER#572",
        ],
    },
    kinds: &[Kind::Linear],
    costly: true,
    test,
};

/// A wrong way to decode, given the block before: what it claims and what it makes.
type Way = (&'static str, fn(Stored, &Block, &Block) -> [f64; BLOCK]);

const FOUR_BITS: [Way; 2] = [
    (
        "the two codes of a byte are taken for neighbours instead of elements 16 apart",
        |stored, block, _| block.moved(|at| at / 2 + at % 2 * 16).decoded(stored),
    ),
    (
        "the high half of each byte is taken first",
        |stored, block, _| block.moved(|at| (at + 16) % BLOCK).decoded(stored),
    ),
];

const ANY: [Way; 2] = [
    (
        "the bits of the scale, which are f16, are read as bf16",
        |stored, block, _| {
            let scale = bf16::from_bits(f16::from_f64(block.scale).to_bits()).to_f64();
            Block {
                scale,
                ..block.clone()
            }
            .decoded(stored)
        },
    ),
    (
        "each block has the scale of the block before",
        |stored, block, before| {
            let scale = before.scale;
            Block {
                scale,
                ..block.clone()
            }
            .decoded(stored)
        },
    ),
];

fn test(scene: &Scene<'_>) -> Vec<Fit> {
    found(scene).unwrap_or_default()
}

fn found(scene: &Scene<'_>) -> Option<Vec<Fit>> {
    let linear = scene.linear()?;
    let stored = Stored::of(&linear.matrix.weight.dtype)?;
    // Blocks run through the whole file's matrix: the first row of a part has a block before it, too.
    let blocks: Vec<Block> = linear
        .matrix
        .data()
        .chunks_exact(BLOCK)
        .map(|values| Block::of(stored, values))
        .collect::<Option<_>>()?;
    let mut fits = Vec::new();
    let mut ways: Vec<Way> = ANY.to_vec();
    if stored.is_four_bits() {
        ways.extend(FOUR_BITS);
    }
    match stored {
        Stored::Q4_0 => ways.push((
            "four-bit codes are read as two's complement instead of counting from −8",
            |_, block, _| {
                std::array::from_fn(|at| {
                    let code = block.codes[at];
                    block.scale * f64::from(if code < 8 { code } else { code - 16 })
                })
            },
        )),
        Stored::Q4_1 => ways.push((
            "codes are read two bytes early: the minimum is taken for codes",
            header_short,
        )),
        Stored::Q8_0 => ways.push(("eight-bit codes are read as unsigned", |_, block, _| {
            std::array::from_fn(|at| block.scale * f64::from(block.codes[at].rem_euclid(256)))
        })),
    }
    for (claim, way) in ways {
        let made = product(linear, &blocks, &|block, before| way(stored, block, before));
        let fit = scene.fit(&made, Basis::Inputs, claim);
        // What a bias swallows could as well be nothing.
        let bias = linear.with_bias(&zeros(&made), 1.0);
        let swallowed = linear.bias.is_some()
            && made
                .data
                .iter()
                .zip(&bias.data)
                .all(|(made, bias)| *made as f32 == *bias as f32);
        fits.push(if swallowed { fit.only_likely() } else { fit });
    }
    fits.extend(shifted(scene, linear, &blocks, stored));
    Some(fits)
}

/// The first two bytes of codes are the minimum, and the last two codes' bytes are lost.
fn header_short(stored: Stored, block: &Block, _: &Block) -> [f64; BLOCK] {
    let mut bytes = f16::from_f64(block.minimum)
        .to_bits()
        .to_le_bytes()
        .to_vec();
    bytes.extend((0..BLOCK / 2 - 2).map(|at| (block.codes[at] | block.codes[at + 16] << 4) as u8));
    std::array::from_fn(|at| {
        let byte = bytes[at % 16];
        block.value(
            stored,
            i32::from(if at < 16 { byte & 15 } else { byte >> 4 }),
        )
    })
}

/// The product of the candidate's input with blocks decoded in another way.
fn product(
    linear: &Linear<'_>,
    blocks: &[Block],
    way: &dyn Fn(&Block, &Block) -> [f64; BLOCK],
) -> Dense {
    let decoded: Vec<f64> = (0..blocks.len())
        .flat_map(|at| way(&blocks[at], &blocks[at.saturating_sub(1)]))
        .collect();
    let columns = linear.matrix.columns();
    linear.with_weights(&|row, column| decoded[row * columns + column])
}

/// Another zero point, or another share of the minimum: what is added is the same for all codes of a block, so that its
/// amount can be fitted.
fn shifted(
    scene: &Scene<'_>,
    linear: &Linear<'_>,
    blocks: &[Block],
    stored: Stored,
) -> Option<Fit> {
    let by_minimum = stored == Stored::Q4_1;
    let unit = product(linear, blocks, &|block, _| {
        [if by_minimum {
            block.minimum
        } else {
            block.scale
        }; BLOCK]
    });
    let unit = Dense {
        data: unit
            .data
            .iter()
            .zip(linear.with_bias(&zeros(&unit), 1.0).data)
            .map(|(a, bias)| a - bias)
            .collect(),
        ..unit
    };
    let right = scene.expected()?;
    let rest: Vec<f64> = scene
        .pairs(&right)
        .map(|(found, right)| found - right)
        .collect();
    let units: Vec<f64> = scene.pairs(&unit).map(|(_, unit)| unit).collect();
    let times = factor(rest.into_iter().zip(units))?;
    let whole = if (times - times.round()).abs() < 1e-3 {
        times.round()
    } else {
        times
    };
    let made = right.zip(&unit, |right, unit| right + whole * unit)?;
    let claim = match stored {
        Stored::Q4_1 if whole == -1.0 => "the minimum of each block is not added".to_owned(),
        Stored::Q4_1 => format!(
            "the minimum of each block is added {} times",
            short(1.0 + whole)
        ),
        Stored::Q4_0 => format!("codes count from {} instead of 8", short(8.0 - whole)),
        Stored::Q8_0 => format!("codes count from {} instead of 0", short(-whole)),
    };
    let look = (whole == whole.round()).then(|| "a whole number".to_owned());
    Some(
        scene
            .fit(&made, Basis::Inputs, claim)
            .fitted("added to codes", whole, look),
    )
}

fn zeros(like: &Dense) -> Dense {
    like.map(|_| 0.0)
}
