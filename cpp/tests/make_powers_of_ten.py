#!/usr/bin/env python3
"""Writes orch_log/powers_of_ten.hpp from exact integer arithmetic; --check compares instead of writing."""

import pathlib
import sys
from fractions import Fraction

LEAST_64, GREATEST_64 = -31, 45
LEAST_128, GREATEST_128 = -292, 324
TARGET = pathlib.Path(__file__).resolve().parent.parent / "orch_log" / "powers_of_ten.hpp"


def floor_log2_power_of_ten(k):
    if k >= 0:
        return (10**k).bit_length() - 1
    return -((10**-k - 1).bit_length())


def rounded(k, bits):
    """floor(10^k / 2^(floor(log2 10^k) - bits + 1)) + 1, which has exactly `bits` bits."""
    exponent = floor_log2_power_of_ten(k)
    assert (k * 1741647) >> 19 == exponent, "the shift in number.hpp would be wrong"
    scaled = Fraction(10) ** k / Fraction(2) ** (exponent - bits + 1)
    result = scaled.numerator // scaled.denominator + 1
    assert result.bit_length() == bits
    return result


def check_logarithms():
    """The integer approximations of floor(log10 2^e) and floor(log10 3/4 2^e) in number.hpp."""

    def floor_log10(number):
        k = len(str(number.numerator)) - len(str(number.denominator))
        return k if Fraction(10) ** k <= number else k - 1

    for exponent in list(range(-149, 105)) + list(range(-1074, 972)):
        power = Fraction(2) ** exponent
        assert (exponent * 1262611) >> 22 == floor_log10(power)
        assert (exponent * 1262611 - 524031) >> 22 == floor_log10(power * Fraction(3, 4))


def rows(items, width):
    return "\n".join("    " + ", ".join(items[i : i + width]) + "," for i in range(0, len(items), width))


def text():
    short = [f"0x{rounded(k, 64):016x}" for k in range(LEAST_64, GREATEST_64 + 1)]
    long = []
    for k in range(LEAST_128, GREATEST_128 + 1):
        power = rounded(k, 128)
        long.append(f"{{0x{power >> 64:016x}, 0x{power & (2**64 - 1):016x}}}")
    return f"""// Powers of ten for the conversion of floats to decimals. Written by tests/make_powers_of_ten.py.
#ifndef ORCH_LOG_POWERS_OF_TEN_HPP
#define ORCH_LOG_POWERS_OF_TEN_HPP

#include <cstdint>

namespace orch_log {{
namespace detail {{

/// floor(10^k / 2^(floor(log2 10^k) - 63)) + 1 for k in {LEAST_64}..={GREATEST_64}: all that an f32 needs.
inline constexpr std::uint64_t powers_of_ten_64[] = {{
{rows(short, 4)}
}};

inline std::uint64_t power_of_ten_64(int k) noexcept {{ return powers_of_ten_64[k + {-LEAST_64}]; }}

struct Power {{
    std::uint64_t high;
    std::uint64_t low;
}};

/// floor(10^k / 2^(floor(log2 10^k) - 127)) + 1 for k in {LEAST_128}..={GREATEST_128}: all that an f64 needs.
inline Power power_of_ten_128(int k) noexcept {{
    static constexpr Power table[] = {{
{rows(long, 2)}
    }};
    return table[k + {-LEAST_128}];
}}

}}  // namespace detail
}}  // namespace orch_log

#endif
"""


def main():
    check_logarithms()
    if "--check" in sys.argv:
        sys.exit(0 if TARGET.read_text() == text() else "powers_of_ten.hpp is not what this program writes")
    TARGET.write_text(text())


main()
