//! The block kernel in AVX-512 and AVX2, chosen at run time.
//!
//! The loops of the portable code vectorise to a third of this speed, because compilers spill the sixteen
//! rows of the transform. Each operation here is one of the portable code on several columns, in the same
//! order, so the results are equal bit for bit.

use std::arch::x86_64::*;

use super::accumulator::Sums;
use super::signs::{FACTORS, SEED, block_bits};
use super::{BLOCK, COLUMNS, ROWS};

/// How far ahead of the block in work memory is fetched, in blocks of 1 KiB.
const AHEAD: usize = 4;

/// Adds blocks of finite elements; false, with nothing done, on a processor without AVX2.
pub(super) fn add_finite(sums: &mut Sums, blocks: &[[f32; BLOCK]]) -> bool {
    if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq") {
        // SAFETY: the features were just detected.
        unsafe { add_finite_avx512(sums, blocks) };
        true
    } else {
        add_finite_with_avx2(sums, blocks)
    }
}

/// As [`add_finite`], also where there is AVX-512.
pub(super) fn add_finite_with_avx2(sums: &mut Sums, blocks: &[[f32; BLOCK]]) -> bool {
    let detected = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    if detected {
        // SAFETY: the features were just detected.
        unsafe { add_finite_avx2(sums, blocks) };
    }
    detected
}

/// Repeats a step for literal numbers: shifts take only constants.
macro_rules! for_each {
    ($step:ident: $($number:literal)*) => { $($step!($number);)* };
}

/// Fetches the block that comes [`AHEAD`] after this one. Past the end this is of no use and no harm.
#[inline(always)]
fn fetch_ahead(block: &[f32; BLOCK]) {
    const LINE: usize = 64 / size_of::<f32>();
    for line in 0..BLOCK / LINE {
        let address = block.as_ptr().wrapping_add(AHEAD * BLOCK + line * LINE);
        // SAFETY: a prefetch does not access memory and may name any address; SSE is part of x86-64.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
    }
}

/// # Safety
///
/// `from` to `from + 7` are valid.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn load8(from: *const f32) -> __m512d {
    // SAFETY: eight elements, by this function's contract.
    _mm512_cvtps_pd(unsafe { _mm256_loadu_ps(from) })
}

