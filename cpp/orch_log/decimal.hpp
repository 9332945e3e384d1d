// A decimal significand and exponent as text.
#ifndef ORCH_LOG_DECIMAL_HPP
#define ORCH_LOG_DECIMAL_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace orch_log {
namespace detail {

/// The eight decimal digits of a number below 10^8 as bytes 0 … 9, the first digit in the lowest byte.
///
/// All of them at once: two numbers of four digits side by side, then four of two, then eight of one. The
/// multipliers divide by 100 and 10 exactly in the ranges that occur.
constexpr std::uint64_t eight_digits(std::uint32_t value) noexcept {
    const std::uint64_t fours = value / 10000 + (std::uint64_t{value % 10000} << 32);
    const std::uint64_t hundreds = ((fours * 10486) >> 20) & 0x0000007f0000007fu;
    const std::uint64_t twos = hundreds + ((fours - 100 * hundreds) << 16);
    const std::uint64_t tens = ((twos * 103) >> 10) & 0x000f000f000f000fu;
    return tens + ((twos - 10 * tens) << 8);
}

inline constexpr std::uint64_t ascii_zeros = 0x3030303030303030u;

/// Writes eight digits.
inline void put_eight(char* out, std::uint64_t digits) noexcept {
    digits |= ascii_zeros;
    std::memcpy(out, &digits, 8);
}

/// 10^n for n in 0..=17.
inline std::uint64_t small_power_of_ten(int n) noexcept {
    static constexpr std::uint64_t table[] = {1u,
                                              10u,
                                              100u,
                                              1000u,
                                              10000u,
                                              100000u,
                                              1000000u,
                                              10000000u,
                                              100000000u,
                                              1000000000u,
                                              10000000000u,
                                              100000000000u,
                                              1000000000000u,
                                              10000000000000u,
                                              100000000000000u,
                                              1000000000000000u,
                                              10000000000000000u,
                                              100000000000000000u};
    return table[n];
}

/// How many digits a number below 10^17 has; 1 for 0. 1233/4096 is a little more than log10 2.
inline int count_digits(std::uint64_t value) noexcept {
    const int bits = 64 - __builtin_clzll(value | 1);
    const int guess = (bits * 1233) >> 12;  // right or one too few
    return guess + (value >= small_power_of_ten(guess));
}

/// Zeros at the end of eight digits, the last of which is in the highest byte; 8 when all are.
inline int zeros_after(std::uint64_t digits) noexcept {
    return __builtin_clzll(digits | 1) / 8 + (digits == 0);  // | 1: undefined for 0
}

/// Seventeen digits in registers, the first in the lowest byte, zeros after the last.
struct Digits {
    std::uint64_t first;   // digits 0–7
    std::uint64_t second;  // digits 8–15
    std::uint64_t last;    // digit 16
    int count;             // trailing zeros not counted

    /// Of a number of exactly nine digits: an f32.
    static Digits nine(std::uint64_t value) noexcept {
        const std::uint64_t top = value / 100000000;
        const std::uint64_t rest = eight_digits(static_cast<std::uint32_t>(value - 100000000 * top));
        return {top | rest << 8, rest >> 56, 0, 9 - zeros_after(rest)};
    }

