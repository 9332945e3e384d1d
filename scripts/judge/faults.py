"""Every planted fault of the worker: located exactly, elsewhere, missed, or below the noise."""

import collections
import concurrent.futures
import re
import sys

import runs

ARCHITECTURES = ["llama", "qwen2", "qwen3", "gpt2"]
MODES = ["model", "payloads", "sketches"]
OUTCOMES = ["exact", "elsewhere", "missed", "below noise"]
ABOVE_NOISE = OUTCOMES[:3]
# First, middle and last.
LAYERS = {"smollm2": [0, 13, 29]}
# Nearer to f64 than the reference, which looks its GELU up in half precision: planted, and no mistake.
EXACTER = {"gelu-in-f32"}
Row = collections.namedtuple("Row", "mode architecture weights fault expected outcome effect noise allowed found verdict")


def faults():
    for line in runs.must(runs.RELEASE / "worker-orcd", "faults").stdout.splitlines():
        found = re.match(r"  ([a-z0-9-]+): .*; first shows at (\S+?)(, in decode)?$", line)
        if found and found[1] not in EXACTER:
            yield found[1], found[2]


def checkpoints(report):
    return {row["checkpoint"]: row for row in report["checkpoints"]}


class Bench:
    """A model with its reference and what the worker makes of it without a fault."""

    def __init__(self, folder, architecture, weights):
        self.architecture, self.weights = architecture, weights
        self.path = runs.model(folder, architecture, weights)
        self.base = folder / f"faults-{architecture}-{weights}"
        self.base.mkdir()
        self.reference = runs.llama(self.path, self.base / "ref.jsonl", "-p", runs.TEXT[:60], "-n", 5, "--kv-type", "f32")
        self.clean = runs.worker(self.path, self.base / "clean.jsonl", "--force-tokens", self.reference)
        if self.clean is None:
            return
        self.thin_reference, self.thin_clean = runs.sketches(self.reference), runs.sketches(self.clean)
        self.quiet = {mode: checkpoints(self.compare(mode, self.clean, self.thin_clean)) for mode in MODES}

    def compare(self, mode, trace, thin):
        if mode == "sketches":
            return runs.compare(self.thin_reference, thin)
        return runs.compare(self.reference, trace, *(["--model", self.path] if mode == "model" else []))

    def rows(self, name, first, layer):
        """One row for each way of judging; none where the model cannot have this fault."""
        expected = first.replace("{L}", str(layer))
        trace = self.base / f"{name}-{layer}.jsonl"
        asked = ["--force-tokens", self.reference, "--fault", name]
        asked += ["--fault-layer", layer] if "{L}" in first else []
        if runs.worker(self.path, trace, *asked) is None:
            return []
        thin = runs.sketches(trace)
        # The worker against itself: what the fault does where it first shows, without any other noise.
        effects = checkpoints(runs.compare(self.clean, trace, "--threshold", "0"))
        effect = runs.number(effects[expected]["worst_relative_rmse"]) if expected in effects else 0.0
        rows = [self.row(mode, name, expected, effect, self.compare(mode, trace, thin)) for mode in MODES]
        runs.remove(trace)
        runs.remove(thin)
        return rows

    def row(self, mode, name, expected, effect, report):
        calm = self.quiet[mode].get(expected)
        local = calm and calm.get("local")
        noise = runs.number(calm["worst_relative_rmse"]) if calm else 0.0
        if local and local["floor"].startswith("recomputed"):
            noise = runs.number(local["error"])
        origins = report["origins"]
        if origins and expected in origins[0]["checkpoints"]:
            outcome = "exact"
        elif effect <= noise and not origins:
            outcome = "below noise"
        elif origins:
            outcome = "elsewhere"
        else:
            outcome = "missed"
        there = checkpoints(report).get(expected, {}).get("local")
        allowed = there and runs.number(there["explained"]) + runs.number(there["own"])
        found = origins[0]["checkpoints"] if origins else []
        return Row(mode, self.architecture, self.weights, name, expected, outcome, effect, noise, allowed, found,
                   report["verdict"])


def measure(folder, architecture, weights, layers, jobs, wanted=None):
    """The rows of all faults, or of those `wanted`, that this model can have."""
    bench = Bench(folder, architecture, weights)
    if bench.clean is None:
        return []
    chosen = [(name, first, layer) for name, first in faults() if wanted is None or name in wanted
              for layer in (layers if "{L}" in first else [None])]
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        return [row for rows in pool.map(lambda one: bench.rows(*one), chosen) for row in rows]


def reason(row):
    """Why a fault was not located exactly, in words that its numbers say."""
    if row.allowed is None:
        return "nothing was compared there"
    if row.mode == "sketches" and row.expected.endswith("attn_scores") and row.found:
        return "a step later: a sketch of scores covers masked places too, which leaves a prompt's first values to compare"
    if row.effect <= row.allowed:
        return f"within what may be added there, {row.allowed:.1e}"
    if row.outcome == "elsewhere":
        return f"above what may be added there, {row.allowed:.1e}, and not the first"
    return f"above what may be added there, {row.allowed:.1e}"


def table(folder, jobs, chosen, layers=None):
    """Prints the tables."""
    models = [(architecture, weights, layers or LAYERS.get(architecture, [0, 1, 2]))
              for architecture in chosen for weights in ["f32", "q4_1"]]
    rows = []
    for architecture, weights, layers in models:
        rows += measure(folder, architecture, weights, layers, jobs)
        print(f"  {architecture} {weights}: {len(rows)} rows so far", file=sys.stderr, flush=True)
    print(f"{'model':10}{'weights':9}{'judged with':13}" + "".join(f"{outcome:>12}" for outcome in OUTCOMES)
          + f"{'exact of above':>16}")
    groups = [((architecture,), (weights,)) for architecture, weights, _ in models]
    groups += [([model[0] for model in models], (weights,)) for weights in ["f32", "q4_1"]]
    for architectures, weights in groups:
        for mode in MODES:
            print_counts(architectures, weights, mode, rows)
    for mode in MODES:
        print(f"\nNot exact, judged with {mode}:")
        for row in rows:
            if row.mode == mode and row.outcome in ("elsewhere", "missed"):
                print(f"  {row.outcome:10} {row.architecture} {row.weights} {row.fault} at {row.expected}: effect "
                      f"{row.effect:.1e}, noise {row.noise:.1e}, found {row.found}: {reason(row)}")
    return 0


def print_counts(architectures, weights, mode, rows):
    counts = collections.Counter(row.outcome for row in rows
                                 if row.mode == mode and row.weights in weights and row.architecture in architectures)
    above = sum(counts[outcome] for outcome in ABOVE_NOISE)
    name = architectures[0] if len(architectures) == 1 else "all"
    print(f"{name:10}{weights[0]:9}{mode:13}" + "".join(f"{counts[outcome]:12}" for outcome in OUTCOMES)
          + f"{100 * counts['exact'] / max(above, 1):15.1f}%")
