"""What a reader is expected to find, and the files that say so."""

import math
import struct
from pathlib import Path

from .elements import TYPES, number_text

OUT = Path(__file__).resolve().parent.parent / "vectors"


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
