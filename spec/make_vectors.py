#!/usr/bin/env python3
"""Makes spec/vectors/: traces, what they decode to, and what writers must write.

Standard library only, and nothing from the loggers and readers that are tested with the result: types are
decoded bit by bit, decimal text is rounded with exact fractions, statistics and sketches follow the text of
trace-format.md one element at a time.
"""

import json
import math
import struct
import sys
from fractions import Fraction
from pathlib import Path

OUT = Path(__file__).resolve().parent / "vectors"

# ---------------------------------------------------------------- element types


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


# ---------------------------------------------------------------- statistics and sketch, sections 5 and 6


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


# ---------------------------------------------------------------- expected content


def hex64(value):
    value = float(value)
    return "nan" if math.isnan(value) else struct.pack(">d", value).hex()


def text_json(text):
    out = []
    for char in text:
        if char in '"\\':
            out.append("\\" + char)
        elif char in "\n\r\t":
            out.append({"\n": "\\n", "\r": "\\r", "\t": "\\t"}[char])
        elif ord(char) < 0x20:
            out.append(f"\\u{ord(char):04x}")
        else:
            out.append(char)
    return '"' + "".join(out) + '"'


def canonical(value):
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return f'"{hex64(value)}"'
    if isinstance(value, str):
        return text_json(value)
    if isinstance(value, list):
        return "[" + ",".join(canonical(item) for item in value) + "]"
    return "{" + ",".join(f'"{key}":{canonical(item)}' for key, item in value.items()) + "}"


DEFAULTS = {
    "n_tokens": 1,
    "step": None,
    "seq": 0,
    "occurrence": 0,
    "token_axis": 0,
    "rank": None,
    "world": None,
    "shard": None,
    "op": None,
    "src": [],
    "stats": None,
    "sketch": None,
    "payload": None,
    "ts_ns": None,
    "source": None,
    "file": None,
    "source_line": None,
    "lenient": False,
}


def expected(checkpoint, token_idx, dtype, shape, values, team="me", **more):
    content = {
        "checkpoint": checkpoint,
        "team": team,
        "token_idx": token_idx,
        "dtype": dtype,
        "shape": shape,
        "values": [float(value) for value in values],
    }
    unknown = set(more) - set(DEFAULTS)
    assert not unknown, unknown
    for key, default in DEFAULTS.items():
        content[key] = more.get(key, default)
    return content


ERROR = {"error": True}


def write_expected(name, lines):
    rows = [canonical({"line": number, **content}) for number, content in lines]
    (OUT / f"{name}.expected.json").write_text("[\n" + ",\n".join(rows) + "\n]\n", encoding="utf-8")


class Vector:
    """A trace for readers, line by line."""

    def __init__(self, name):
        self.name, self.raw, self.lines, self.number = name, b"", [], 0

    def line(self, text, content, end=b"\n"):
        self.number += 1
        self.raw += (text if isinstance(text, bytes) else text.encode()) + end
        if content is not None:
            self.lines.append((self.number, content))

    def record(self, checkpoint, dtype, bits, token_idx=0, shape=None, extra="", **more):
        """A record by the letter, from bit patterns."""
        _, decode, form = TYPES[dtype]
        values = [decode(one) for one in bits]
        shape = [len(bits)] if shape is None else shape
        numbers = ",".join(number_text(value, form) for value in values)
        self.line(
            f'{{"checkpoint":{text_json(checkpoint)},"team":"me","token_idx":{token_idx},"dtype":"{dtype}",'
            f'"shape":"[{",".join(map(str, shape))}]","values":[{numbers}]{extra}}}',
            expected(checkpoint, token_idx, dtype, shape, values, **more),
        )

    def save(self):
        (OUT / f"{self.name}.jsonl").write_bytes(self.raw)
        write_expected(self.name, self.lines)


# ---------------------------------------------------------------- readers


F32 = f32_bits


def six(values="[0.5,-1.25]", shape='"[2]"', token_idx="7", dtype='"f32"', checkpoint='"logits"', rest=""):
    return (
        f'{{"checkpoint":{checkpoint},"team":"me","token_idx":{token_idx},"dtype":{dtype},'
        f'"shape":{shape},"values":{values}{rest}}}'
    )


PLAIN = expected("logits", 7, "f32", [2], [0.5, -1.25])


