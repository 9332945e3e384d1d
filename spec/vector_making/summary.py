"""Statistics and the sketch, sections 5 and 6 of the specification, in exact arithmetic."""

import math


def fold(columns):
    columns = list(columns)
    for distance in (8, 4, 2, 1):
        for column in range(distance):
            columns[column] += columns[column + distance]
    return columns[0]


def statistics(elements):
    """elements: Python floats."""
    total, squares = [0.0] * 16, [0.0] * 16
    finite = []
    for index, value in enumerate(elements):
        if math.isfinite(value):
            finite.append(value)
            total[index % 16] += value
            squares[index % 16] += value * value
    count = len(finite)
    return {
        "n": len(elements),
        "nan": sum(math.isnan(value) for value in elements),
        "inf": sum(math.isinf(value) for value in elements),
        "zero": sum(value == 0 for value in elements),
        "min": min(finite) + 0.0 if count else math.nan,
        "max": max(finite) + 0.0 if count else math.nan,
        "mean": fold(total) / count if count else math.nan,
        "rms": math.sqrt(fold(squares) / count) if count else math.nan,
    }


M32 = 0xFFFFFFFF


def column_bits(column):
    h = (column + 0x9E3779B9) & M32
    h = ((h ^ (h >> 16)) * 0x7FEB352D) & M32
    h = ((h ^ (h >> 15)) * 0x846CA68B) & M32
    return h ^ (h >> 16)


def sketch(elements):
    accumulated = [[0.0] * 16 for _ in range(16)]
    for block in range((len(elements) + 255) // 256):
        for column in range(16):
            bits = column_bits((block * 16 + column) & M32)
            y = []
            for row in range(16):
                index = block * 256 + row * 16 + column
                value = elements[index] if index < len(elements) else 0.0
                value = value if math.isfinite(value) else 0.0
                y.append(-value if bits >> row & 1 else value)
            for distance in (8, 4, 2, 1):
                for row in range(16):
                    if row & distance == 0:
                        upper, lower = y[row], y[row + distance]
                        y[row], y[row + distance] = upper + lower, upper - lower
            for k in range(16):
                accumulated[k][column] += -y[k] if bits >> (16 + k) & 1 else y[k]
    return [fold(columns) for columns in accumulated]


def sign(index, k):
    """The definition by element, against which `sketch` is checked below."""
    row = index >> 4 & 15
    bits = column_bits(((index >> 8) * 16 + (index & 15)) & M32)
    return -1 if (bits >> row ^ bits >> (16 + k) ^ bin(row & k).count("1")) & 1 else 1
