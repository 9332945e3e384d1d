//! The block kernel in AVX-512: the operations of the portable code, sixteen or eight columns at once.

use std::arch::x86_64::*;

use super::element::Element;
use super::histogram::{DiffHistogram, FIRST_EXPONENT};
use super::lanes::*;
use super::partial::{BLOCK, MIN_DENOMINATOR};
use super::portable;
use super::ulp::Ulp;

/// Whether this processor has what the functions here need.
pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
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
    let small = ulp.unwrap_or(Ulp::F32);
    // SAFETY: this function's own contract.
    unsafe {
        match ulp {
            Some(Ulp::F32) => add::<STEPS_F32>(pair, first, small, lanes, watch, exponents),
            Some(Ulp::BF16) => add::<STEPS_BF16>(pair, first, small, lanes, watch, exponents),
            Some(_) => add::<STEPS_SMALL>(pair, first, small, lanes, watch, exponents),
            None => add::<NO_STEPS>(pair, first, small, lanes, watch, exponents),
        }
    }
}

/// How far ahead of the row in work memory is fetched, in rows of one cache line.
const AHEAD: usize = 32;

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,popcnt")]
unsafe fn add<const STEPS: u8>(
    (reference, candidate): (&[Row], &[Row]),
    first: u64,
    ulp: Ulp,
    lanes: &mut Lanes,
    watch: &mut Watch,
    exponents: &mut [[u8; COLUMNS]],
) {
    // SAFETY: `from` points to 16 `f64`.
    let halves =
        |from: *const f64| unsafe { [_mm512_loadu_pd(from), _mm512_loadu_pd(from.add(8))] };
    let mut sums = [[_mm512_setzero_pd(); 2]; SUMS];
    for (sum, from) in sums.iter_mut().zip(&lanes.sums) {
        *sum = halves(from.as_ptr());
    }
    // SAFETY: arrays of 16 `f32` or `u32`.
    let (mut min, mut max, mut steps) = unsafe {
        (
            [
                _mm512_loadu_ps(lanes.min[0].as_ptr()),
                _mm512_loadu_ps(lanes.min[1].as_ptr()),
            ],
            [
                _mm512_loadu_ps(lanes.max[0].as_ptr()),
                _mm512_loadu_ps(lanes.max[1].as_ptr()),
            ],
            _mm512_loadu_si512(lanes.ulp.as_ptr().cast()),
        )
    };
    if STEPS == STEPS_BF16 {
        steps = _mm512_slli_epi32::<16>(steps);
    }
    let (mut different, mut opposite) = (0u64, 0u64);
    let smallest_denominator = _mm512_set1_ps(MIN_DENOMINATOR as f32);
    let mut worst_from = _mm512_set1_ps(watch.worst_from());
    let mut relative_from = _mm512_set1_ps(watch.relative_from());
    let rows = reference.iter().zip(candidate).zip(exponents.iter_mut());
    for (index, ((a, b), exponents)) in rows.enumerate() {
        let (from_a, from_b) = (a.as_ptr(), b.as_ptr());
        _mm_prefetch::<_MM_HINT_T0>(from_a.wrapping_add(AHEAD * COLUMNS).cast());
        _mm_prefetch::<_MM_HINT_T0>(from_b.wrapping_add(AHEAD * COLUMNS).cast());
        for half in [0, 1] {
            // SAFETY: eight of the sixteen elements of a row.
            let (x, y) = unsafe {
                (
                    _mm512_cvtps_pd(_mm256_loadu_ps(from_a.add(8 * half))),
                    _mm512_cvtps_pd(_mm256_loadu_ps(from_b.add(8 * half))),
                )
            };
            let d = _mm512_sub_pd(y, x);
            sums[ABS_DIFF][half] = _mm512_add_pd(sums[ABS_DIFF][half], _mm512_abs_pd(d));
            sums[SQ_DIFF][half] = _mm512_fmadd_pd(d, d, sums[SQ_DIFF][half]);
            sums[SQ_REFERENCE][half] = _mm512_fmadd_pd(x, x, sums[SQ_REFERENCE][half]);
            sums[SQ_CANDIDATE][half] = _mm512_fmadd_pd(y, y, sums[SQ_CANDIDATE][half]);
            sums[DOT][half] = _mm512_fmadd_pd(x, y, sums[DOT][half]);
            sums[REFERENCE][half] = _mm512_add_pd(sums[REFERENCE][half], x);
            sums[CANDIDATE][half] = _mm512_add_pd(sums[CANDIDATE][half], y);
        }
        // SAFETY: the sixteen elements of a row.
        let (x, y) = unsafe { (_mm512_loadu_ps(from_a), _mm512_loadu_ps(from_b)) };
        min[0] = _mm512_min_ps(x, min[0]);
        max[0] = _mm512_max_ps(x, max[0]);
        min[1] = _mm512_min_ps(y, min[1]);
        max[1] = _mm512_max_ps(y, max[1]);

        let d = _mm512_abs_ps(_mm512_sub_ps(y, x));
        let exponent = _mm512_cvtepi32_epi8(_mm512_srli_epi32::<23>(_mm512_castps_si512(d)));
        // SAFETY: sixteen bytes.
        unsafe { _mm_storeu_si128(exponents.as_mut_ptr().cast(), exponent) };
        let denominator = _mm512_max_ps(_mm512_abs_ps(x), smallest_denominator);
        let allowed = _mm512_min_ps(_mm512_mul_ps(relative_from, denominator), worst_from);
        let stands_out = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(d, allowed);
        if stands_out != 0 {
            see(a, b, first + (index * COLUMNS) as u64, stands_out, watch);
            worst_from = _mm512_set1_ps(watch.worst_from());
            relative_from = _mm512_set1_ps(watch.relative_from());
        }

        let (bits_x, bits_y) = (_mm512_castps_si512(x), _mm512_castps_si512(y));
        let differing = _mm512_xor_si512(bits_x, bits_y);
        different += u64::from(_mm512_test_epi32_mask(differing, differing).count_ones());
        let signs = _mm512_movepi32_mask(differing);
        if signs != 0 {
            let magnitude = _mm512_set1_epi32(i32::MAX);
            let smaller = _mm512_min_epu32(
                _mm512_and_si512(bits_x, magnitude),
                _mm512_and_si512(bits_y, magnitude),
            );
            opposite +=
                u64::from(_mm512_mask_test_epi32_mask(signs, smaller, smaller).count_ones());
        }
        let apart = match STEPS {
            STEPS_F32 => distance(bits_x, bits_y, signs),
            STEPS_BF16 => distance(round_bf16(bits_x), round_bf16(bits_y), signs),
            STEPS_SMALL => _mm512_abs_epi32(_mm512_sub_epi32(place(x, ulp), place(y, ulp))),
            _ => _mm512_setzero_si512(),
        };
        steps = _mm512_max_epu32(steps, apart);
    }
    if STEPS == STEPS_BF16 {
        steps = _mm512_srli_epi32::<16>(steps);
    }
    // SAFETY: arrays of 16 `f64`, `f32` or `u32`.
    unsafe {
        for (sum, to) in sums.iter().zip(&mut lanes.sums) {
            _mm512_storeu_pd(to.as_mut_ptr(), sum[0]);
            _mm512_storeu_pd(to.as_mut_ptr().add(8), sum[1]);
        }
        for side in 0..2 {
            _mm512_storeu_ps(lanes.min[side].as_mut_ptr(), min[side]);
            _mm512_storeu_ps(lanes.max[side].as_mut_ptr(), max[side]);
        }
        _mm512_storeu_si512(lanes.ulp.as_mut_ptr().cast(), steps);
    }
    lanes.different += different;
    lanes.opposite += opposite;
}

