"""A baseline of one run, then runs with other threads and batches, then mistakes: which does the gate let pass?"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import tomllib

BINARIES, MODEL, RUNS = sys.argv[1], sys.argv[2], int(sys.argv[3])
PROMPT = "Write a haiku about GPU computing, then explain in one sentence why floating point addition is not associative."
# (threads of the reference, tokens in one graph of the reference, threads of the worker). One token in a graph takes
# the kernels of a decode step for the whole prompt; 2 to 7 and 17 leave remainders of the kernels' tiles.
# llama.cpp's threads wait for each other by spinning: more than there are cores take for ever where something else runs too.
SETTINGS = [(1, 1, 1), (2, 7, 4), (2, 2, 2), (1, 17, 3), (2, None, 8), (1, 3, 8), (2, 5, 1), (1, 2, 3), (2, 1, 6), (1, 4, 1),
            (2, 3, 8), (1, 5, 5), (2, 17, 2), (1, 7, 16), (2, 4, 1), (1, None, 3), (2, 11, 2), (1, 13, 16), (2, 23, 7), (1, 9, 4)]
# With the layer: a gross one, one that only long contexts show, and one that is close to right.
FAULTS = [("rope-pairing", 3), ("mask-window", 20), ("rms-eps,eps=1e-3", 12)]


def run(program, *arguments, log=None):
    environment = os.environ | ({"ORCH_LOG_FILE": log, "ORCH_LOG_DETAIL": "full", "ORCH_LOG_TEAM": "worker-orcd"} if log else {})
    done = subprocess.run([f"{BINARIES}/{program}", *arguments], env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def must(program, *arguments, log=None):
    code, out, err = run(program, *arguments, log=log)
    if code != 0:
        sys.exit(f"FAILED: {program} {' '.join(arguments)}: exit code {code}\n{out}{err}")
    return out


def emptied(folder):
    for file in folder.iterdir():
        file.unlink()


def traces(folder, model, threads, ubatch, workers, fault=()):
    """A pair of traces in an emptied folder."""
    emptied(folder)
    reference, candidate = str(folder / "ref.jsonl"), str(folder / "cand.jsonl")
    must("parity", "capture", "llama", "-m", model, "-p", PROMPT, "-n", "4", "--threads", str(threads), "--kv-type", "f32", "--detail",
         "full", "-o", reference, *(("--ubatch", str(ubatch)) if ubatch else ()))
    must("worker-orcd", "generate", "-m", model, "--force-tokens", reference, "-t", str(workers), *fault, log=candidate)
    return reference, candidate


def gated(pair, baseline, by_model):
    """The gate's result, the errors by checkpoint, and how many times the baseline's one of them is at most."""
    code, out, err = run("parity", "gate", *pair, "-b", baseline, "--format", "json", *by_model)
    if not out:
        sys.exit(f"FAILED: parity gate: exit code {code}\n{err}")
    result = json.loads(out)
    assert code == result["exit_code"], (code, result)
    _, out, _ = run("parity", "compare", *pair, "--format", "json")
    errors = {row["checkpoint"]: row["worst_relative_rmse"] for row in json.loads(out)["checkpoints"]}
    before = tomllib.loads(pathlib.Path(baseline).read_text())["checkpoints"]
    return result, errors, max(error / before[name] for name, error in errors.items() if before[name] > 0)


def rehearse(name, model, folder, by_model):
    baseline = str(folder.parent / f"{name}.toml")
    pair = traces(folder, model, 1, None, 1)
    must("parity", "baseline", "save", *pair, "-o", baseline, *by_model)
    _, before, _ = gated(pair, baseline, by_model)
    moved_most, worst_ratio = 0, 0.0
    for threads, ubatch, workers in SETTINGS[:RUNS]:
        result, errors, ratio = gated(traces(folder, model, threads, ubatch, workers), baseline, by_model)
        moved = sum(errors[name] != error for name, error in before.items())
        moved_most, worst_ratio = max(moved_most, moved), max(worst_ratio, ratio)
        if os.environ.get("VERBOSE"):
            print(f"  {name}: threads {threads}, ubatch {ubatch}, worker {workers}: {result['outcome']}, {moved} moved, at most {ratio:.2f} times", flush=True)
        if result["outcome"] != "passed":
            sys.exit(f"FAILED: {name}: threads {threads}, ubatch {ubatch}, worker {workers}: {result['reasons']}")
    if moved_most == 0:
        sys.exit(f"FAILED: {name}: no re-run changed a number: nothing was tested")
    print(f"{name}: {min(RUNS, len(SETTINGS))} re-runs passed; up to {moved_most} of {len(before)} checkpoints moved, an error at most {worst_ratio:.2f} times the baseline's")
    for fault, layer in FAULTS:
        result, _, _ = gated(traces(folder, model, 1, None, 1, ("--fault", fault, "--fault-layer", str(layer))), baseline, by_model)
        if result["outcome"] != "worse":
            sys.exit(f"FAILED: {name}: {fault} passed the gate: {result['reasons']}")
        # What hides in the rounding of four bits makes no error larger, but the verdict is another one.
        first = next(iter(result["worse"]), None)
        shown = f"{first['checkpoint']}, {first['now'] / first['baseline']:.0f} times the baseline's error" if first else result["reasons"][0]
        if f"layer_{layer}_" not in shown:
            sys.exit(f"FAILED: {name}: {fault} in layer {layer} first shows at {shown}")
        print(f"{name}: {fault} in layer {layer}: caught: {shown}; the verdict is {result['verdict']}")


with tempfile.TemporaryDirectory() as work:
    folder = pathlib.Path(work) / "traces"
    folder.mkdir()
    widened = f"{work}/f32.gguf"
    must("parity", "models", "convert", "--weights", "f32", MODEL, widened)
    rehearse("F32", widened, folder, ())
    # What four bits round hides in what their activations round: the model at hand tells.
    rehearse("Q4_1", MODEL, folder, ("--model", MODEL))