def six_field_records():
    v = Vector("six-fields")
    v.line(
        '{"checkpoint":"logits","team":"worker-orcd","token_idx":0,"dtype":"f32","shape":"[151936]",'
        '"values":[0.1,0.2,-0.3,4.5,5.0,6e-7,1e10,-0.0,0.0,10.0]}',
        expected(
            "logits",
            0,
            "f32",
            [151936],
            [nearest_f32(t) for t in "0.1 0.2 -0.3 4.5 5.0 6e-7 1e10 -0.0 0.0 10.0".split()],
            team="worker-orcd",
        ),
    )
    v.line(
        '{"checkpoint":"layer_0_output","team":"llama.cpp","token_idx":1,"dtype":"f16","shape":"[1,896]","values":[1.0]}',
        expected("layer_0_output", 1, "f16", [1, 896], [1.0], team="llama.cpp"),
    )
    v.line(
        '{"checkpoint":"x","team":"me","token_idx":-1,"dtype":"f64","shape":"[]","values":[0.1]}',
        expected("x", -1, "f64", [], [0.1]),
    )
    v.save()


def dtypes():
    v = Vector("dtypes")
    v.record("f64", "f64", [0x3FB999999999999A, 0x7FEFFFFFFFFFFFFF, 0x8000000000000001, 0x4000000000000000])
    v.record("f32", "f32", [0x3DCCCCCD, 0x7F7FFFFF, 0x80000001, 0x40000000])
    v.record("f16", "f16", [0x2E66, 0x7BFF, 0x8001, 0x0400, 0x3C00])
    v.record("bf16", "bf16", [0x3DCD, 0x7F7F, 0x8001, 0x0080, 0x3F80])
    v.record("f8_e4m3", "f8_e4m3", list(range(0x7F)) + list(range(0x80, 0xFF)))
    v.record("f8_e5m2", "f8_e5m2", list(range(0x7C)) + list(range(0x80, 0xFC)))
    v.record("i8", "i8", [0x00, 0x7F, 0x80, 0xFF])
    v.record("i16", "i16", [0x7FFF, 0x8000, 0xFFFF])
    v.record("i32", "i32", [0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
    v.record("i64", "i64", [0x7FFFFFFFFFFFFFFF, 0x8000000000000000, 0x20000000000001, 0xFFFFFFFFFFFFFFFF])
    v.record("u8", "u8", [0, 255])
    v.record("u16", "u16", [0, 65535])
    v.record("u32", "u32", [0, 0xFFFFFFFF])
    v.record("u64", "u64", [0, 0xFFFFFFFFFFFFFFFF, 0x20000000000001])
    v.record("bool", "bool", [0, 1, 1])
    # Quantised blocks are printed as the f32 that they decode to; names in other spellings are the same types.
    v.line(six(dtype='"q4_1"', values="[0.1,-1.25]"), expected("logits", 7, "q4_1", [2], [nearest_f32("0.1"), -1.25]))
    v.line(six(dtype='"iq2_xs"'), expected("logits", 7, "iq2_xs", [2], [0.5, -1.25]))
    v.line(six(dtype='"F32"'), PLAIN)
    v.line(six(dtype='"float32"'), PLAIN)
    v.line(six(dtype='"bfloat16"'), expected("logits", 7, "bf16", [2], [0.5, -1.25]))
    v.save()


def numbers():
    v = Vector("non-finite")
    for dtype, bits in {
        "f32": [0x7FC00000, 0x7F800000, 0xFF800000, 0x3F800000],
        "f64": [0x7FF8000000000000, 0x7FF0000000000000, 0xFFF0000000000000],
        "f16": [0x7E00, 0x7C00, 0xFC00],
        "bf16": [0x7FC0, 0x7F80, 0xFF80],
        "f8_e4m3": [0x7F, 0xFF],
        "f8_e5m2": [0x7F, 0x7C, 0xFC],
    }.items():
        v.record(dtype, dtype, bits)
    v.save()

    v = Vector("negative-zero")
    for dtype, bits in {
        "f32": [0x80000000, 0],
        "f64": [1 << 63, 0],
        "f16": [0x8000, 0],
        "bf16": [0x8000, 0],
        "f8_e4m3": [0x80, 0],
        "f8_e5m2": [0x80, 0],
    }.items():
        v.record(dtype, dtype, bits)
    v.line(six(values="[-0,-0.0,-0e5,0]", shape='"[4]"'), expected("logits", 7, "f32", [4], [-0.0, -0.0, -0.0, 0.0]))
    v.save()

    v = Vector("subnormal")
    v.record("f32", "f32", [1, 2, 3, 0x007FFFFF, 0x00800000, 0x80000001, 0x00400000])
    v.record("f64", "f64", [1, 2, 0x000FFFFFFFFFFFFF, 0x0010000000000000])
    v.record("f16", "f16", [1, 0x03FF, 0x0400])
    v.record("bf16", "bf16", [1, 0x007F, 0x0080])
    v.record("f8_e4m3", "f8_e4m3", [1, 7, 8])
    v.record("f8_e5m2", "f8_e5m2", [1, 3, 4])
    v.save()

    v = Vector("nine-digits")
    # f32 values whose shortest decimal has nine digits, found by search from fixed starting points.
    nine = []
    for start in range(0x00FFFFFF, 0x7F000000, 0x05123457):
        for bits in range(start, start + 100):
            text = shortest_f32(binary(bits, 8, 23, 127))
            if len(text.split("e")[0].replace(".", "").strip("0")) == 9:
                nine.append(bits)
                break
    assert len(nine) >= 3, nine
    v.record("nine", "f32", nine)
    v.record("seventeen", "f64", [0x3FF0000000000001, 0x3FB999999999999B, 0x44B52D02C7E14AF7, 0x7FEFFFFFFFFFFFFF])
    # Decimals near the middle between two f32: rounding through f64 first would be wrong for some.
    hard = [
        "1.00000005960464477539062500000000001",
        "1.000000059604644775390625",
        "1.00000005960464477539062499999999999",
        "1.00000017881393432617187499",
        "1.00000017881393432617187501",
        "16777217.0000000001",
        "7.006492321624085e-46",
        "7.006492321624086e-46",
        "3.4028235677973365e38",
        "3.4028235677973366e38",
        "1e39",
        "-1e-46",
        "0.000000000000000000000000000000000000011754942",
        "33554434.00000000000000000000000001",
        "123456789123456789123456789.5e-20",
    ]
    v.line(
        six(values="[" + ",".join(hard) + "]", shape=f'"[{len(hard)}]"'),
        expected("logits", 7, "f32", [len(hard)], [nearest_f32(text) for text in hard]),
    )
    v.line(
        six(values="[0.1]", shape='"[1]"', dtype='"f64"'),
        expected("logits", 7, "f64", [1], [0.1]),
    )
    v.save()


def shapes_and_places():
    v = Vector("empty-values")
    v.line(six(values="[]", shape='"[896]"'), expected("logits", 7, "f32", [896], []))
    v.line(six(values="[ ]", shape='"[0]"'), expected("logits", 7, "f32", [0], []))
    v.line(six(values="[]", shape='"[]"'), expected("logits", 7, "f32", [], []))
    v.save()

    v = Vector("shapes")
    for shape, dims in [
        ('"[1,896]"', [1, 896]),
        ('"[ 1 , 896 ]"', [1, 896]),
        ("[1,896]", [1, 896]),
        ("[]", []),
        ('"(1, 896)"', [1, 896]),
        ('"(896,)"', [896]),
        ('"[9223372036854775807]"', [(1 << 63) - 1]),
    ]:
        v.line(six(shape=shape), expected("logits", 7, "f32", dims, [0.5, -1.25]))
    v.save()

    v = Vector("multi-token")
    v.record("tokens", "i32", [504, 3575, 253], extra=',"n_tokens":3,"step":0', n_tokens=3, step=0)
    v.record("layer_0_q", "f32", [F32(0.5)] * 4, shape=[3, 9, 64], extra=',"n_tokens":3,"step":0', n_tokens=3, step=0)
    v.record(
        "layer_0_k",
        "f32",
        [F32(-2.0)],
        token_idx=3,
        shape=[9, 1, 64],
        extra=',"n_tokens":1,"step":1,"seq":2,"occurrence":1,"token_axis":1,"op":"MUL_MAT","src":["layer_0_attn_norm","blk.0.attn_k.weight"]',
        step=1,
        seq=2,
        occurrence=1,
        token_axis=1,
        op="MUL_MAT",
        src=["layer_0_attn_norm", "blk.0.attn_k.weight"],
    )
    v.record("nothing", "f32", [], shape=[0, 896], extra=',"n_tokens":0', n_tokens=0)
    v.save()

    v = Vector("shards")
    for rank in (0, 1):
        v.record(
            "layer_0_ffn_up",
            "bf16",
            [0x3F80 + rank],
            shape=[1, 768],
            extra=f',"rank":{rank},"world":2,"shard":{{"axis":1,"index":{rank},"count":2}}',
            rank=rank,
            world=2,
            shard={"axis": 1, "index": rank, "count": 2},
        )
    v.line(
        six(rest=',"shard":{"count":4,"future":[1,{"a":null}],"index":3,"axis":0}'),
        {**PLAIN, "shard": {"axis": 0, "index": 3, "count": 4}},
    )
    v.save()

    v = Vector("provenance")
    v.line(
        six(rest=',"ts_ns":1759866431123456789,"source":"worker-orcd","file":"src/forward.rs","line":128'),
        {**PLAIN, "ts_ns": 1759866431123456789, "source": "worker-orcd", "file": "src/forward.rs", "source_line": 128},
    )
    v.save()


def unusual_lines():
    v = Vector("unknown-fields")
    v.line(six(rest=',"future":1,"nested":{"a":[1,2,{"b":"}"}],"c":null},"t":true,"f":false,"e":{},"l":[[],[{}]]'), PLAIN)
    v.line(
        '{"ts":"2025-10-07T19:47:11Z","team":"me","checkpoint":"logits","token_idx":7,"dtype":"f32","shape":"[2]",'
        '"values":[0.5,-1.25],"source":"me"}',
        {**PLAIN, "source": "me"},
    )
    v.line(six(rest=',"op":null,"step":null,"stats":null,"sketch":null,"payload":null,"shard":null'), PLAIN)
    v.line(six(rest=',"sketch":{"v":99,"s":"something else"}'), PLAIN)
    v.line(six(rest=',"checkpoint":"the last one counts"'), {**PLAIN, "checkpoint": "the last one counts"})
    v.save()

    v = Vector("field-order")
    # The type decides how the numbers are read, also where it comes after them.
    v.line(
        '{"values":[0.1],"shape":"[1]","dtype":"f64","token_idx":7,"team":"me","checkpoint":"x"}',
        expected("x", 7, "f64", [1], [0.1]),
    )
    v.line(
        '{"values":[0.1],"stats":{"n":1,"nan":0,"inf":0,"zero":0,"min":0.1,"max":0.1,"mean":0.1,"rms":0.1},"shape":"[1]","token_idx":7,'
        '"team":"me","checkpoint":"x","dtype":"f32"}',
        expected(
            "x",
            7,
            "f32",
            [1],
            [nearest_f32("0.1")],
            stats={
                "n": 1,
                "nan": 0,
                "inf": 0,
                "zero": 0,
                "min": nearest_f32("0.1"),
                "max": nearest_f32("0.1"),
                "mean": 0.1,
                "rms": 0.1,
            },
        ),
    )
    v.save()

    v = Vector("strings")
    v.line(six(checkpoint=r'"a\"b\\c\/d\b\f\n\r\t\u0041\u00e9\u6f22\ud83d\ude00"'), {**PLAIN, "checkpoint": 'a"b\\c/d\b\f\n\r\tAé漢😀'})
    v.line(six(checkpoint='"é漢😀 \u007f"'), {**PLAIN, "checkpoint": "é漢😀 \u007f"})
    v.line(six(checkpoint=r'"half a pair \ud83d!"'), {**PLAIN, "checkpoint": "half a pair \ufffd!"})
    v.line(six(checkpoint='""'), {**PLAIN, "checkpoint": ""})
    v.line(six(rest=r',"op":"\"","src":["","\u000b"]'), {**PLAIN, "op": '"', "src": ["", "\v"]})
    v.save()

    v = Vector("line-ends")
    v.line(six(), PLAIN)
    v.line("", None)
    v.line(six(), PLAIN, end=b"\r\n")
    v.line("   ", None)
    v.line("  " + six() + "\t ", PLAIN)
    v.line(six(), PLAIN, end=b"")
    v.save()

    v = Vector("half-written")
    v.line(six(), PLAIN)
    v.line(six(values="[0.1")[:-1], ERROR, end=b"")
    v.save()

    v = Vector("torn")
    v.line(six(), PLAIN)
    # A writer that noticed the short write starts a line of its own.
    v.line(six()[:60], ERROR)
    v.line(six(), PLAIN)
    # Another process did not notice.
    v.line(six()[:90] + six(), ERROR)
    v.line(six(), PLAIN)
    v.save()

    v = Vector("damaged")
    whole = six()
    v.line("not JSON", ERROR)
    v.line("[]", ERROR)
    v.line("{}", ERROR)
    for field in ("checkpoint", "team", "token_idx", "dtype", "shape", "values"):
        record = json.loads(whole)
        del record[field]
        v.line(json.dumps(record), ERROR)
    for bad in [
        six(token_idx="7.5"),
        six(token_idx='"7"'),
        six(token_idx="9223372036854775808"),
        six(dtype='"not a type!"'),
        six(dtype="32"),
        six(shape='"[1,x]"'),
        six(shape='"896"'),
        six(shape='"[-1]"'),
        six(shape="[1.5]"),
        six(values="[01]"),
        six(values="[1.]"),
        six(values="[.5]"),
        six(values="[+1]"),
        six(values="[1,]"),
        six(values="[1 2]"),
        six(values='["1"]'),
        six(values="[1e]"),
        six(values="[nanx]"),
        six(values="null"),
        six(rest=',"n_tokens":-1'),
        six(rest=',"sketch":{"v":1,"s":[1,2,3]}'),
        six(rest=',"payload":{"file":"x"}'),
        six(rest=',"x":[1,2}'),
        six(rest=',"x":{"a":1]'),
        six(rest=',"x":tru'),
        six(rest=","),
        six() + "x",
        six() + six(),
        six().replace(",", ";"),
        six(checkpoint=r'"\x"'),
        six(checkpoint=r'"\u12g4"'),
        six(rest=',"deep":' + "[" * 10000 + "]" * 10000),
    ]:
        v.line(bad, ERROR)
    v.line(six().encode().replace(b"logits", b"log\xffts"), ERROR)
    v.line(six().replace("logits", "log\nits"), None)
    v.number += 1  # the line end inside the string made two damaged lines of it
    v.lines += [(v.number - 1, ERROR), (v.number, ERROR)]
    v.line(six().encode().replace(b"logits", b"log\x00ts"), ERROR)
    v.line(six(), PLAIN)
    v.save()


def other_writers():
    v = Vector("python")
    nan = math.nan
    for values in ([0.1, 1e-7, 1e22, 123456789.0, -0.0], [nan, math.inf, -math.inf]):
        record = {
            "checkpoint": "layer_0_output é",
            "team": "torch",
            "token_idx": 3,
            "dtype": "float32",
            "shape": [1, 896],
            "values": values,
            "n_tokens": 1,
        }
        content = expected(
            "layer_0_output é",
            3,
            "f32",
            [1, 896],
            [nearest_f32(repr(value)) if math.isfinite(value) else value for value in values],
            team="torch",
            lenient=not all(map(math.isfinite, values)),
        )
        v.line(json.dumps(record), content)
        v.line(json.dumps(record, ensure_ascii=False, separators=(",", ":")), content)
    v.line(
        json.dumps(
            {"checkpoint": "x", "team": "me", "token_idx": 7, "dtype": "f64", "shape": str((2,)), "values": [None, 0.1]}
        ),
        expected("x", 7, "f64", [2], [nan, 0.1], lenient=True),
    )
    v.line(six(values="[true,false]", dtype='"bool"'), expected("logits", 7, "bool", [2], [1.0, 0.0], lenient=True))
    v.save()

    v = Vector("printf")
    texts = ["%.6f" % 0.1, "%.6f" % -2.5, "%g" % 1e-10, "%.9g" % 0.1, "%e" % 12345.678, "%f" % 1e10]
    v.line(
        six(values="[" + ",".join(texts) + "]", shape='"[6]"'),
        expected("logits", 7, "f32", [6], [nearest_f32(text) for text in texts]),
    )
    v.line(
        six(values="[nan,-nan,inf,-inf,NaN,Infinity,-Infinity,null,1.000000]", shape='"[9]"'),
        expected(
            "logits",
            7,
            "f32",
            [9],
            [nan, nan, math.inf, -math.inf, nan, math.inf, -math.inf, nan, 1.0],
            lenient=True,
        ),
    )
    v.line(
        six(values="[-1009864046716911616.000000,0.000000]"),
        expected("logits", 7, "f32", [2], [nearest_f32("-1009864046716911616.000000"), 0.0]),
    )
    v.line(
        six(rest=',"stats":{"n":2,"nan":0,"inf":0,"zero":0,"min":-1.25,"max":0.5,"mean":nan,"rms":inf}'),
        {
            **PLAIN,
            "stats": {"n": 2, "nan": 0, "inf": 0, "zero": 0, "min": -1.25, "max": 0.5, "mean": nan, "rms": math.inf},
            "lenient": True,
        },
    )
    v.save()


def summary_text(elements, form):
    stats, sums = statistics(elements), sketch(elements)
    text = ',"stats":{' + ",".join(f'"{key}":{stats[key]}' for key in ("n", "nan", "inf", "zero"))
    for key in ("min", "max"):
        text += f',"{key}":{number_text(stats[key], "f64" if form == "int" else form)}'
    for key in ("mean", "rms"):
        text += f',"{key}":{number_text(stats[key], "f64")}'
    text += '},"sketch":{"v":1,"s":[' + ",".join(number_text(one, "f64") for one in sums) + "]}"
    return text, {"stats": {key: stats[key] for key in stats}, "sketch": sums}


def bits_of(dtype, count, seed):
    """Reproducible bit patterns of finite elements of ordinary size."""
    state, out = seed, []
    size, decode, form = TYPES[dtype]
    while len(out) < count:
        state = (state * 6364136223846793005 + 1442695040888963407) & (2**64 - 1)
        draw = state >> 33
        if form == "int":
            out.append(draw & ((1 << 8 * size) - 1) & (1 if dtype == "bool" else ~0))
        elif dtype == "f64":
            out.append(struct.unpack("<Q", struct.pack("<d", (draw / 2**30 - 1.0) * 4.0))[0])
        elif dtype == "f32":
            out.append(struct.unpack("<I", struct.pack("<f", (draw / 2**30 - 1.0) * 4.0))[0])
        else:
            bits = draw & ((1 << 8 * size) - 1)
            if math.isfinite(decode(bits)) and abs(decode(bits)) < 1e4:
                out.append(bits)
    return out


def summaries_and_payloads():
    v = Vector("sketches")
    for dtype, count in [("f32", 1), ("f32", 896), ("f64", 300), ("bf16", 257), ("i8", 64)]:
        _, decode, form = TYPES[dtype]
        bits = bits_of(dtype, count, count)
        elements = [float(decode(one)) for one in bits]
        text, content = summary_text(elements, form)
        v.record(f"{dtype}_{count}", dtype, bits[:10], shape=[count], extra=text, **content)
    bits = [0x7FC00000, 0x7F800000, 0xFF800000, 0x80000000, 0x3F800000]
    text, content = summary_text([TYPES["f32"][1](one) for one in bits], "f32")
    v.record("non_finite", "f32", bits, extra=text, **content)
    text, content = summary_text([], "f32")
    v.record("nothing", "f32", [], extra=text, **content)
    v.save()

    v = Vector("payloads")
    name = "payloads.4711.tensors"
    blob = b""
    for dtype, (size, decode, form) in TYPES.items():
        bits = bits_of(dtype, 70, 5)
        if form != "int":
            bits[:2] = [0, 1 << (8 * size - 1)]
        blob += b"\xaa" * (-len(blob) % 64)
        offset = len(blob)
        for one in bits:
            blob += one.to_bytes(size, "little")
        v.record(
            f"all_{dtype}",
            dtype,
            bits[:3],
            shape=[7, 10],
            extra=f',"payload":{{"file":"{name}","offset":{offset},"nbytes":{70 * size},"dtype":"{dtype}"}}',
            payload={"dtype": dtype, "elements": [float(decode(one)) for one in bits]},
        )
    # Without a type of its own a payload has the record's.
    v.record(
        "default_type",
        "u8",
        list(blob[:2]),
        extra=f',"payload":{{"file":"{name}","offset":0,"nbytes":2}}',
        payload={"dtype": "u8", "elements": [float(one) for one in blob[:2]]},
    )
    # Quantised blocks lie decoded in the payload.
    f32_at = blob.index(b"".join(one.to_bytes(4, "little") for one in [0, 1 << 31] + bits_of("f32", 70, 5)[2:]))
    values = [TYPES["f32"][1](one) for one in [0, 1 << 31] + bits_of("f32", 70, 5)[2:]]
    v.line(
        six(
            dtype='"q4_1"',
            values="[0.0,-0.0]",
            shape='"[70]"',
            rest=f',"payload":{{"file":"{name}","offset":{f32_at},"nbytes":280,"dtype":"f32"}}',
        ),
        expected("logits", 7, "q4_1", [70], [0.0, -0.0], payload={"dtype": "f32", "elements": values}),
    )
    # Places that are not there, and names that must not be followed.
    for place in (
        f'"file":"{name}","offset":{len(blob)},"nbytes":4',
        f'"file":"{name}","offset":0,"nbytes":{len(blob) + 4}',
        '"file":"missing.tensors","offset":0,"nbytes":4',
        f'"file":"../vectors/{name}","offset":0,"nbytes":4',
        f'"file":"{name}","offset":0,"nbytes":3',
    ):
        v.line(six(rest=f',"payload":{{{place},"dtype":"f32"}}'), {**PLAIN, "payload": {"dtype": "f32", "elements": None}})
    v.save()
    (OUT / name).write_bytes(blob)


def run_file():
    run = {
        "format_version": 1,
        "team": "worker-orcd",
        "argv": ["worker-orcd", "generate", "-p", "a \"quoted\"\nprompt"],
        "host": "höst",
        "pid": 4711,
        "started_at": "2025-10-07T19:47:11Z",
        "version": "0.1.0",
        "model": {
            "path": "/models/m.gguf",
            "sha256": "ab" * 32,
            "architecture": "llama",
            "layers": 30,
            "weights": "Q4_1",
        },
        "prompt": "Write a haiku about GPU computing",
        "tokens": [1, 504, 49152, -1],
        "device": "cpu",
        "threads": 2,
        "settings": {"flash_attn": "off", "kv_type": "f16"},
        "future": {"x": [1, 2, {"y": None}]},
    }
    (OUT / "run.run.json").write_text(json.dumps(run, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    del run["future"]
    (OUT / "run.run.expected.json").write_text(canonical(run) + "\n", encoding="utf-8")
    (OUT / "run-minimal.run.json").write_text('{"format_version":1}\n')
    minimal = {
        "format_version": 1,
        "team": "",
        "argv": [],
        "host": "",
        "pid": 0,
        "started_at": "",
        "version": None,
        "model": None,
        "prompt": None,
        "tokens": [],
        "device": None,
        "threads": None,
        "settings": {},
    }
    (OUT / "run-minimal.run.expected.json").write_text(canonical(minimal) + "\n")


# ---------------------------------------------------------------- writers


class Description:
    """What a writer is told, and what a reader must find in its trace."""

    def __init__(self, name, values=10, detail="stats", team="me"):
        self.name, self.values, self.detail, self.team = name, values, detail, team
        self.text = [f"team {team}", f"values {values}", f"detail {detail}"]
        self.lines = []

    def record(self, checkpoint, dtype, bits, token_idx=0, view=None, shape_text=None, shown=None, as_type=None, **more):
        size, decode, form = TYPES[dtype]
        name = checkpoint.encode()
        plain = all(0x20 <= byte < 0x7F for byte in name) and name == name.strip() and name
        self.text.append(f"record {token_idx} {checkpoint}" if plain else f"record_hex {token_idx} {name.hex()}")
        self.text.append(f"dtype {dtype}")
        self.text.append(" ".join(["data"] + [f"{one:0{2 * size}x}" for one in bits]))
        shape, logical = [len(bits)], bits
        if view:
            shape, strides, offset = view
            self.text.append(" ".join(["shape", *map(str, shape)]))
            self.text.append(" ".join(["strides", *map(str, strides)]))
            self.text.append(f"offset {offset}")
            places = [offset]
            for dim, stride in zip(shape, strides):
                places = [place + index * stride for place in places for index in range(dim)]
            logical = [bits[place] for place in places]
        if shape_text is not None:
            self.text.append(f"shape_text {shape_text}")
            shape = shown if shown is not None else shape
        if as_type:
            self.text.append(f"as {as_type}")
        for key, value in more.items():
            if key == "src":
                self.text += [f"src {one}" for one in value]
            elif key == "shard":
                self.text.append("shard " + " ".join(map(str, value)))
            else:
                self.text.append(f"{key} {value}")
        self.text.append("end")

        elements = [float(decode(one)) for one in logical]
        shown_values = elements if self.values == "all" or checkpoint == "tokens" else elements[: self.values]
        content = dict(more)
        if "shard" in content:
            rank, world, axis, index, count = content.pop("shard")
            content |= {"rank": rank, "world": world, "shard": {"axis": axis, "index": index, "count": count}}
        if self.detail != "values":
            content |= {"stats": statistics(elements), "sketch": sketch(elements)}
        if self.detail == "full":
            content["payload"] = {"dtype": dtype, "elements": elements}
        self.lines.append(
            (
                len(self.lines) + 1,
                expected(checkpoint, token_idx, as_type or dtype, shape, shown_values, team=self.team, **content),
            )
        )

    def save(self):
        (OUT / f"{self.name}.write.txt").write_text("\n".join(self.text) + "\n", encoding="utf-8")
        write_expected(self.name, self.lines)


def writers():
    for dtype, (size, decode, form) in TYPES.items():
        short = dtype.split("_")[0]
        d = Description(f"writer-{dtype.replace('_', '-')}" if short == "f8" else f"writer-{dtype}", detail="full")
        for count in (0, 1, 11, 300):
            d.record(f"{dtype}_{count}", dtype, bits_of(dtype, count, 3))
        top = 1 << (8 * size - 1)
        if form == "int" and dtype != "bool":
            d.record("extremes", dtype, [0, 1, top - 1, top, 2 * top - 1])
        elif form != "int":
            corners = [0, top, 1, top | 1]
            corners += [one for one in range(256)] if size == 1 else []
            if dtype == "f32":
                corners += [0x7F7FFFFF, 0x00800000, 0x7F800000, 0xFF800000, 0x7FC00000, 0x7F800001, 0xFFC12345, 0x3DCCCCCD]
            if dtype == "f64":
                corners += [0x7FEFFFFFFFFFFFFF, 0x0010000000000000, 0x7FF0000000000000, 0xFFF0000000000000]
                corners += [0x7FF8000000000000, 0x3FB999999999999A]
            if dtype == "f16":
                corners += [0x7BFF, 0x0400, 0x7C00, 0xFC00, 0x7E00, 0x7C01, 0x2E66]
            if dtype == "bf16":
                corners += [0x7F7F, 0x0080, 0x7F80, 0xFF80, 0x7FC0, 0x7F81, 0x3DCD]
            d.record("corners", dtype, corners)
            d.record("only_zeros", dtype, [top, 0, top])
        d.save()

    d = Description("writer-numbers", values="all", detail="values")
    d.record("nine_digits", "f32", [0x3F800001, 0x4B000001, 0x1E3CE508, 0x7149F2CA, 0x00FFFFFF] + bits_of("f32", 500, 9))
    d.record("seventeen_digits", "f64", [0x3FF0000000000001, 0x44B52D02C7E14AF7] + bits_of("f64", 500, 9))
    d.save()

    d = Description("writer-values-0", values=0)
    d.record("none", "f32", bits_of("f32", 20, 1))
    d.record("tokens", "i32", [504, 3575, 253], n_tokens=3, step=0)
    d.save()

    d = Description("writer-fields", values=3, detail="values", team='a "team"\\é')
    d.record("layer_0_q", "f32", bits_of("f32", 18, 1), token_idx=5, view=([2, 3, 3], [9, 3, 1], 0), n_tokens=2, step=1)
    d.record(
        "layer_0_k",
        "f32",
        bits_of("f32", 6, 1),
        token_idx=-3,
        n_tokens=0,
        step=0,
        seq=4,
        occurrence=2,
        token_axis=1,
        op="MUL_MAT",
        src=["a b", "c"],
        source="forward pass",
    )
    d.record("layer_0_v", "f32", bits_of("f32", 6, 1), shard=(1, 4, 1, 1, 2))
    d.record("with_text", "f32", bits_of("f32", 6, 1), shape_text="[1, 6]", shown=[1, 6])
    d.record("slice_of_more", "f32", bits_of("f32", 6, 1), shape_text="[151936]", shown=[151936])
    d.record("bad_text", "f32", bits_of("f32", 6, 1), shape_text="six")
    d.record("quantised", "f32", bits_of("f32", 6, 1), as_type="q4_1")
    d.record('quote " backslash \\ line end \n bell \a tab \t é漢😀', "f32", [])
    d.record("", "f32", [])
    d.record("scalar", "f32", bits_of("f32", 1, 1), view=([], [], 0))
    d.save()

    d = Description("writer-views", values="all", detail="full")
    data = bits_of("f32", 24, 2)
    d.record("reversed", "f32", data, view=([24], [-1], 23))
    d.record("every_third_from_1", "f32", data, view=([8], [3], 1))
    d.record("transposed", "f32", data, view=([6, 4], [1, 6], 0))
    d.record("permuted", "f32", data, view=([3, 2, 4], [4, 12, 1], 0))
    d.record("broadcast", "f32", data, view=([3, 4], [0, 1], 4))
    d.record("rows_backwards", "f32", data, view=([4, 6], [-6, 1], 18))
    d.record("empty", "f32", data, view=([0, 5], [5, 1], 0))
    d.record("i16_transposed", "i16", bits_of("i16", 12, 2), view=([4, 3], [1, 4], 0))
    big = bits_of("f32", 60 * 70, 4)
    d.save()
    d = Description("writer-large-view", values=4, detail="full")
    d.record("transposed", "f32", big, view=([70, 60], [1, 70], 0))
    d.save()

    d = Description("writer-sketch", values=2)
    for count in (15, 16, 17, 255, 256, 257, 896, 4097):
        d.record(f"f32_{count}", "f32", bits_of("f32", count, count))
    d.record("constant", "f32", [F32(1.5)] * 1000)
    bad = bits_of("f32", 6000, 8)
    bad[100], bad[300], bad[5000], bad[5999] = 0x7FC00000, 0x7F800000, 0xFF800000, 0x7FC00001
    d.record("non_finite", "f32", bad)
    d.record("nothing_finite", "f32", [0x7FC00000, 0x7F800000])
    d.record("big_i32", "i32", bits_of("i32", 600, 3))
    d.record("big_i64", "i64", bits_of("i64", 300, 3))
    d.record("f64", "f64", bits_of("f64", 700, 3))
    d.save()


def self_check():
    """The block-wise sketch against the definition by element, exactly."""
    elements = [Fraction(value) for value in range(-300, 323)]
    exact = [sum(sign(index, k) * value for index, value in enumerate(elements)) for k in range(16)]
    assert sketch([float(value) for value in elements]) == [float(value) for value in exact]
    assert nearest_f32("0.1") == struct.unpack("<f", struct.pack("<f", 0.1))[0]


def main():
    self_check()
    OUT.mkdir(exist_ok=True)
    for old in OUT.iterdir():
        if old.name != "README.md":
            old.unlink()
    six_field_records()
    dtypes()
    numbers()
    shapes_and_places()
    unusual_lines()
    other_writers()
    summaries_and_payloads()
    run_file()
    writers()
    print(f"{len(list(OUT.iterdir())) - 1} files in {OUT}", file=sys.stderr)


if __name__ == "__main__":
    main()
