"""Element types and their text."""

import math
import struct
from fractions import Fraction



def binary(bits, exponent_bits, fraction_bits, bias, infinities=True):
    """An IEEE-like number as a Python float (every one of these types fits a double exactly)."""
    fraction = bits & ((1 << fraction_bits) - 1)
    exponent = (bits >> fraction_bits) & ((1 << exponent_bits) - 1)
    sign = -1.0 if bits >> (fraction_bits + exponent_bits) else 1.0
    top = (1 << exponent_bits) - 1
    if infinities and exponent == top:
        return math.nan if fraction else sign * math.inf
    if not infinities and exponent == top and fraction == (1 << fraction_bits) - 1:
        return math.nan
    if exponent == 0:
        return sign * math.ldexp(fraction, 1 - bias - fraction_bits)
    return sign * math.ldexp(fraction | 1 << fraction_bits, exponent - bias - fraction_bits)


def signed(bits, width):
    return bits - (1 << width) if bits >> (width - 1) else bits


# name: (bytes, decoder from bits, how the text is read: "f32", "f64" or "int")
TYPES = {
    "f64": (8, lambda b: binary(b, 11, 52, 1023), "f64"),
    "f32": (4, lambda b: binary(b, 8, 23, 127), "f32"),
    "f16": (2, lambda b: binary(b, 5, 10, 15), "f32"),
    "bf16": (2, lambda b: binary(b, 8, 7, 127), "f32"),
    "f8_e4m3": (1, lambda b: binary(b, 4, 3, 7, infinities=False), "f32"),
    "f8_e5m2": (1, lambda b: binary(b, 5, 2, 15), "f32"),
    "i8": (1, lambda b: signed(b, 8), "int"),
    "i16": (2, lambda b: signed(b, 16), "int"),
    "i32": (4, lambda b: signed(b, 32), "int"),
    "i64": (8, lambda b: signed(b, 64), "int"),
    "u8": (1, lambda b: b, "int"),
    "u16": (2, lambda b: b, "int"),
    "u32": (4, lambda b: b, "int"),
    "u64": (8, lambda b: b, "int"),
    "bool": (1, lambda b: b, "int"),
}


def f32_bits(value):
    """Bits of a float that is an f32 exactly."""
    return struct.unpack("<I", struct.pack("<f", value))[0]


def nearest_f32(text):
    """The f32 nearest to a decimal text, ties to even, by exact arithmetic; as a Python float."""
    exact = Fraction(text)
    sign = -1.0 if text.lstrip().startswith("-") else 1.0
    magnitude = abs(exact)
    if magnitude == 0:
        return sign * 0.0
    # The exponent of the last of 24 bits, from the size of the fraction; at most one too small.
    exponent = max(-149, magnitude.numerator.bit_length() - magnitude.denominator.bit_length() - 24)
    while magnitude / Fraction(2) ** exponent >= 1 << 24:
        exponent += 1
    scaled = magnitude / Fraction(2) ** exponent
    whole = scaled.numerator // scaled.denominator
    rest = scaled - whole
    if rest > Fraction(1, 2) or (rest == Fraction(1, 2) and whole & 1):
        whole += 1
    if whole * Fraction(2) ** exponent >= Fraction(2) ** 128:
        return sign * math.inf
    return sign * math.ldexp(whole, exponent)


def shortest_f32(value):
    """The shortest decimal that reads back to the same f32."""
    for digits in range(1, 10):
        text = repr(float(f"{value:.{digits - 1}e}"))
        if nearest_f32(text) == value:
            return text
    raise ValueError(value)


def number_text(value, form):
    if form == "int":
        return str(value)
    if math.isnan(value):
        return '"NaN"'
    if math.isinf(value):
        return '"Infinity"' if value > 0 else '"-Infinity"'
    if form == "f64":
        return repr(value)
    return shortest_f32(value) if value else ("-0.0" if math.copysign(1, value) < 0 else "0.0")
