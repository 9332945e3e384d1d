#!/usr/bin/env python3
"""Prints the decoded content of a trace that orch_log wrote, as spec/vectors/README.md says.

Takes well-formed lines only, since it serves to check a writer. Python's json reads decimals to the nearest f64, and
rounding that to f32 reads the shortest decimal of an f32 exactly.
"""

import json
import math
import pathlib
import re
import struct
import sys

INTEGERS = {"i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64", "bool"}
SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
FORMATS = {"f64": "d", "f32": "f", "f16": "e", "i8": "b", "i16": "h", "i32": "i", "i64": "q"}
FORMATS |= {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "bool": "B"}


def bits(number):
    number = float(number)
    return "nan" if math.isnan(number) else struct.pack(">d", number).hex()


def number(value, dtype):
    value = SPECIAL[value] if isinstance(value, str) else value
    if dtype == "f64" or dtype in INTEGERS:
        return float(value)
    if math.isfinite(value):
        return struct.unpack("<f", struct.pack("<f", value))[0]
    return value


def f8_e4m3(byte):
    sign, exponent, fraction = -1.0 if byte & 0x80 else 1.0, byte >> 3 & 15, byte & 7
    if exponent == 15 and fraction == 7:
        return math.nan
    if exponent == 0:
        return sign * fraction * 2.0**-9
    return sign * (1 + fraction / 8) * 2.0 ** (exponent - 7)


def elements(raw, dtype):
    if dtype == "bf16":
        return [struct.unpack("<f", b"\0\0" + raw[i : i + 2])[0] for i in range(0, len(raw), 2)]
    if dtype == "f8_e4m3":
        return [f8_e4m3(byte) for byte in raw]
    if dtype == "f8_e5m2":
        return [struct.unpack("<e", bytes([0, byte]))[0] for byte in raw]
    return [float(value) for (value,) in struct.iter_unpack("<" + FORMATS[dtype], raw)]


def payload(reference, folder, record_dtype):
    dtype = reference.get("dtype", record_dtype)
    raw = (folder / reference["file"]).read_bytes()[reference["offset"] :][: reference["nbytes"]]
    assert len(raw) == reference["nbytes"], "payload is shorter than its record says"
    return {"dtype": dtype, "elements": [bits(value) for value in elements(raw, dtype)]}


def decoded(line_number, record, folder):
    assert list(record)[:6] == ["checkpoint", "team", "token_idx", "dtype", "shape", "values"], "six fields first"
    dtype = record["dtype"]
    stats, sketch = record.get("stats"), record.get("sketch")
    if stats:
        extremes = {name: bits(number(stats[name], dtype if dtype not in INTEGERS else "f64")) for name in ("min", "max")}
        moments = {name: bits(number(stats[name], "f64")) for name in ("mean", "rms")}
        stats = {**{name: stats[name] for name in ("n", "nan", "inf", "zero")}, **extremes, **moments}
    if sketch:
        assert sketch["v"] == 1 and len(sketch["s"]) == 16
    return {
        "line": line_number,
        **{name: record[name] for name in ("checkpoint", "team", "token_idx", "dtype")},
        "shape": [int(size) for size in re.findall(r"\d+", record["shape"])],
        "values": [bits(number(value, dtype)) for value in record["values"]],
        "n_tokens": record.get("n_tokens", 1),
        "step": record.get("step"),
        **{name: record.get(name, 0) for name in ("seq", "occurrence", "token_axis")},
        **{name: record.get(name) for name in ("rank", "world", "shard", "op")},
        "src": record.get("src", []),
        "stats": stats,
        "sketch": [bits(number(value, "f64")) for value in sketch["s"]] if sketch else None,
        "payload": payload(record["payload"], folder, dtype) if "payload" in record else None,
        **{name: record.get(name) for name in ("ts_ns", "source", "file")},
        "source_line": record.get("line"),
        "lenient": False,
    }


def refuse(token):
    raise ValueError(f"{token} is no JSON")


def main():
    path = pathlib.Path(sys.argv[1])
    lines = []
    for line_number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        if line:
            record = json.loads(line.decode("utf-8"), parse_constant=refuse)
            text = json.dumps(decoded(line_number, record, path.parent), ensure_ascii=False, separators=(",", ":"))
            lines.append(text.replace("\\b", "\\u0008").replace("\\f", "\\u000c"))
    sys.stdout.buffer.write(("[\n" + ",\n".join(lines) + "\n]\n").encode("utf-8"))


main()