    /// Of a number of exactly seventeen digits.
    static Digits seventeen(std::uint64_t value) noexcept {
        const std::uint64_t upper = value / 100000000;
        const std::uint64_t top = upper / 100000000;
        const std::uint64_t low = eight_digits(static_cast<std::uint32_t>(value - 100000000 * upper));
        const std::uint64_t middle = eight_digits(static_cast<std::uint32_t>(upper - 100000000 * top));
        const int zeros = zeros_after(low) + (zeros_after(middle) & -static_cast<int>(low == 0));
        return {top | middle << 8, middle >> 56 | low << 8, low >> 56, 17 - zeros};
    }
};

inline char* put_unsigned(char* out, std::uint64_t value) noexcept {
    if (value < 10) {
        *out = static_cast<char>('0' + value);
        return out + 1;
    }
    if (value >= 100000000) {
        out = put_unsigned(out, value / 100000000);
        put_eight(out, eight_digits(static_cast<std::uint32_t>(value % 100000000)));
        return out + 8;
    }
    const std::uint64_t digits = eight_digits(static_cast<std::uint32_t>(value));
    const int zeros = __builtin_ctzll(digits) / 8;  // in front
    put_eight(out, digits >> (8 * zeros));
    return out + 8 - zeros;
}

inline char* put_integer(char* out, std::int64_t value) noexcept {
    std::uint64_t magnitude = static_cast<std::uint64_t>(value);
    if (value < 0) {
        *out++ = '-';
        magnitude = 0 - magnitude;  // defined for the smallest value too
    }
    return put_unsigned(out, magnitude);
}

/// Where the point is far from the digits, or far inside them: `1.5e-7`, `1e30`, `12345678901.5`.
inline char* put_decimal_far(char* out, const Digits& digits, int point) noexcept {
    char text[24];
    put_eight(text, digits.first);
    put_eight(text + 8, digits.second);
    put_eight(text + 16, digits.last);
    if (point > 0 && point <= 16) {
        std::memcpy(out, text, static_cast<std::size_t>(point));
        std::memcpy(out + point + 1, text + point, static_cast<std::size_t>(18 - point));
        out[point] = '.';
        return out + 1 + (digits.count > point ? digits.count : point + 1);
    }
    out[0] = text[0];
    out[1] = '.';
    std::memcpy(out + 2, text + 1, 16);
    out += digits.count == 1 ? 1 : digits.count + 1;
    *out++ = 'e';
    return put_integer(out, point - 1);
}

/// Writes seventeen digits, or with `Nine` the first nine of them, with the point after `point` of them.
///
/// Where the point falls and how many digits there are is as good as random. A mispredicted branch, or a load of
/// what was just stored in other pieces, would cost more than all of this; so it works on words.
template <bool Nine>
inline char* put_digits(char* out, const Digits& digits, int point) noexcept {
    if (static_cast<unsigned>(point + 4) > 11) return put_decimal_far(out, digits, point);
    const int small = point <= 0;
    const int whole = point & (small - 1);  // digits before the point, 0 for `0.00…`
    // With the point after `whole` digits, the digits from there on move up by a byte; if there are none, the digits stay
    // together and start after `0.00…`.
    const std::uint64_t moved = static_cast<std::uint64_t>(small) - 1;
    const int byte = 8 & (small - 1);
    const std::uint64_t stay = (std::uint64_t{1} << (8 * whole)) - 1;
    const std::uint64_t dot = (std::uint64_t{'.' ^ '0'} << (8 * whole)) & moved;
    const std::uint64_t first = ((digits.first & stay) | ((digits.first & ~stay) << byte) | ascii_zeros) ^ dot;
    const std::uint64_t second = digits.second << byte | ((digits.first >> 56) & moved);
    std::memcpy(out, "0.000000", 8);
    char* start = out + ((2 - point) & -small);
    std::memcpy(start, &first, 8);
    if constexpr (Nine) {
        const std::uint16_t tail = static_cast<std::uint16_t>(second | 0x3030u);
        std::memcpy(start + 8, &tail, 2);
    } else {
        const std::uint64_t last = digits.last << byte | ((digits.second >> 56) & moved);
        const std::uint16_t tail = static_cast<std::uint16_t>(last | 0x3030u);
        put_eight(start + 8, second);
        std::memcpy(start + 16, &tail, 2);
    }
    const int least = whole + (1 & (small - 1));  // `300.0`: a digit after the point in any case
    return start + (digits.count > least ? digits.count : least) + (1 & (small - 1));
}

/// Writes value × 10^exponent: with a point near 1 (`12.5`, `0.001`, `300.0`), with an exponent far from it
/// (`1.5e-7`, `1e30`). Always with a point or an exponent, so that a float reads as a float.
inline char* put_decimal(char* out, std::uint64_t value, int exponent) noexcept {
    const int length = count_digits(value);
    const Digits digits = length <= 9 ? Digits::nine(value * small_power_of_ten(9 - length))
                                      : Digits::seventeen(value * small_power_of_ten(17 - length));
    return put_digits<false>(out, digits, length + exponent);
}

/// The same for a value of seven to nine digits, as every f32 but short ones has.
inline char* put_nine_digits(char* out, std::uint32_t value, int exponent) noexcept {
    const int length = 7 + (value >= 10000000) + (value >= 100000000);
    const Digits digits = Digits::nine(value * small_power_of_ten(9 - length));
    return put_digits<true>(out, digits, length + exponent);
}

/// The same for a value of 16 or 17 digits, as most f64 have.
inline char* put_seventeen_digits(char* out, std::uint64_t value, int exponent) noexcept {
    const int length = 16 + (value >= 10000000000000000u);
    const Digits digits = Digits::seventeen(value * (length == 16 ? 10 : 1));
    return put_digits<false>(out, digits, length + exponent);
}

}  // namespace detail
}  // namespace orch_log

#endif
