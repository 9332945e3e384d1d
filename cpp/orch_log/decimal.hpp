// A decimal significand and exponent as text.
#ifndef ORCH_LOG_DECIMAL_HPP
#define ORCH_LOG_DECIMAL_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace orch_log {
namespace detail {

constexpr int decimal_digits(std::uint64_t value) noexcept {
    int digits = 1;
    while (value >= 10000) {
        value /= 10000;
        digits += 4;
    }
    return digits + (value >= 10) + (value >= 100) + (value >= 1000);
}

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

/// Seventeen digits in registers, the first in the lowest byte, zeros after the last.
struct Digits {
    std::uint64_t first;   // digits 0–7
    std::uint64_t second;  // digits 8–15
    std::uint64_t last;    // digit 16
    int count;             // trailing zeros not counted

    /// `value` is positive and below 10^17.
    explicit Digits(std::uint64_t value, int digits) noexcept {
        if (digits <= 9) {  // every f32
            const std::uint64_t nine = value * small_power_of_ten(9 - digits);
            const std::uint64_t rest = eight_digits(static_cast<std::uint32_t>(nine % 100000000));
            first = nine / 100000000 | rest << 8;
            second = rest >> 56;
            last = 0;
            count = second != 0 ? 9 : 8 - __builtin_clzll(first) / 8;
            return;
        }
        const std::uint64_t seventeen = value * small_power_of_ten(17 - digits);
        const std::uint64_t upper = seventeen / 100000000;
        const std::uint64_t low = eight_digits(static_cast<std::uint32_t>(seventeen % 100000000));
        const std::uint64_t middle = eight_digits(static_cast<std::uint32_t>(upper % 100000000));
        first = upper / 100000000 | middle << 8;
        second = middle >> 56 | low << 8;
        last = low >> 56;
        count = last != 0     ? 17
                : second != 0 ? 16 - __builtin_clzll(second) / 8
                              : 8 - __builtin_clzll(first) / 8;
    }
};

inline char* put_unsigned(char* out, std::uint64_t value) noexcept {
    if (value < 10) {
        *out = static_cast<char>('0' + value);
        return out + 1;
    }
    char text[24];
    put_eight(text, eight_digits(static_cast<std::uint32_t>(value / 10000000000000000u)));
    put_eight(text + 8, eight_digits(static_cast<std::uint32_t>(value / 100000000 % 100000000)));
    put_eight(text + 16, eight_digits(static_cast<std::uint32_t>(value % 100000000)));
    const int length = decimal_digits(value);
    std::memcpy(out, text + 24 - length, static_cast<std::size_t>(length));
    return out + length;
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

/// Writes value × 10^exponent: with a point near 1 (`12.5`, `0.001`, `300.0`), with an exponent far from it
/// (`1.5e-7`, `1e30`). Always with a point or an exponent, so that a float reads as a float.
///
/// Where the point falls and how many digits there are is as good as random. A mispredicted branch, or a load of
/// what was just stored in other pieces, would cost more than all of this; so it works on words.
inline char* put_decimal(char* out, std::uint64_t value, int exponent) noexcept {
    const int length = count_digits(value);
    const Digits digits(value, length);
    const int point = length + exponent;  // digits before the decimal point
    if (point < -4 || point > 7) return put_decimal_far(out, digits, point);
    const bool small = point <= 0;
    const int whole = small ? 0 : point;
    // With the point after `whole` digits, the digits from there on move up by a byte.
    const std::uint64_t stay = (std::uint64_t{1} << (8 * whole)) - 1;
    const std::uint64_t first = (digits.first & stay) | ((digits.first & ~stay) << 8);
    const std::uint64_t second = digits.second << 8 | digits.first >> 56;
    const std::uint64_t last = digits.last << 8 | digits.second >> 56;
    const std::uint32_t tail = static_cast<std::uint32_t>(small ? digits.last : last) | 0x3030u;
    std::memcpy(out, "0.000000", 8);
    char* start = small ? out + 2 - point : out;
    put_eight(start, small ? digits.first : first);
    put_eight(start + 8, small ? digits.second : second);
    std::memcpy(start + 16, &tail, 4);
    if (!small) out[whole] = '.';
    const int after = digits.count > whole + 1 ? digits.count : whole + 1;
    return small ? start + digits.count : out + 1 + after;
}

}  // namespace detail
}  // namespace orch_log

#endif