#[target_feature(enable = "avx512f,avx512dq")]
fn add_finite_avx512(sums: &mut Sums, blocks: &[[f32; BLOCK]]) {
    let sign = _mm512_set1_epi64(i64::MIN);
    // a ^ (b & c): the operand flips its sign where the shifted random bits say so.
    const FLIP: i32 = 0x78;
    let mut sum = [_mm512_setzero_pd(); 2];
    let mut squares = sum;
    for half in 0..2 {
        // SAFETY: 8 of the 16 columns, half 0 or 1.
        unsafe {
            sum[half] = _mm512_loadu_pd(sums.sum.as_ptr().add(8 * half));
            squares[half] = _mm512_loadu_pd(sums.squares.as_ptr().add(8 * half));
        }
    }
    let (mut min, mut max) = (narrow_avx512(&sums.min), narrow_avx512(&sums.max));
    for block in blocks {
        fetch_ahead(block);
        let from = block.as_ptr();
        let mut zeros = 0;
        for r in 0..ROWS {
            // SAFETY: row r of the block, 16 elements.
            let values = unsafe { _mm512_loadu_ps(from.add(COLUMNS * r)) };
            min = _mm512_min_ps(min, values);
            max = _mm512_max_ps(max, values);
            zeros += _mm512_cmpeq_ps_mask(values, _mm512_setzero_ps()).count_ones();
        }
        sums.zeros += u64::from(zeros);

        let bits = column_bits_avx512(sums.blocks);
        sums.blocks = sums.blocks.wrapping_add(1);
        let bits = [
            _mm512_cvtepu32_epi64(_mm512_castsi512_si256(bits)),
            _mm512_cvtepu32_epi64(_mm512_extracti64x4_epi64::<1>(bits)),
        ];
        for half in 0..2 {
            let mut y = [_mm512_setzero_pd(); ROWS];
            macro_rules! load {
                ($r:literal) => {
                    // SAFETY: columns 8·half to 8·half + 7 of row r of the block.
                    let values = unsafe { load8(from.add(COLUMNS * $r + 8 * half)) };
                    sum[half] = _mm512_add_pd(sum[half], values);
                    // The square of an `f32` is exact in `f64`: fusing changes nothing.
                    squares[half] = _mm512_fmadd_pd(values, values, squares[half]);
                    let signs = _mm512_slli_epi64::<{ 63 - $r }>(bits[half]);
                    let flipped =
                        _mm512_ternarylogic_epi64::<FLIP>(_mm512_castpd_si512(values), signs, sign);
                    y[$r] = _mm512_castsi512_pd(flipped);
                };
            }
            for_each!(load: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
            macro_rules! transform {
                ($distance:literal: $($r:literal)*) => {$(
                    let (upper, lower) = (y[$r], y[$r + $distance]);
                    y[$r] = _mm512_add_pd(upper, lower);
                    y[$r + $distance] = _mm512_sub_pd(upper, lower);
                )*};
            }
            transform!(8: 0 1 2 3 4 5 6 7);
            transform!(4: 0 1 2 3 8 9 10 11);
            transform!(2: 0 1 4 5 8 9 12 13);
            transform!(1: 0 2 4 6 8 10 12 14);
            macro_rules! store {
                ($k:literal) => {
                    let signs = _mm512_slli_epi64::<{ 47 - $k }>(bits[half]);
                    let flipped =
                        _mm512_ternarylogic_epi64::<FLIP>(_mm512_castpd_si512(y[$k]), signs, sign);
                    // SAFETY: columns 8·half to 8·half + 7 of projection k.
                    unsafe {
                        let to = sums.projections[$k].as_mut_ptr().add(8 * half);
                        _mm512_storeu_pd(
                            to,
                            _mm512_add_pd(_mm512_loadu_pd(to), _mm512_castsi512_pd(flipped)),
                        );
                    }
                };
            }
            for_each!(store: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
        }
    }
    for half in 0..2 {
        // SAFETY: 8 of the 16 columns.
        unsafe {
            _mm512_storeu_pd(sums.sum.as_mut_ptr().add(8 * half), sum[half]);
            _mm512_storeu_pd(sums.squares.as_mut_ptr().add(8 * half), squares[half]);
        }
    }
    widen_avx512(min, &mut sums.min);
    widen_avx512(max, &mut sums.max);
}

/// Extremes of `f32` elements as `f32`, exactly.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn narrow_avx512(extremes: &[f64; COLUMNS]) -> __m512 {
    // SAFETY: the two halves of an array of 16 `f64`.
    let (low, high) = unsafe {
        (
            _mm512_loadu_pd(extremes.as_ptr()),
            _mm512_loadu_pd(extremes.as_ptr().add(8)),
        )
    };
    _mm512_insertf32x8::<1>(
        _mm512_castps256_ps512(_mm512_cvtpd_ps(low)),
        _mm512_cvtpd_ps(high),
    )
}

/// The way back.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn widen_avx512(extremes: __m512, into: &mut [f64; COLUMNS]) {
    let (low, high) = (
        _mm512_castps512_ps256(extremes),
        _mm512_extractf32x8_ps::<1>(extremes),
    );
    // SAFETY: the two halves of an array of 16 `f64`.
    unsafe {
        _mm512_storeu_pd(into.as_mut_ptr(), _mm512_cvtps_pd(low));
        _mm512_storeu_pd(into.as_mut_ptr().add(8), _mm512_cvtps_pd(high));
    }
}