/// Looks at the elements whose bits are set.
#[cold]
#[inline(never)]
fn see(a: &Row, b: &Row, first: u64, which: u16, watch: &mut Watch) {
    let mut left = which;
    while left != 0 {
        let c = left.trailing_zeros() as usize;
        left &= left - 1;
        watch.see(Element {
            index: first + c as u64,
            reference: f64::from(a[c]),
            candidate: f64::from(b[c]),
        });
    }
}

/// Distance of binary32 bits in order: the difference of the bits where the signs agree, else the sum of the two
/// magnitudes.
#[inline]
#[target_feature(enable = "avx512f")]
fn distance(x: __m512i, y: __m512i, signs: __mmask16) -> __m512i {
    let same = _mm512_abs_epi32(_mm512_sub_epi32(x, y));
    if signs == 0 {
        return same;
    }
    let magnitude = _mm512_set1_epi32(i32::MAX);
    _mm512_mask_add_epi32(
        same,
        signs,
        _mm512_and_si512(x, magnitude),
        _mm512_and_si512(y, magnitude),
    )
}

/// The nearest bf16, ties to even, in the upper half.
#[inline]
#[target_feature(enable = "avx512f")]
fn round_bf16(bits: __m512i) -> __m512i {
    let last = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
    let up = _mm512_add_epi32(last, _mm512_set1_epi32(0x7fff));
    _mm512_andnot_si512(_mm512_set1_epi32(0xffff), _mm512_add_epi32(bits, up))
}

