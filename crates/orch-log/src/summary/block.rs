//! One block at a time, in portable code: what every vectorised version must equal, bit for bit.

use super::accumulator::Sums;
use super::signs::block_bits;
use super::{BLOCK, COLUMNS, ROWS};

const SIGN: u64 = 1 << 63;

/// Adds a block, or does nothing and returns false when its sum of squares is not finite: then elements
/// are not, or their squares overflow.
pub(super) fn add(sums: &mut Sums, block: &[f64; BLOCK]) -> bool {
    let mut squares = sums.squares;
    for (index, value) in block.iter().enumerate() {
        squares[index % COLUMNS] += value * value;
    }
    let finite = squares.iter().all(|square| square.is_finite());
    if finite {
        add_finite(sums, block);
    }
    finite
}

/// Adds a block of finite elements.
pub(super) fn add_finite(sums: &mut Sums, block: &[f64; BLOCK]) {
    let mut zeros = [0u64; COLUMNS];
    for row in block.as_chunks::<COLUMNS>().0 {
        for column in 0..COLUMNS {
            let value = row[column];
            sums.sum[column] += value;
            sums.squares[column] += value * value;
            sums.min[column] = if value < sums.min[column] {
                value
            } else {
                sums.min[column]
            };
            sums.max[column] = if value > sums.max[column] {
                value
            } else {
                sums.max[column]
            };
            zeros[column] += u64::from(value == 0.0);
        }
    }
    sums.zeros += zeros.iter().sum::<u64>();
    project(sums, block);
}

/// Adds a block with non-finite elements, or the last one with fewer than 256.
#[cold]
#[inline(never)]
pub(super) fn add_odd(sums: &mut Sums, elements: &[f64]) {
    let mut block = [0.0; BLOCK];
    for (index, (clean, value)) in block.iter_mut().zip(elements).enumerate() {
        if value.is_nan() {
            sums.nans += 1;
        } else if value.is_infinite() {
            sums.infs += 1;
        } else {
            let column = index % COLUMNS;
            *clean = *value;
            sums.sum[column] += value;
            sums.squares[column] += value * value;
            sums.min[column] = if *value < sums.min[column] {
                *value
            } else {
                sums.min[column]
            };
            sums.max[column] = if *value > sums.max[column] {
                *value
            } else {
                sums.max[column]
            };
            sums.zeros += u64::from(*value == 0.0);
        }
    }
    project(sums, &block);
}

/// Adds a block to the sketch: random signs, a Walsh–Hadamard transform over the rows, random signs again.
#[inline(always)]
fn project(sums: &mut Sums, block: &[f64; BLOCK]) {
    let bits = block_bits(sums.blocks);
    sums.blocks = sums.blocks.wrapping_add(1);
    let mut rows = [[0.0f64; COLUMNS]; ROWS];
    for (r, row) in rows.iter_mut().enumerate() {
        for column in 0..COLUMNS {
            let value = block[r * COLUMNS + column];
            row[column] =
                f64::from_bits(value.to_bits() ^ (u64::from(bits[column]) << (63 - r) & SIGN));
        }
    }
    for distance in [8, 4, 2, 1] {
        for r in (0..ROWS).filter(|r| r & distance == 0) {
            let (above, below) = rows.split_at_mut(r + distance);
            for (upper, lower) in above[r].iter_mut().zip(&mut below[0]) {
                (*upper, *lower) = (*upper + *lower, *upper - *lower);
            }
        }
    }
    for (k, row) in rows.iter().enumerate() {
        for column in 0..COLUMNS {
            let sign = u64::from(bits[column]) << (47 - k) & SIGN;
            sums.projections[k][column] += f64::from_bits(row[column].to_bits() ^ sign);
        }
    }
}
