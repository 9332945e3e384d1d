//! The block kernel in AVX2: the operations of the portable code, eight or four columns at once.
//!
//! Sixteen registers do not hold seven sums of sixteen columns, so that a block is gone through once for each four
//! columns of the sums, and once for each eight of the rest; it stays in the caches meanwhile.

use std::arch::x86_64::*;

use super::element::Element;
use super::histogram::{DiffHistogram, FIRST_EXPONENT};
use super::lanes::*;
use super::partial::{BLOCK, MIN_DENOMINATOR};
use super::portable;
use super::ulp::Ulp;

/// Whether this processor has what the functions here need.
pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("popcnt")
}

/// How places of the last digit are told from `f32` bits.
const STEPS_F32: u8 = 0;
const STEPS_BF16: u8 = 1;
const STEPS_SMALL: u8 = 2;
const NO_STEPS: u8 = 3;

/// # Safety
///
/// [`is_available`], and all three slices have the same length or `exponents` is longer.
pub(super) unsafe fn rows(
    pair: (&[Row], &[Row]),
    first: u64,
    ulp: Option<Ulp>,
    lanes: &mut Lanes,
    watch: &mut Watch,
    exponents: &mut [[u8; COLUMNS]],
) {
    // SAFETY: this function's own contract.
    unsafe {
        for quarter in 0..4 {
            add_sums(pair, quarter, lanes);
        }
        for half in 0..2 {
            match ulp {
                Some(Ulp::F32) => add_rest::<STEPS_F32>(pair, half, ulp, lanes, exponents),
                Some(Ulp::BF16) => add_rest::<STEPS_BF16>(pair, half, ulp, lanes, exponents),
                Some(_) => add_rest::<STEPS_SMALL>(pair, half, ulp, lanes, exponents),
                None => add_rest::<NO_STEPS>(pair, half, ulp, lanes, exponents),
            }
        }
        find(pair, first, watch);
    }
}

/// Seven sums of four columns.
#[target_feature(enable = "avx2,fma")]
unsafe fn add_sums((reference, candidate): (&[Row], &[Row]), quarter: usize, lanes: &mut Lanes) {
    let magnitude = _mm256_castsi256_pd(_mm256_set1_epi64x(i64::MAX));
    let mut sums = [_mm256_setzero_pd(); SUMS];
    for (sum, from) in sums.iter_mut().zip(&lanes.sums) {
        // SAFETY: 4 of the 16 columns.
        *sum = unsafe { _mm256_loadu_pd(from.as_ptr().add(4 * quarter)) };
    }
    for (a, b) in reference.iter().zip(candidate) {
        // SAFETY: 4 of the 16 elements of a row.
        let (x, y) = unsafe {
            (
                _mm256_cvtps_pd(_mm_loadu_ps(a.as_ptr().add(4 * quarter))),
                _mm256_cvtps_pd(_mm_loadu_ps(b.as_ptr().add(4 * quarter))),
            )
        };
        let d = _mm256_sub_pd(y, x);
        sums[ABS_DIFF] = _mm256_add_pd(sums[ABS_DIFF], _mm256_and_pd(d, magnitude));
        sums[SQ_DIFF] = _mm256_fmadd_pd(d, d, sums[SQ_DIFF]);
        sums[SQ_REFERENCE] = _mm256_fmadd_pd(x, x, sums[SQ_REFERENCE]);
        sums[SQ_CANDIDATE] = _mm256_fmadd_pd(y, y, sums[SQ_CANDIDATE]);
        sums[DOT] = _mm256_fmadd_pd(x, y, sums[DOT]);
        sums[REFERENCE] = _mm256_add_pd(sums[REFERENCE], x);
        sums[CANDIDATE] = _mm256_add_pd(sums[CANDIDATE], y);
    }
    for (sum, to) in sums.iter().zip(&mut lanes.sums) {
        // SAFETY: 4 of the 16 columns.
        unsafe { _mm256_storeu_pd(to.as_mut_ptr().add(4 * quarter), *sum) };
    }
}