/// `block_bits`, sixteen columns at once.
#[inline]
#[target_feature(enable = "avx512f")]
fn column_bits_avx512(block: u32) -> __m512i {
    let first = block.wrapping_mul(COLUMNS as u32).wrapping_add(SEED);
    let columns = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    let bits = _mm512_add_epi32(_mm512_set1_epi32(first as i32), columns);
    let bits = _mm512_xor_si512(bits, _mm512_srli_epi32::<16>(bits));
    let bits = _mm512_mullo_epi32(bits, _mm512_set1_epi32(FACTORS[0] as i32));
    let bits = _mm512_xor_si512(bits, _mm512_srli_epi32::<15>(bits));
    let bits = _mm512_mullo_epi32(bits, _mm512_set1_epi32(FACTORS[1] as i32));
    _mm512_xor_si512(bits, _mm512_srli_epi32::<16>(bits))
}

#[target_feature(enable = "avx2,fma")]
fn add_finite_avx2(sums: &mut Sums, blocks: &[[f32; BLOCK]]) {
    let sign = _mm256_set1_epi64x(i64::MIN);
    // Sixteen rows of four columns are all the registers there are, so half of the transform goes
    // through memory that stays in the first-level cache.
    let mut half_way = [[0.0f64; 4]; ROWS];
    for block in blocks {
        fetch_ahead(block);
        stats_avx2(sums, block);
        let from = block.as_ptr();
        let bits = block_bits(sums.blocks);
        sums.blocks = sums.blocks.wrapping_add(1);
        for quarter in 0..4 {
            // SAFETY: 4 of the 16 columns' bits.
            let bits = _mm256_cvtepu32_epi64(unsafe {
                _mm_loadu_si128(bits.as_ptr().add(4 * quarter).cast())
            });
            macro_rules! load {
                ($r:expr) => {{
                    // SAFETY: columns 4·quarter to 4·quarter + 3 of row r of the block.
                    let values = _mm256_cvtps_pd(unsafe {
                        _mm_loadu_ps(from.add(COLUMNS * ($r) + 4 * quarter))
                    });
                    let signs = _mm256_and_si256(_mm256_slli_epi64::<{ 63 - ($r) }>(bits), sign);
                    _mm256_xor_pd(values, _mm256_castsi256_pd(signs))
                }};
            }
            // Distances 8 and 4.
            macro_rules! first_half {
                ($r:literal) => {
                    let (a, b, c, d) = (load!($r), load!($r + 4), load!($r + 8), load!($r + 12));
                    let (ac, bd) = (_mm256_add_pd(a, c), _mm256_add_pd(b, d));
                    let (a_c, b_d) = (_mm256_sub_pd(a, c), _mm256_sub_pd(b, d));
                    // SAFETY: arrays of 4 `f64`.
                    unsafe {
                        _mm256_storeu_pd(half_way[$r].as_mut_ptr(), _mm256_add_pd(ac, bd));
                        _mm256_storeu_pd(half_way[$r + 4].as_mut_ptr(), _mm256_sub_pd(ac, bd));
                        _mm256_storeu_pd(half_way[$r + 8].as_mut_ptr(), _mm256_add_pd(a_c, b_d));
                        _mm256_storeu_pd(half_way[$r + 12].as_mut_ptr(), _mm256_sub_pd(a_c, b_d));
                    }
                };
            }
            for_each!(first_half: 0 1 2 3);
            macro_rules! store {
                ($k:expr, $value:expr) => {{
                    let signs = _mm256_and_si256(_mm256_slli_epi64::<{ 47 - ($k) }>(bits), sign);
                    let flipped = _mm256_xor_pd($value, _mm256_castsi256_pd(signs));
                    // SAFETY: columns 4·quarter to 4·quarter + 3 of projection k.
                    unsafe {
                        let to = sums.projections[$k].as_mut_ptr().add(4 * quarter);
                        _mm256_storeu_pd(to, _mm256_add_pd(_mm256_loadu_pd(to), flipped));
                    }
                }};
            }
            // Distances 2 and 1.
            macro_rules! second_half {
                ($r:literal) => {
                    // SAFETY: arrays of 4 `f64`.
                    let (a, b, c, d) = unsafe {
                        (
                            _mm256_loadu_pd(half_way[$r].as_ptr()),
                            _mm256_loadu_pd(half_way[$r + 1].as_ptr()),
                            _mm256_loadu_pd(half_way[$r + 2].as_ptr()),
                            _mm256_loadu_pd(half_way[$r + 3].as_ptr()),
                        )
                    };
                    let (ac, bd) = (_mm256_add_pd(a, c), _mm256_add_pd(b, d));
                    let (a_c, b_d) = (_mm256_sub_pd(a, c), _mm256_sub_pd(b, d));
                    store!($r, _mm256_add_pd(ac, bd));
                    store!($r + 1, _mm256_sub_pd(ac, bd));
                    store!($r + 2, _mm256_add_pd(a_c, b_d));
                    store!($r + 3, _mm256_sub_pd(a_c, b_d));
                };
            }
            for_each!(second_half: 0 4 8 12);
        }
    }
}

