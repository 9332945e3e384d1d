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

#if !defined(__SIZEOF_INT128__)
#error "orch_log needs a 64-bit target"
#endif
__extension__ typedef unsigned __int128 U128;

/// Of the decimals with exponent k or k + 1 inside the interval from `below` to `above`, the shorter, else the one
/// closest to `value`; all three are in quarters of 10^k. Which it is is as good as random, so no branches.
template <class Word>
inline char* put_shortest(char* out, Word below, Word value, Word above, int k) noexcept {
    const Word units = value / 4;
    const Word tens = units / 10;
    const Word ten_below_inside = below <= 40 * tens;
    const Word ten_above_inside = 40 * tens + 40 <= above;
    // Below 10 units a multiple of ten could be 0, which is no significand; `value` is then a subnormal.
    const Word shorter = (ten_below_inside ^ ten_above_inside) & (units >= 10);
    const Word unit_below_inside = below <= 4 * units;
    const Word unit_above_inside = 4 * units + 4 <= above;
    const Word nearer_above = (value & 3) + (units & 1) > 2;  // a tie goes to the even one
    const Word decided = unit_below_inside ^ unit_above_inside;
    const Word unit = units + ((decided & unit_above_inside) | (~decided & nearer_above & 1));
    const Word mask = 0 - shorter;
    return put_decimal(out, ((tens + ten_above_inside) & mask) | (unit & ~mask), k + static_cast<int>(shorter));
}

/// The bits from 64 on of a product, the lowest of them set when those from 32 to 63 say that more was lost than the
/// power's own rounding: enough to compare against the ends of the rounding interval exactly.
inline std::uint32_t round_to_odd(U128 product) noexcept {
    return static_cast<std::uint32_t>(product >> 64) | (static_cast<std::uint64_t>(product) >> 33 != 0);
}

/// The shortest decimal inside the rounding interval of a positive finite f32; of several the closest.
///
/// Source: R. Giulietti, "The Schubfach way to render doubles" (2020), with the parameters of
/// binary32. The interval is scaled by a power of ten so that it holds one or two multiples of 1 and
/// at most one of 10; which of them lie inside decides.
__attribute__((noinline)) inline char* put_any_f32(char* out, std::uint32_t bits) noexcept {
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
    const U128 product = static_cast<U128>(power) * (std::uint64_t{4 * significand} << shift);
    const U128 half_step = static_cast<U128>(power) << (shift + 1);
    const std::uint32_t odd = significand & 1;  // the ends of the interval belong to even significands
    const std::uint32_t below = round_to_odd(product - (half_step >> irregular)) + odd;
    const std::uint32_t value = round_to_odd(product);
    const std::uint32_t above = round_to_odd(product + half_step) - odd;
    return put_shortest(out, below, value, above, k);
}

