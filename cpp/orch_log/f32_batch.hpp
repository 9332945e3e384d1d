// Four f32 at a time as decimals: the same text as `put_f32`, in half of the time.
//
// Ten values are most of what a record costs above its `write`, and they are independent of each other.
#ifndef ORCH_LOG_F32_BATCH_HPP
#define ORCH_LOG_F32_BATCH_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "element.hpp"
#include "machine.hpp"
#include "number.hpp"

// nvcc's front end is spared the intrinsics; the text is the same without.
#if ORCH_LOG_X86 && !defined(__CUDACC__)
#define ORCH_LOG_BATCHES 1
#include <immintrin.h>
#else
#define ORCH_LOG_BATCHES 0
#endif

namespace orch_log {
namespace detail {

#if ORCH_LOG_BATCHES

/// What `put_digits` stores, for four numbers: sixteen bytes from `start` on, of which the first ten matter.
struct alignas(32) Batch {
    std::uint64_t first[4];   // bytes 0–7 of the text from `start` on
    std::uint64_t second[4];  // bytes 8 and 9
    std::uint64_t start[4];   // 0, or the length of `0.00…`
    std::uint64_t whole[4];   // digits before the point; 0 where `start` is not
    std::uint32_t nonzero;    // a bit for each of digits 0–7 of each number
    std::uint32_t ninth;      // a bit for each number whose digit 8 is not zero
    std::uint32_t negative;   // a bit for each number with a sign
    std::uint32_t usual;      // a bit for each number that this can do: all but zeros, subnormals, powers of two, whole
                              // numbers, very large and very small ones, NaN and infinity
};

#define ORCH_LOG_BATCH __attribute__((target("avx2"), always_inline)) inline

ORCH_LOG_BATCH __m256i times(__m256i a, std::int64_t b) noexcept { return _mm256_mul_epu32(a, _mm256_set1_epi64x(b)); }
ORCH_LOG_BATCH __m256i plus(__m256i a, std::int64_t b) noexcept { return _mm256_add_epi64(a, _mm256_set1_epi64x(b)); }
ORCH_LOG_BATCH __m256i masked(__m256i a, std::int64_t b) noexcept { return _mm256_and_si256(a, _mm256_set1_epi64x(b)); }
/// −1 where a > b.
ORCH_LOG_BATCH __m256i greater(__m256i a, std::int64_t b) noexcept { return _mm256_cmpgt_epi64(a, _mm256_set1_epi64x(b)); }
ORCH_LOG_BATCH std::uint32_t lanes(__m256i mask) noexcept {
    return static_cast<std::uint32_t>(_mm256_movemask_pd(_mm256_castsi256_pd(mask)));
}

/// `quarters` of `put_positive_f32`.
ORCH_LOG_BATCH __m256i quarters(__m256i number) noexcept {
    const __m256i lost = _mm256_srli_epi64(greater(masked(number, 0xffffffff), 2), 63);
    return _mm256_or_si256(_mm256_srli_epi64(number, 32), lost);
}

/// `eight_digits`.
ORCH_LOG_BATCH __m256i eight_digits_of(__m256i value) noexcept {
    const __m256i high = _mm256_srli_epi64(times(value, 3518437209), 45);  // value / 10000
    const __m256i low = _mm256_sub_epi64(value, times(high, 10000));
    const __m256i fours = _mm256_or_si256(high, _mm256_slli_epi64(low, 32));
    const __m256i hundreds = _mm256_srli_epi32(_mm256_mulhi_epu16(fours, _mm256_set1_epi16(5243)), 3);
    const __m256i below_hundred = _mm256_sub_epi32(fours, _mm256_mullo_epi16(hundreds, _mm256_set1_epi16(100)));
    const __m256i twos = _mm256_or_si256(hundreds, _mm256_slli_epi32(below_hundred, 16));
    const __m256i tens = _mm256_mulhi_epu16(twos, _mm256_set1_epi16(6554));
    const __m256i ones = _mm256_sub_epi16(twos, _mm256_mullo_epi16(tens, _mm256_set1_epi16(10)));
    return _mm256_or_si256(tens, _mm256_slli_epi16(ones, 8));
}

/// The first `count` of four numbers; nothing behind them is read.
ORCH_LOG_BATCH __m128i load_numbers(const float* numbers, std::size_t count) noexcept {
    if (count >= 4) return _mm_loadu_si128(reinterpret_cast<const __m128i*>(numbers));
    const __m128i wanted = _mm_cmpgt_epi32(_mm_set1_epi32(static_cast<int>(count)), _mm_setr_epi32(0, 1, 2, 3));
    return _mm_maskload_epi32(reinterpret_cast<const int*>(numbers), wanted);
}

/// The steps of `put_positive_f32`, `put_nine_digits` and `put_digits`, see there.
__attribute__((target("avx2"))) inline void convert_batch(const float* numbers, std::size_t count, Batch& batch) noexcept {
    const __m128i signed_bits = load_numbers(numbers, count);
    batch.negative = static_cast<std::uint32_t>(_mm_movemask_ps(_mm_castsi128_ps(signed_bits)));
    const __m256i bits = _mm256_cvtepu32_epi64(_mm_and_si128(signed_bits, _mm_set1_epi32(0x7fffffff)));
    const __m256i biased = _mm256_srli_epi64(bits, 23);
    const __m256i fraction = masked(bits, 0x7fffff);
    const __m256i significand = _mm256_or_si256(fraction, _mm256_set1_epi64x(0x800000));
    const __m256i exponent = plus(biased, -150);
    const __m256i zero = _mm256_setzero_si256();
    // Whole numbers: nothing is left when the places before the point are shifted out. Shifts by 64 or more give 0, so numbers
    // from 2^24 on count as whole too.
    const __m256i places = _mm256_sllv_epi64(significand, plus(exponent, 64));
    __m256i unusual = _mm256_or_si256(_mm256_cmpeq_epi64(places, zero), _mm256_cmpeq_epi64(fraction, zero));
    unusual = _mm256_or_si256(unusual, _mm256_cmpeq_epi64(biased, zero));

    // Logical shifts of sums that are made positive stand for arithmetic ones.
    const __m256i scaled_exponent = _mm256_mul_epi32(exponent, _mm256_set1_epi64x(1262611));
    const __m256i k = plus(_mm256_srli_epi64(plus(scaled_exponent, std::int64_t{64} << 22), 22), -64);
    const __m256i log2_power = _mm256_mul_epi32(k, _mm256_set1_epi64x(-1741647));
    const __m256i shift = plus(_mm256_add_epi64(exponent, _mm256_srli_epi64(plus(log2_power, std::int64_t{256} << 19), 19)), 1 - 256);
    const __m256i at = _mm256_sub_epi64(_mm256_set1_epi64x(31), k);
    // Unusual numbers (NaN) would index past the table; entry 0 does for them.
    const __m256i power = _mm256_i64gather_epi64(reinterpret_cast<const long long*>(powers_of_ten_64),
                                                 _mm256_andnot_si256(unusual, at), 8);
    const __m256i factor = _mm256_sllv_epi64(significand, plus(shift, 2));
    const __m256i scaled = _mm256_add_epi64(_mm256_mul_epu32(_mm256_srli_epi64(power, 32), factor),
                                            _mm256_srli_epi64(_mm256_mul_epu32(power, factor), 32));
    const __m256i half_step = _mm256_srlv_epi64(power, _mm256_sub_epi64(_mm256_set1_epi64x(31), shift));
    const __m256i odd = masked(bits, 1);
    const __m256i below = _mm256_add_epi64(quarters(_mm256_sub_epi64(scaled, half_step)), odd);
    const __m256i value = quarters(scaled);
    const __m256i above = _mm256_sub_epi64(quarters(plus(_mm256_add_epi64(scaled, half_step), 1)), odd);
    const __m256i units = _mm256_srli_epi64(value, 2);
    const __m256i tens = _mm256_srli_epi64(times(units, 3435973837), 35);  // units / 10
    const __m256i ten = times(tens, 10);
    const __m256i forty = _mm256_slli_epi64(ten, 2);
    const __m256i below_outside = _mm256_cmpgt_epi64(below, forty);
    const __m256i above_outside = _mm256_cmpgt_epi64(plus(forty, 40), above);
    const __m256i up = greater(_mm256_add_epi64(masked(value, 3), masked(units, 1)), 2);
    const __m256i unit = _mm256_sub_epi64(units, up);
    const __m256i ten_inside = _mm256_add_epi64(ten, _mm256_andnot_si256(above_outside, _mm256_set1_epi64x(10)));
    const __m256i chosen = _mm256_blendv_epi8(unit, ten_inside, _mm256_xor_si256(below_outside, above_outside));

    const __m256i below_nine = _mm256_cmpgt_epi64(_mm256_set1_epi64x(100000000), chosen);
    const __m256i below_eight = _mm256_cmpgt_epi64(_mm256_set1_epi64x(10000000), chosen);
    const __m256i to_nine = plus(_mm256_add_epi64(masked(below_nine, 9), masked(below_eight, 90)), 1);
    const __m256i nine = _mm256_mul_epu32(chosen, to_nine);
    const __m256i top = _mm256_srli_epi64(times(nine, 1441151881), 57);  // nine / 10^8
    const __m256i rest = eight_digits_of(_mm256_sub_epi64(nine, times(top, 100000000)));
    const __m256i first = _mm256_or_si256(top, _mm256_slli_epi64(rest, 8));
    const __m256i second = _mm256_srli_epi64(rest, 56);
    const __m256i point = plus(_mm256_add_epi64(_mm256_add_epi64(k, below_nine), below_eight), 9);
    unusual = _mm256_or_si256(unusual, _mm256_or_si256(greater(point, 7), _mm256_cmpgt_epi64(_mm256_set1_epi64x(-4), point)));

    const __m256i small = _mm256_cmpgt_epi64(_mm256_set1_epi64x(1), point);
    const __m256i whole = _mm256_andnot_si256(small, point);
    const __m256i whole_bits = _mm256_slli_epi64(whole, 3);
    const __m256i stay = plus(_mm256_sllv_epi64(_mm256_set1_epi64x(1), whole_bits), -1);
    const __m256i moved = _mm256_or_si256(_mm256_and_si256(first, stay), _mm256_slli_epi64(_mm256_andnot_si256(stay, first), 8));
    const __m256i dot = _mm256_andnot_si256(small, _mm256_sllv_epi64(_mm256_set1_epi64x('.' ^ '0'), whole_bits));
    const __m256i zeros = _mm256_set1_epi8('0');
    const __m256i text = _mm256_xor_si256(_mm256_or_si256(_mm256_blendv_epi8(moved, first, small), zeros), dot);
    const __m256i carried = _mm256_or_si256(_mm256_slli_epi64(second, 8), _mm256_srli_epi64(first, 56));
    const __m256i tail = _mm256_or_si256(_mm256_blendv_epi8(carried, second, small), zeros);
    const __m256i start = _mm256_and_si256(small, _mm256_sub_epi64(_mm256_set1_epi64x(2), point));
    _mm256_store_si256(reinterpret_cast<__m256i*>(batch.first), text);
    _mm256_store_si256(reinterpret_cast<__m256i*>(batch.second), tail);
    _mm256_store_si256(reinterpret_cast<__m256i*>(batch.start), start);
    _mm256_store_si256(reinterpret_cast<__m256i*>(batch.whole), whole);
    batch.nonzero = ~static_cast<std::uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(first, zero)));
    batch.ninth = ~lanes(_mm256_cmpeq_epi64(second, zero));
    batch.usual = ~lanes(unusual);
}

