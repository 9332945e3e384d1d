"""Runs a `transformers` model on a CPU and traces it through forward hooks, under the names of its own modules.

    python trace_model.py FOLDER -o hf.jsonl --tokens 5,17,200 --then 31,7

The first pass is the prompt as one batch; then further tokens are fed one by one.
Every module's output is a record with its name (`model.layers.0.self_attn.q_proj`), its first input one with `.input`
after it, and the second output of an attention module, its probabilities, one with `.attn_weights`. Tensors are logged in
the layout that the model has them in, less the batch dimension.
"""

import argparse
import json
import math
import os
import socket
import sys
import time
from pathlib import Path

import numpy
import torch
from transformers import AutoModelForCausalLM, DynamicCache

VALUES = 10


def number(x):
    """JSON has no NaN; an f32's shortest decimal is that of an f32, not of the f64 that Python widens it to."""
    if math.isnan(x):
        return '"NaN"'
    if math.isinf(x):
        return '"Infinity"' if x > 0 else '"-Infinity"'
    return numpy.format_float_scientific(x, unique=True, trim="0")


class TraceWriter:
    """NAME.jsonl with one record a tensor, NAME.<pid>.tensors with all its elements."""

    def __init__(self, path):
        self.path = path
        self.payload_name = f"{path.stem}.{os.getpid()}.tensors"
        self.lines = open(path, "w", encoding="utf-8")
        self.payloads = open(path.with_name(self.payload_name), "wb")
        self.offset = 0
        self.step = 0
        self.position = 0
        self.n_tokens = 0
        self.seen = {}

    def begin(self, step, position, ids):
        self.step, self.position, self.n_tokens, self.seen = step, position, len(ids), {}
        self.record("tokens", numpy.array(ids, dtype=numpy.int32), 0, values=len(ids), payload=False)

    def record(self, name, array, token_axis, values=VALUES, payload=True):
        occurrence = self.seen.get(name, 0)
        self.seen[name] = occurrence + 1
        array = numpy.ascontiguousarray(array)
        integer = array.dtype.kind == "i"
        first = array.reshape(-1)[:values]
        fields = [
            f'"checkpoint":{json.dumps(name)}',
            '"team":"transformers"',
            f'"token_idx":{self.position}',
            f'"dtype":"{"i32" if integer else "f32"}"',
            f'"shape":"[{",".join(map(str, array.shape))}]"',
            f'"values":[{",".join(str(x) if integer else number(x) for x in first)}]',
            f'"n_tokens":{self.n_tokens}',
            f'"step":{self.step}',
        ]
        if occurrence:
            fields.append(f'"occurrence":{occurrence}')
        if token_axis:
            fields.append(f'"token_axis":{token_axis}')
        if payload:
            # The payload first: a record never names bytes that are not there yet.
            self.payloads.write(b"\0" * (-self.offset % 64))
            self.offset += -self.offset % 64
            self.payloads.write(array.tobytes())
            self.payloads.flush()
            fields.append(
                f'"payload":{{"file":{json.dumps(self.payload_name)},"offset":{self.offset},"nbytes":{array.nbytes}}}'
            )
            self.offset += array.nbytes
        self.lines.write("{" + ",".join(fields) + "}\n")
        self.lines.flush()


def axis_of_tokens(shape, n_tokens):
    """Of a tensor without its batch dimension: heads come before the tokens, if there are heads."""
    return len(shape) - 2 if len(shape) > 1 and shape[-2] == n_tokens else None


def attach(model, trace):
    def log(name, tensor):
        if not torch.is_tensor(tensor) or not tensor.is_floating_point() or tensor.dim() < 2 or tensor.shape[0] != 1:
            return
        array = tensor.detach()[0].to(torch.float32).numpy()
        axis = axis_of_tokens(array.shape, trace.n_tokens)
        if axis is not None:
            trace.record(name, array, axis)

    def before(name):
        # Keyword arguments do not reach this hook: what has no input here has one as the module before.
        return lambda module, arguments: log(f"{name}.input", arguments[0] if arguments else None)

    def after(name):
        def run(module, arguments, output):
            parts = output if isinstance(output, tuple) else (output,)
            log(name, parts[0])
            if name.endswith("self_attn") and len(parts) > 1:
                log(f"{name}.attn_weights", parts[1])

        return run

    for name, module in model.named_modules():
        # The two outermost modules return objects of other outputs, the rotary tables no activation.
        if name not in ("", "model") and "rotary" not in name:
            module.register_forward_pre_hook(before(name))
            module.register_forward_hook(after(name))


def ids(text):
    return [int(part) for part in text.split(",") if part]


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("-o", "--output", type=Path, required=True)
    arguments.add_argument("--tokens", required=True, help="ids of the prompt, separated by commas")
    arguments.add_argument("--then", default="", help="ids that are fed afterwards, one a pass")
    given = arguments.parse_args()

    # One thread and one order of summation, so that two runs give the same bits.
    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(given.folder, attn_implementation="eager", torch_dtype=torch.float32).eval()
    trace = TraceWriter(given.output)
    attach(model, trace)

    passes = [ids(given.tokens), *([token] for token in ids(given.then))]
    run = {
        "format_version": 1,
        "team": "transformers",
        "argv": sys.argv,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "started_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "model": {
            "path": str(given.folder),
            "architecture": model.config.model_type,
            "layers": model.config.num_hidden_layers,
            "weights": "f32",
        },
        "device": "cpu",
        "threads": 1,
    }
    position, cache = 0, DynamicCache()
    for step, batch in enumerate(passes):
        trace.begin(step, position, batch)
        with torch.no_grad():
            model(torch.tensor([batch]), past_key_values=cache, use_cache=True, output_attentions=True)
        position += len(batch)
    fed = {"tokens": [token for batch in passes for token in batch]}
    given.output.with_suffix(".run.json").write_text(json.dumps(run | fed) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