/// The same for what most numbers are: neither subnormal nor a power of two, so that the interval is symmetrical and
/// the nearest unit lies inside it, and with few enough bits that one word holds all that matters. The bounds on what
/// is lost were found by trying all f32 (tests/all_f32.cpp).
inline char* put_positive_f32(char* out, std::uint32_t bits) noexcept {
    const std::uint32_t biased = bits >> 23;
    const std::uint32_t fraction = bits & 0x7fffffu;
    if (biased == 0 || fraction == 0) return put_any_f32(out, bits);
    const std::uint32_t significand = fraction | 0x800000u;
    const int exponent = static_cast<int>(biased) - 150;
    if (exponent <= 0 && exponent > -24 && (significand & ((1u << -exponent) - 1)) == 0) {
        return put_decimal(out, significand >> -exponent, 0);  // a whole number below 2^24
    }
    const int k = (exponent * 1262611) >> 22;
    const int shift = exponent + ((-k * 1741647) >> 19) + 1;
    const std::uint64_t power = power_of_ten_64(-k);
    // Quarters of 10^k with 32 binary places.
    const U128 product = static_cast<U128>(power) * (std::uint64_t{significand} << (shift + 2));
    const std::uint64_t scaled = static_cast<std::uint64_t>(product >> 32);
    const std::uint64_t half_step = power >> (31 - shift);
    const auto quarters = [](std::uint64_t number) {
        return static_cast<std::uint32_t>(number >> 32) | (static_cast<std::uint32_t>(number) > 2);
    };
    const std::uint32_t odd = significand & 1;
    const std::uint32_t below = quarters(scaled - half_step) + odd;
    const std::uint32_t value = quarters(scaled);
    const std::uint32_t above = quarters(scaled + half_step + 1) - odd;
    const std::uint32_t units = value / 4;
    const std::uint32_t tens = units / 10;
    const std::uint32_t ten_below_inside = below <= 40 * tens;
    const std::uint32_t ten_above_inside = 40 * tens + 40 <= above;
    const std::uint32_t unit = units + ((value & 3) + (units & 1) > 2);  // a tie goes to the even one
    const std::uint32_t ten = 10 * (tens + ten_above_inside);
    const std::uint32_t shorter = 0 - (ten_below_inside ^ ten_above_inside);  // a mask: as good as random
    return put_nine_digits(out, (ten & shorter) | (unit & ~shorter), k);
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

/// A product of 192 bits.
struct Product {
    U128 high;
    std::uint64_t low;
};

/// power × 2^shift, shift below 64.
inline Product shifted(const Power& power, int shift) noexcept {
    const U128 wide = static_cast<U128>(power.high) << 64 | power.low;
    return {wide >> (64 - shift), power.low << shift};
}

inline std::uint64_t round_to_odd_64(U128 high) noexcept {
    return static_cast<std::uint64_t>(high >> 64) | (static_cast<std::uint64_t>(high) > 1);
}

/// As `put_any_f32`, with the parameters of binary64.
__attribute__((noinline)) inline char* put_any_f64(char* out, std::uint64_t bits) noexcept {
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
    const std::uint64_t factor = (4 * significand) << shift;
    const U128 low = static_cast<U128>(power.low) * factor;
    const Product product = {static_cast<U128>(power.high) * factor + (low >> 64), static_cast<std::uint64_t>(low)};
    const Product up = shifted(power, shift + 1);
    const Product down = shifted(power, shift + 1 - static_cast<int>(irregular));
    const std::uint64_t odd = significand & 1;
    const std::uint64_t below = round_to_odd_64(product.high - down.high - (product.low < down.low)) + odd;
    const std::uint64_t value = round_to_odd_64(product.high);
    const std::uint64_t above = round_to_odd_64(product.high + up.high + (product.low + up.low < up.low)) - odd;
    return put_shortest(out, below, value, above, k);
}

/// The same for what most numbers are: neither subnormal nor a power of two, and with 16 or 17 digits.
inline char* put_positive_f64(char* out, std::uint64_t bits) noexcept {
    const std::uint64_t biased = bits >> 52;
    const std::uint64_t fraction = bits & 0xfffffffffffffu;
    if (biased == 0 || fraction == 0) return put_any_f64(out, bits);
    const std::uint64_t significand = fraction | 0x10000000000000u;
    const int exponent = static_cast<int>(biased) - 1075;
    if (exponent <= 0 && exponent > -53 && (significand & ((std::uint64_t{1} << -exponent) - 1)) == 0) {
        return put_decimal(out, significand >> -exponent, 0);  // a whole number below 2^53
    }
    const int k = (exponent * 1262611) >> 22;
    const int shift = exponent + ((-k * 1741647) >> 19) + 1;
    const Power power = power_of_ten_128(-k);
    const std::uint64_t factor = significand << (shift + 2);
    const U128 low = static_cast<U128>(power.low) * factor;
    const Product product = {static_cast<U128>(power.high) * factor + (low >> 64), static_cast<std::uint64_t>(low)};
    const Product half_step = shifted(power, shift + 1);
    const std::uint64_t odd = significand & 1;
    const std::uint64_t below = round_to_odd_64(product.high - half_step.high - (product.low < half_step.low)) + odd;
    const std::uint64_t value = round_to_odd_64(product.high);
    const std::uint64_t above = round_to_odd_64(product.high + half_step.high + (product.low + half_step.low < half_step.low)) - odd;
    const std::uint64_t units = value / 4;
    const std::uint64_t tens = units / 10;
    const std::uint64_t ten_below_inside = below <= 40 * tens;
    const std::uint64_t ten_above_inside = 40 * tens + 40 <= above;
    const std::uint64_t unit = units + ((value & 3) + (units & 1) > 2);  // a tie goes to the even one
    const std::uint64_t ten = 10 * (tens + ten_above_inside);
    const std::uint64_t shorter = 0 - (ten_below_inside ^ ten_above_inside);  // a mask: as good as random
    return put_seventeen_digits(out, (ten & shorter) | (unit & ~shorter), k);
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
