"""The same work in Python: the default metrics with numpy, and reading a trace with json. CPU time of one thread.

    python3 crates/bench/floors.py [RUN.jsonl]
"""

import json
import os
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
import numpy as np


def ordered(values):
    """The bits of binary32 as integers that count its numbers in order."""
    bits = values.view("i4").astype("i8")
    return np.where(bits < 0, -(bits & 0x7FFFFFFF), bits)


def metrics(a32, b32):
    """All that the comparison computes of every pair."""
    a, b = a32.astype("f8"), b32.astype("f8")
    diff = b - a
    size = np.abs(diff)
    return [
        np.isfinite(a32).all(),
        np.isfinite(b32).all(),
        a32.min(),
        a32.max(),
        b32.min(),
        b32.max(),
        size.max(),
        size.mean(),
        (size / np.maximum(np.abs(a), 1e-8)).max(),
        np.sqrt((diff * diff).mean()),
        (diff * diff).sum() / (a * a).sum(),
        (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()),
        a.sum(),
        b.sum(),
        np.abs(ordered(a32) - ordered(b32)).max(),
        ((a < 0) != (b < 0)).sum(),
        (a32.view("i4") != b32.view("i4")).sum(),
        np.histogram(np.log2(np.maximum(size, 1e-38)), bins=64)[0],
        np.argpartition(size, -5)[-5:],
    ]


def seconds(work):
    """The shortest of three runs."""
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best


def main():
    """Prints both figures."""
    count = 4 << 20
    random = np.random.default_rng(0)
    a = random.standard_normal(count).astype("f4")
    b = (a * (1 + 1e-6 * random.standard_normal(count))).astype("f4")
    print(f"numpy: {8 * count / seconds(lambda: metrics(a, b)) / 1e9:.3f} GB/s of both sides")
    if len(sys.argv) > 1:
        with open(sys.argv[1], encoding="utf-8") as file:
            lines = file.readlines()
        taken = seconds(lambda: [json.loads(line) for line in lines])
        print(f"json: {len(lines) / taken / 1e6:.3f} million records/s")


if __name__ == "__main__":
    main()