/// Ranges, steps, exponents and counts of eight columns.
#[target_feature(enable = "avx2,fma,popcnt")]
unsafe fn add_rest<const STEPS: u8>(
    (reference, candidate): (&[Row], &[Row]),
    half: usize,
    ulp: Option<Ulp>,
    lanes: &mut Lanes,
    exponents: &mut [[u8; COLUMNS]],
) {
    let ulp = ulp.unwrap_or(Ulp::F32);
    let at = 8 * half;
    let magnitude = _mm256_set1_epi32(i32::MAX);
    let magnitude_ps = _mm256_castsi256_ps(magnitude);
    // SAFETY: 8 of the 16 columns, all through this block.
    let (mut min, mut max, mut steps) = unsafe {
        let load = |from: &Row| _mm256_loadu_ps(from.as_ptr().add(at));
        (
            [load(&lanes.min[0]), load(&lanes.min[1])],
            [load(&lanes.max[0]), load(&lanes.max[1])],
            _mm256_loadu_si256(lanes.ulp.as_ptr().add(at).cast()),
        )
    };
    if STEPS == STEPS_BF16 {
        steps = _mm256_slli_epi32::<16>(steps);
    }
    // The lowest byte of each of four words.
    let gather = _mm256_setr_epi8(
        0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, //
        0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    );
    let (mut equal, mut not_opposite) = (0u32, 0u32);
    for ((a, b), exponents) in reference.iter().zip(candidate).zip(exponents) {
        // SAFETY: 8 of the 16 elements of a row.
        let (x, y) = unsafe {
            (
                _mm256_loadu_ps(a.as_ptr().add(at)),
                _mm256_loadu_ps(b.as_ptr().add(at)),
            )
        };
        min[0] = _mm256_min_ps(x, min[0]);
        max[0] = _mm256_max_ps(x, max[0]);
        min[1] = _mm256_min_ps(y, min[1]);
        max[1] = _mm256_max_ps(y, max[1]);
        let d = _mm256_and_ps(_mm256_sub_ps(y, x), magnitude_ps);
        let exponent = _mm256_srli_epi32::<23>(_mm256_castps_si256(d));
        let exponent = _mm256_shuffle_epi8(exponent, gather);
        let low = _mm256_extract_epi32::<0>(exponent).to_le_bytes();
        let high = _mm256_extract_epi32::<4>(exponent).to_le_bytes();
        exponents[at..at + 4].copy_from_slice(&low);
        exponents[at + 4..at + 8].copy_from_slice(&high);

        let (bits_x, bits_y) = (_mm256_castps_si256(x), _mm256_castps_si256(y));
        let differing = _mm256_xor_si256(bits_x, bits_y);
        let same = _mm256_cmpeq_epi32(differing, _mm256_setzero_si256());
        equal += mask(same).count_ones();
        let (of_x, of_y) = (
            _mm256_and_si256(bits_x, magnitude),
            _mm256_and_si256(bits_y, magnitude),
        );
        let zero = _mm256_cmpeq_epi32(_mm256_min_epu32(of_x, of_y), _mm256_setzero_si256());
        not_opposite += 8 - mask(_mm256_andnot_si256(zero, differing)).count_ones();
        let apart = match STEPS {
            STEPS_F32 => distance(bits_x, bits_y),
            STEPS_BF16 => distance(round_bf16(bits_x), round_bf16(bits_y)),
            STEPS_SMALL => _mm256_abs_epi32(_mm256_sub_epi32(place(x, ulp), place(y, ulp))),
            _ => _mm256_setzero_si256(),
        };
        steps = _mm256_max_epu32(steps, apart);
    }
    if STEPS == STEPS_BF16 {
        steps = _mm256_srli_epi32::<16>(steps);
    }
    // SAFETY: 8 of the 16 columns.
    unsafe {
        for side in 0..2 {
            _mm256_storeu_ps(lanes.min[side].as_mut_ptr().add(at), min[side]);
            _mm256_storeu_ps(lanes.max[side].as_mut_ptr().add(at), max[side]);
        }
        _mm256_storeu_si256(lanes.ulp.as_mut_ptr().add(at).cast(), steps);
    }
    let all = 8 * reference.len() as u32;
    lanes.different += u64::from(all - equal);
    lanes.opposite += u64::from(all - not_opposite);
}

/// The sign bits.
#[inline]
#[target_feature(enable = "avx2")]
fn mask(words: __m256i) -> u32 {
    _mm256_movemask_ps(_mm256_castsi256_ps(words)) as u32
}

/// Shows `watch` the elements that may stand out.
#[target_feature(enable = "avx2,fma")]
unsafe fn find((reference, candidate): (&[Row], &[Row]), first: u64, watch: &mut Watch) {
    let magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(i32::MAX));
    let smallest_denominator = _mm256_set1_ps(MIN_DENOMINATOR as f32);
    let mut worst_from = _mm256_set1_ps(watch.worst_from());
    let mut relative_from = _mm256_set1_ps(watch.relative_from());
    for (index, (a, b)) in reference.iter().zip(candidate).enumerate() {
        let stands_out = |half: usize| {
            // SAFETY: 8 of the 16 elements of a row.
            let (x, y) = unsafe {
                (
                    _mm256_loadu_ps(a.as_ptr().add(8 * half)),
                    _mm256_loadu_ps(b.as_ptr().add(8 * half)),
                )
            };
            let d = _mm256_and_ps(_mm256_sub_ps(y, x), magnitude);
            let denominator = _mm256_max_ps(_mm256_and_ps(x, magnitude), smallest_denominator);
            let allowed = _mm256_min_ps(_mm256_mul_ps(relative_from, denominator), worst_from);
            _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(d, allowed))
        };
        let which = stands_out(0) | stands_out(1) << 8;
        if which != 0 {
            let mut left = which;
            while left != 0 {
                let c = left.trailing_zeros() as usize;
                left &= left - 1;
                watch.see(Element {
                    index: first + (index * COLUMNS + c) as u64,
                    reference: f64::from(a[c]),
                    candidate: f64::from(b[c]),
                });
            }
            worst_from = _mm256_set1_ps(watch.worst_from());
            relative_from = _mm256_set1_ps(watch.relative_from());
        }
    }
}

