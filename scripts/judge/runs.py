"""Models, runs of both engines, and comparisons: what all tables are made from."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
CACHE = Path(os.environ.get("NUMERIC_PARITY_CACHE")
             or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "numeric-parity")
MODELS = CACHE / "models"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
RELEASE = Path(os.environ.get("PARITY_BIN") or TARGET / "release")
TEXT = ("The quick brown fox jumps over the lazy dog, counts 1234 stars and writes: parity is not equality. " * 40)


def run(*args, env=None):
    return subprocess.run([str(arg) for arg in args], capture_output=True, text=True,
                          env={**os.environ, **(env or {})}, check=False)


def must(*args, env=None):
    done = run(*args, env=env)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, args))}\n{done.stderr}")
    return done


def compare(reference, candidate, *extra):
    done = run(RELEASE / "parity", "compare", "--format", "json", *extra, reference, candidate)
    try:
        return json.loads(done.stdout)
    except json.JSONDecodeError:
        sys.exit(f"compare {reference} {candidate}: {done.stderr}")


def number(value):
    if value is None:
        return 0.0
    return float(value.replace("Infinity", "inf")) if isinstance(value, str) else float(value)


def llama(model, out, *args):
    threads = [] if "--threads" in args else ["--threads", 1]
    must(RELEASE / "parity", "capture", "llama", "-m", model, "-o", out, "--detail", "full", *threads, *args)
    return out


def worker(model, out, *args):
    """The trace, or `None` where the worker refuses: a fault that the model cannot have, an arithmetic it has not."""
    done = run(RELEASE / "worker-orcd", "generate", "-m", model, "-t", 1, *args,
               env={"ORCH_LOG_FILE": str(out), "ORCH_LOG_DETAIL": "full"})
    return out if done.returncode == 0 else None


def model(folder, architecture, weights):
    """A tiny random model, or the real one as `smollm2`."""
    path = folder / f"{architecture}.{weights}.gguf"
    if path.exists():
        return path
    if architecture == "smollm2":
        source = MODELS / f"SmolLM2-135M-Instruct.{weights.upper()}.gguf"
        if source.exists():
            return source
        must(RELEASE / "parity", "models", "convert", "--weights", weights,
             MODELS / "SmolLM2-135M-Instruct.F32.gguf", path)
    elif weights == "f32":
        donor = MODELS / "SmolLM2-135M-Instruct.Q4_1.gguf"
        must(RELEASE / "parity", "models", "tiny", path, "-a", architecture, "--donor", donor)
    else:
        must(RELEASE / "parity", "models", "convert", "--weights", weights, model(folder, architecture, "f32"), path)
    return path


def sketches(trace):
    """The same trace without payloads."""
    folder = trace.parent / "sketches"
    folder.mkdir(exist_ok=True)
    copy = folder / trace.name
    with open(trace) as lines, open(copy, "w") as out:
        for line in lines:
            record = json.loads(line)
            record.pop("payload", None)
            out.write(json.dumps(record) + "\n")
    run_file = trace.with_name(trace.stem + ".run.json")
    (folder / run_file.name).write_text(run_file.read_text())
    return copy


def remove(trace):
    for part in trace.parent.glob(f"{trace.stem}.*"):
        part.unlink()
