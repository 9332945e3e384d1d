"""A few clean pairs and a few faults, held against what is expected of them."""

import sys

import clean
import faults

# Of each kind of operation one that is easily seen, and those that only recomputation sees.
FAULTS = ["rms-eps", "norm-weight-missing", "transposed-weight", "rope-pairing", "gqa-tiling", "causal-mask-off-by-one",
          "gelu-for-silu", "residual-uses-normed"]
# How many clean pairs there are, and how many judgements name the right checkpoint, at least.
PAIRS, EXACT = 36, 50
MODELS = [("llama", "f32"), ("llama", "q4_1"), ("gpt2", "f32")]


def table(folder, jobs):
    """How many expectations were not met; says which."""
    found = clean.measure(folder, list(clean.small_groups()), jobs)
    wrong = clean.print_wrong(found)
    print(f"{len(found)} clean pairs: {wrong} called diverged or given a cause")
    known = {name for name, _ in faults.faults()}
    unknown = [name for name in FAULTS if name not in known]
    if unknown:
        sys.exit(f"no such faults: {unknown}")
    rows = [row for architecture, weights in MODELS
            for row in faults.measure(folder, architecture, weights, [1], jobs, FAULTS)]
    for row in rows:
        # Below what may be added there nobody finds a fault; docs/noise.md has the list.
        if row.outcome in ("elsewhere", "missed") and row.mode != "sketches" and row.effect > (row.allowed or 0):
            wrong += 1
            print(f"  {row.outcome}, judged with {row.mode}: {row.architecture} {row.weights} {row.fault} at {row.expected}, "
                  f"found {row.found}: {faults.reason(row)}")
    counted = [row for row in rows if row.outcome != "below noise"]
    exact = sum(row.outcome == "exact" for row in counted)
    print(f"{len(counted)} judgements of faults: {exact} name the checkpoint")
    # So that a change that loses all of them does not pass for agreement.
    return wrong + (len(found) < PAIRS) + (exact < EXACT)
