// Numbers as the shortest decimal that reads back to the same bits.
#ifndef ORCH_LOG_NUMBER_HPP
#define ORCH_LOG_NUMBER_HPP

#include <cstdint>
#include <cstring>

#include "decimal.hpp"
#include "powers_of_ten.hpp"

namespace orch_log {
namespace detail {

inline char* put_literal(char* out, const char* text) noexcept {
    const std::size_t length = std::strlen(text);
    std::memcpy(out, text, length);
    return out + length;
}

/// JSON has no such numbers, hence strings.
inline char* put_not_finite(char* out, bool is_nan, bool negative) noexcept {
    return put_literal(out, is_nan ? "\"NaN\"" : negative ? "\"-Infinity\"" : "\"Infinity\"");
}

// ---- f32 ------------------------------------------------------------------------------------

/// Of the decimals with exponent k or k + 1 inside the interval from `below` to `above`, the shorter, else the one
/// closest to `value`; all three are in quarters of 10^k.
template <class Word>
inline char* put_shortest(char* out, Word below, Word value, Word above, int k) noexcept {
    const Word units = value / 4;
    const Word tens = units / 10;
    const bool ten_below_inside = below <= 40 * tens;
    const bool ten_above_inside = 40 * tens + 40 <= above;
    // Below 10 units a multiple of ten could be 0, which is no significand; `value` is then a subnormal.
    const bool shorter = ten_below_inside != ten_above_inside && units >= 10;
    const bool unit_below_inside = below <= 4 * units;
    const bool unit_above_inside = 4 * units + 4 <= above;
    const Word middle = 4 * units + 2;
    const bool nearer_above = value > middle || (value == middle && (units & 1) != 0);
    const bool up = unit_below_inside != unit_above_inside ? unit_above_inside : nearer_above;
    return put_decimal(out, shorter ? tens + ten_above_inside : units + up, k + shorter);
}

/// The high word of power × factor, its last bit set when anything below was lost: enough to compare
/// against the ends of the rounding interval exactly.
inline std::uint32_t multiply_to_odd_64(std::uint64_t power, std::uint32_t factor) noexcept {
    const std::uint64_t low = (power & 0xffffffffu) * factor;
    const std::uint64_t high = (power >> 32) * factor + (low >> 32);
    return static_cast<std::uint32_t>(high >> 32) | ((high & 0xffffffffu) > 1);
}

/// The shortest decimal inside the rounding interval of a positive finite f32; of several the
/// closest.
///
/// Source: R. Giulietti, "The Schubfach way to render doubles" (2020), with the parameters of
/// binary32. The interval is scaled by a power of ten so that it holds one or two multiples of 1 and
/// at most one of 10; which of them lie inside decides.
inline char* put_positive_f32(char* out, std::uint32_t bits) noexcept {
    const std::uint32_t biased = bits >> 23;
    const std::uint32_t fraction = bits & 0x7fffffu;
    const std::uint32_t significand = biased == 0 ? fraction : fraction | 0x800000u;
    const int exponent = biased == 0 ? -149 : static_cast<int>(biased) - 150;
    if (exponent <= 0 && exponent > -24 && (significand & ((1u << -exponent) - 1)) == 0) {
        return put_decimal(out, significand >> -exponent, 0);  // a whole number below 2^24
    }
    const bool irregular = fraction == 0 && biased > 1;  // the neighbour below is half as far away
    const int k = (exponent * 1262611 - (irregular ? 524031 : 0)) >> 22;  // floor(log10 2^e or 3/4 2^e)
    const int shift = exponent + ((-k * 1741647) >> 19) + 1;              // + floor(log2 10^-k) + 1
    const std::uint64_t power = power_of_ten_64(-k);
    const std::uint32_t odd = significand & 1;  // the ends of the interval belong to even significands
    const std::uint32_t below = multiply_to_odd_64(power, (4 * significand - 2 + irregular) << shift) + odd;
    const std::uint32_t value = multiply_to_odd_64(power, (4 * significand) << shift);
    const std::uint32_t above = multiply_to_odd_64(power, (4 * significand + 2) << shift) - odd;
    return put_shortest(out, below, value, above, k);
}

inline char* put_f32(char* out, float number) noexcept {
    std::uint32_t bits;
    std::memcpy(&bits, &number, sizeof bits);
    const bool negative = (bits >> 31) != 0;
    bits &= 0x7fffffffu;
    if (bits >= 0x7f800000u) return put_not_finite(out, bits > 0x7f800000u, negative);
    *out = '-';
    out += negative;
    if (bits == 0) return put_literal(out, "0.0");
    return put_positive_f32(out, bits);
}

// ---- f64 ------------------------------------------------------------------------------------

struct Product {
    std::uint64_t high;
    std::uint64_t low;
};

/// All 128 bits of a product.
inline Product multiply_64(std::uint64_t a, std::uint64_t b) noexcept {
#if defined(__SIZEOF_INT128__)
    __extension__ typedef unsigned __int128 U128;
    const U128 product = static_cast<U128>(a) * b;
    return {static_cast<std::uint64_t>(product >> 64), static_cast<std::uint64_t>(product)};
#else
    const std::uint64_t mask = 0xffffffffu;
    const std::uint64_t low = (a & mask) * (b & mask);
    const std::uint64_t middle = (a >> 32) * (b & mask) + (low >> 32);
    const std::uint64_t other = (a & mask) * (b >> 32) + (middle & mask);
    return {(a >> 32) * (b >> 32) + (middle >> 32) + (other >> 32), (other << 32) | (low & mask)};
#endif
}

inline std::uint64_t multiply_to_odd_128(const Power& power, std::uint64_t factor) noexcept {
    const Product below = multiply_64(power.low, factor);
    const Product above = multiply_64(power.high, factor);
    const std::uint64_t middle = above.low + below.high;
    return (above.high + (middle < below.high)) | (middle > 1);
}

/// As `put_positive_f32`, with the parameters of binary64.
inline char* put_positive_f64(char* out, std::uint64_t bits) noexcept {
    const std::uint64_t biased = bits >> 52;
    const std::uint64_t fraction = bits & 0xfffffffffffffu;
    const std::uint64_t significand = biased == 0 ? fraction : fraction | 0x10000000000000u;
    const int exponent = biased == 0 ? -1074 : static_cast<int>(biased) - 1075;
    if (exponent <= 0 && exponent > -53 && (significand & ((std::uint64_t{1} << -exponent) - 1)) == 0) {
        return put_decimal(out, significand >> -exponent, 0);  // a whole number below 2^53
    }
    const bool irregular = fraction == 0 && biased > 1;
    const int k = (exponent * 1262611 - (irregular ? 524031 : 0)) >> 22;
    const int shift = exponent + ((-k * 1741647) >> 19) + 1;
    const Power power = power_of_ten_128(-k);
    const std::uint64_t odd = significand & 1;
    const std::uint64_t below = multiply_to_odd_128(power, (4 * significand - 2 + irregular) << shift) + odd;
    const std::uint64_t value = multiply_to_odd_128(power, (4 * significand) << shift);
    const std::uint64_t above = multiply_to_odd_128(power, (4 * significand + 2) << shift) - odd;
    return put_shortest(out, below, value, above, k);
}
inline char* put_f64(char* out, double number) noexcept {
    std::uint64_t bits;
    std::memcpy(&bits, &number, sizeof bits);
    const bool negative = (bits >> 63) != 0;
    bits &= 0x7fffffffffffffffu;
    if (bits >= 0x7ff0000000000000u) return put_not_finite(out, bits > 0x7ff0000000000000u, negative);
    *out = '-';
    out += negative;
    if (bits == 0) return put_literal(out, "0.0");
    return put_positive_f64(out, bits);
}

}  // namespace detail
}  // namespace orch_log

#endif