/// The statistics of one block.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn stats_avx2(sums: &mut Sums, block: &[f32; BLOCK]) {
    let from = block.as_ptr();
    let mut zeros = _mm256_setzero_si256();
    for quarter in 0..4 {
        // SAFETY: 4 of the 16 columns of an array in `Sums`, or of a row of the block.
        unsafe {
            let (mut sum, mut squares) = (
                _mm256_loadu_pd(sums.sum.as_ptr().add(4 * quarter)),
                _mm256_loadu_pd(sums.squares.as_ptr().add(4 * quarter)),
            );
            for r in 0..ROWS {
                let values = _mm256_cvtps_pd(_mm_loadu_ps(from.add(COLUMNS * r + 4 * quarter)));
                sum = _mm256_add_pd(sum, values);
                // The square of an `f32` is exact in `f64`: fusing changes nothing.
                squares = _mm256_fmadd_pd(values, values, squares);
            }
            _mm256_storeu_pd(sums.sum.as_mut_ptr().add(4 * quarter), sum);
            _mm256_storeu_pd(sums.squares.as_mut_ptr().add(4 * quarter), squares);
        }
    }
    for half in 0..2 {
        // SAFETY: 8 of the 16 elements of a row.
        let load = |r: usize| unsafe { _mm256_loadu_ps(from.add(COLUMNS * r + 8 * half)) };
        let (mut min, mut max) = (load(0), load(0));
        for r in 0..ROWS {
            let values = load(r);
            min = _mm256_min_ps(min, values);
            max = _mm256_max_ps(max, values);
            let equal = _mm256_cmp_ps::<_CMP_EQ_OQ>(values, _mm256_setzero_ps());
            zeros = _mm256_sub_epi32(zeros, _mm256_castps_si256(equal));
        }
        let (mut least, mut greatest) = ([0.0f32; 8], [0.0f32; 8]);
        // SAFETY: arrays of 8 `f32`.
        unsafe {
            _mm256_storeu_ps(least.as_mut_ptr(), min);
            _mm256_storeu_ps(greatest.as_mut_ptr(), max);
        }
        for (column, (least, greatest)) in least.into_iter().zip(greatest).enumerate() {
            let (least, greatest) = (f64::from(least), f64::from(greatest));
            let (min, max) = (
                &mut sums.min[8 * half + column],
                &mut sums.max[8 * half + column],
            );
            *min = if least < *min { least } else { *min };
            *max = if greatest > *max { greatest } else { *max };
        }
    }
    let mut counts = [0u32; 8];
    // SAFETY: an array of 8 `u32`.
    unsafe { _mm256_storeu_si256(counts.as_mut_ptr().cast(), zeros) };
    sums.zeros += counts.into_iter().map(u64::from).sum::<u64>();
}