/// [`Ulp::place`] of a format with less range than binary32.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn place(value: __m512, ulp: Ulp) -> __m512i {
    let bits = _mm512_castps_si512(_mm512_abs_ps(value));
    let significand_bits = ulp.significand_bits as i32;
    let exponent = _mm512_sub_epi32(_mm512_srli_epi32::<23>(bits), _mm512_set1_epi32(127));
    let exponent = _mm512_max_epi32(exponent, _mm512_set1_epi32(ulp.min_exponent));
    let scale = _mm512_sub_epi32(_mm512_set1_epi32(127 + significand_bits), exponent);
    let scale = _mm512_castsi512_ps(_mm512_slli_epi32::<23>(scale));
    // To the nearest integer, ties to even.
    let steps = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_castsi512_ps(bits), scale));
    let above = _mm512_sub_epi32(exponent, _mm512_set1_epi32(ulp.min_exponent));
    let shift = _mm_cvtsi32_si128(significand_bits);
    let place = _mm512_add_epi32(_mm512_sll_epi32(above, shift), steps);
    let negative = _mm512_movepi32_mask(_mm512_castps_si512(value));
    _mm512_mask_sub_epi32(place, negative, _mm512_setzero_si512(), place)
}

/// [`portable::count`], place by place: a register of bytes is compared with it at a time.
///
/// # Safety
///
/// [`is_available`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,popcnt")]
pub(super) unsafe fn count(exponents: &[u8], counts: &mut [u64; DiffHistogram::PLACES]) {
    let (blocks, rest) = exponents.as_chunks::<64>();
    portable::count(rest, counts);
    for blocks in blocks.chunks(BLOCK / 64) {
        let mut places = [_mm512_setzero_si512(); BLOCK / 64];
        let (mut least, mut greatest) = (_mm512_set1_epi8(-1), _mm512_setzero_si512());
        for (places, block) in places.iter_mut().zip(blocks) {
            // SAFETY: 64 bytes.
            let exponent = unsafe { _mm512_loadu_si512(block.as_ptr().cast()) };
            let above = _mm512_subs_epu8(exponent, _mm512_set1_epi8(FIRST_EXPONENT as i8));
            let nonzero = _mm512_min_epu8(exponent, _mm512_set1_epi8(1));
            let last = _mm512_set1_epi8(DiffHistogram::PLACES as i8 - 1);
            *places = _mm512_min_epu8(_mm512_max_epu8(above, nonzero), last);
            least = _mm512_min_epu8(least, *places);
            greatest = _mm512_max_epu8(greatest, *places);
        }
        let mut bytes = [[0u8; 64]; 2];
        // SAFETY: arrays of 64 bytes.
        unsafe {
            _mm512_storeu_si512(bytes[0].as_mut_ptr().cast(), least);
            _mm512_storeu_si512(bytes[1].as_mut_ptr().cast(), greatest);
        }
        let least = bytes[0].iter().copied().min().unwrap_or(0);
        let greatest = bytes[1].iter().copied().max().unwrap_or(0);
        let places = &places[..blocks.len()];
        for place in least..=greatest {
            let wanted = _mm512_set1_epi8(place as i8);
            let found = |places: &__m512i| _mm512_cmpeq_epi8_mask(*places, wanted).count_ones();
            counts[usize::from(place)] += u64::from(places.iter().map(found).sum::<u32>());
        }
    }
}