/// Distance of binary32 bits in order: the difference of the bits where the signs agree, else the sum of the two
/// magnitudes.
#[inline]
#[target_feature(enable = "avx2")]
fn distance(x: __m256i, y: __m256i) -> __m256i {
    let magnitude = _mm256_set1_epi32(i32::MAX);
    let same = _mm256_abs_epi32(_mm256_sub_epi32(x, y));
    let sum = _mm256_add_epi32(
        _mm256_and_si256(x, magnitude),
        _mm256_and_si256(y, magnitude),
    );
    let signs = _mm256_srai_epi32::<31>(_mm256_xor_si256(x, y));
    _mm256_blendv_epi8(same, sum, signs)
}

/// The nearest bf16, ties to even, in the upper half.
#[inline]
#[target_feature(enable = "avx2")]
fn round_bf16(bits: __m256i) -> __m256i {
    let last = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
    let up = _mm256_add_epi32(last, _mm256_set1_epi32(0x7fff));
    _mm256_andnot_si256(_mm256_set1_epi32(0xffff), _mm256_add_epi32(bits, up))
}

/// [`Ulp::place`] of a format with less range than binary32.
#[inline]
#[target_feature(enable = "avx2")]
fn place(value: __m256, ulp: Ulp) -> __m256i {
    let bits = _mm256_and_si256(_mm256_castps_si256(value), _mm256_set1_epi32(i32::MAX));
    let significand_bits = ulp.significand_bits as i32;
    let exponent = _mm256_sub_epi32(_mm256_srli_epi32::<23>(bits), _mm256_set1_epi32(127));
    let exponent = _mm256_max_epi32(exponent, _mm256_set1_epi32(ulp.min_exponent));
    let scale = _mm256_sub_epi32(_mm256_set1_epi32(127 + significand_bits), exponent);
    let scale = _mm256_castsi256_ps(_mm256_slli_epi32::<23>(scale));
    // To the nearest integer, ties to even.
    let steps = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_castsi256_ps(bits), scale));
    let above = _mm256_sub_epi32(exponent, _mm256_set1_epi32(ulp.min_exponent));
    let shift = _mm_cvtsi32_si128(significand_bits);
    let place = _mm256_add_epi32(_mm256_sll_epi32(above, shift), steps);
    // Negated where the sign is set; `| 1` since a zero would become zero.
    let sign = _mm256_or_si256(_mm256_castps_si256(value), _mm256_set1_epi32(1));
    _mm256_sign_epi32(place, sign)
}

/// [`portable::count`], place by place: a register of bytes is compared with it at a time.
///
/// # Safety
///
/// [`is_available`].
#[target_feature(enable = "avx2")]
pub(super) unsafe fn count(exponents: &[u8], counts: &mut [u64; DiffHistogram::PLACES]) {
    let (blocks, rest) = exponents.as_chunks::<32>();
    portable::count(rest, counts);
    for blocks in blocks.chunks(BLOCK / 32) {
        let mut places = [_mm256_setzero_si256(); BLOCK / 32];
        let (mut least, mut greatest) = (_mm256_set1_epi8(-1), _mm256_setzero_si256());
        for (places, block) in places.iter_mut().zip(blocks) {
            // SAFETY: 32 bytes.
            let exponent = unsafe { _mm256_loadu_si256(block.as_ptr().cast()) };
            let above = _mm256_subs_epu8(exponent, _mm256_set1_epi8(FIRST_EXPONENT as i8));
            let nonzero = _mm256_min_epu8(exponent, _mm256_set1_epi8(1));
            let last = _mm256_set1_epi8(DiffHistogram::PLACES as i8 - 1);
            *places = _mm256_min_epu8(_mm256_max_epu8(above, nonzero), last);
            least = _mm256_min_epu8(least, *places);
            greatest = _mm256_max_epu8(greatest, *places);
        }
        let mut bytes = [[0u8; 32]; 2];
        // SAFETY: arrays of 32 bytes.
        unsafe {
            _mm256_storeu_si256(bytes[0].as_mut_ptr().cast(), least);
            _mm256_storeu_si256(bytes[1].as_mut_ptr().cast(), greatest);
        }
        let least = bytes[0].iter().copied().min().unwrap_or(0);
        let greatest = bytes[1].iter().copied().max().unwrap_or(0);
        for place in least..=greatest {
            let wanted = _mm256_set1_epi8(place as i8);
            // At most 128 registers: a byte does not overflow.
            let mut found = _mm256_setzero_si256();
            for places in &places[..blocks.len()] {
                found = _mm256_sub_epi8(found, _mm256_cmpeq_epi8(*places, wanted));
            }
            let mut sums = [0u64; 4];
            // SAFETY: an array of 4 `u64`.
            unsafe {
                let found = _mm256_sad_epu8(found, _mm256_setzero_si256());
                _mm256_storeu_si256(sums.as_mut_ptr().cast(), found);
            }
            counts[usize::from(place)] += sums.iter().sum::<u64>();
        }
    }
}
