"""Vectors for readers: single lines, from the plain to the odd."""

import json
import math

from .content import ERROR, Vector, expected
from .elements import binary, f32_bits, nearest_f32, shortest_f32


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