/// Number `i` of a batch, and a comma. The sign is written already.
inline char* put_from_batch(char* out, const Batch& batch, unsigned i) noexcept {
    const std::uint32_t nonzero = ((batch.nonzero >> (8 * i)) & 0xff) | ((batch.ninth >> i) & 1) << 8;
    const int count = 32 - __builtin_clz(nonzero);  // digits without trailing zeros; the first is never zero
    const int whole = static_cast<int>(batch.whole[i]);
    const int dotted = batch.start[i] == 0;
    const int least = whole + dotted;
    std::memcpy(out, "0.000000", 8);
    out += batch.start[i];
    std::memcpy(out, &batch.first[i], 8);
    std::memcpy(out + 8, &batch.second[i], 2);
    out += (count > least ? count : least) + dotted;
    *out = ',';
    return out + 1;
}

/// `count` numbers, at most four, each followed by a comma.
inline char* put_batch(char* out, const float* numbers, std::size_t count) noexcept {
    Batch batch;
    convert_batch(numbers, count, batch);
    for (unsigned i = 0; i < count; ++i) {
        if (((batch.usual >> i) & 1) != 0) {
            *out = '-';
            out += (batch.negative >> i) & 1;
            out = put_from_batch(out, batch, i);
        } else {
            out = put_f32(out, load<float>(numbers + i));
            *out++ = ',';
        }
    }
    return out;
}

#endif

/// Numbers one after the other, each followed by a comma.
inline char* put_f32_list(char* out, const float* numbers, std::size_t count) noexcept {
    std::size_t done = 0;
#if ORCH_LOG_BATCHES
    if (machine() >= Machine::avx2) {
        for (; done < count; done += 4) out = put_batch(out, numbers + done, count - done < 4 ? count - done : 4);
        return out;
    }
#endif
    for (; done < count; ++done) {
        out = put_f32(out, load<float>(numbers + done));
        *out++ = ',';
    }
    return out;
}

}  // namespace detail
}  // namespace orch_log

#endif
