"""Small traces for the browser test: four layers, a prefill of five tokens and two decoded ones."""

import json
import math
import random

STAGES = ("attn_norm q k v q_rope k_rope attn_context attn_out attn_residual ffn_norm ffn_gate ffn_up ffn_act ffn_out "
          "output").split()
NAMES = ["embedding"] + [f"layer_{layer}_{stage}" for layer in range(4) for stage in STAGES] + ["final_norm", "logits"]
HOSTILE = [
    "<script>window.owned = 1; alert(1)</script>",
    "</script><img src=x onerror=\"window.owned = 1; alert(1)\">",
    "\u202eesrever_reyal_0",
    "layer\u200b_0_q",
    "x" * 10_000,
    "=HYPERLINK(\"http://example.org\")",
    "{{data}} ${1+1} %s",
    "a`b|c\n\x1b[31m",
    "__proto__",
    "constructor",
    "timeline",
    "شعار_الطبقة",
]


def as_f32(value):
    import struct
    return struct.unpack("f", struct.pack("f", value))[0]


def write(path, names, team="test", ids=(11, 12, 13, 14, 15, 16, 17), noise=0.0, wrong=lambda name, step: None,
          passes=((0, 0, 5), (1, 5, 1), (2, 6, 1)), layers=4):
    with open(path.replace(".jsonl", ".run.json"), "w") as file:
        json.dump({"format_version": 1, "team": team, "model": {"path": "tiny.gguf", "architecture": "llama",
                   "layers": layers, "weights": "F32"}, "threads": 1}, file)
    with open(path, "w") as file:
        for step, first, n in passes:
            record = {"checkpoint": "tokens", "team": team, "token_idx": first, "dtype": "i32", "shape": [n],
                      "values": list(ids[first:first + n]), "n_tokens": n, "step": step}
            file.write(json.dumps(record) + "\n")
            for seed, name in enumerate(names):
                values = random.Random(f"{seed} {step}")
                error = random.Random(f"error {team} {seed} {step}")
                shape = [n, 2, 8] if name.endswith(("_q", "_k", "_v", "_rope")) else [n, 16]
                tensor = [values.gauss(0, 1) for _ in range(math.prod(shape))]
                tensor = [as_f32(x * (1 + noise * error.gauss(0, 1))) for x in tensor]
                change = wrong(name, step)
                if change:
                    tensor = [as_f32(x) for x in change(tensor)]
                record = {"checkpoint": name, "team": team, "token_idx": first, "dtype": "f32", "shape": shape,
                          "values": tensor, "n_tokens": n, "step": step}
                file.write(json.dumps(record) + "\n")


def write_large(folder):
    """30 layers and 64 positions, 7 of a prompt and 57 picked ones: (reference, candidate with a fault)."""
    names = ["embedding"] + [f"layer_{layer}_{stage}" for layer in range(30) for stage in STAGES] + ["final_norm", "logits"]
    passes = ((0, 0, 7), *((step, 6 + step, 1) for step in range(1, 58)))
    at = lambda name: f"{folder}/{name}.jsonl"
    later = {name: names.index(name) >= names.index("layer_3_q_rope") for name in names}
    shared = {"names": names, "ids": list(range(100, 164)), "passes": passes, "layers": 30}
    write(at("large_ref"), team="llama.cpp", **shared)
    write(at("large"), noise=1e-6, wrong=lambda name, _: (lambda x: [1.01 * v for v in x]) if later[name] else None, **shared)
    return at("large_ref"), at("large")


def write_all(folder):
    """Pairs by name: (reference, candidate)."""
    at = lambda name: f"{folder}/{name}.jsonl"
    write(at("ref"), NAMES, team="llama.cpp")
    write(at("clean"), NAMES, noise=1e-7)
    later = NAMES.index("layer_2_q_rope")

    def fault(name, _step):
        if name == "layer_2_q_rope":
            return lambda x: [v for pair in zip(x[1::2], x[::2]) for v in pair]
        if NAMES.index(name) > later and not name.endswith(("_k", "_v", "k_rope")):
            return lambda x: [v + 0.01 * math.sin(at) for at, v in enumerate(x)]
        return None

    write(at("fault"), NAMES, noise=1e-7, wrong=fault)
    write(at("tokens"), NAMES, ids=(11, 12, 99, 14, 15, 16, 17), noise=1e-7)
    write(at("hostile_ref"), HOSTILE, team="<b>ref</b>")
    write(at("hostile"), HOSTILE, team="\u202e<b>cand</b>", wrong=lambda name, _: (
        lambda x: [v + 0.5 for v in x]) if HOSTILE.index(name) % 2 else None)
    return {"clean": (at("ref"), at("clean")), "fault": (at("ref"), at("fault")), "tokens": (at("ref"), at("tokens")),
            "hostile": (at("hostile_ref"), at("hostile"))}
