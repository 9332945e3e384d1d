"""Vectors for readers: summaries, payloads and run files."""

import json
import math
import struct

from .content import OUT, Vector, canonical, expected
from .elements import TYPES, number_text
from .reader_lines import PLAIN, six
from .summary import sketch, statistics


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
