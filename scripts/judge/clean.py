"""Runs that differ only benignly: none may be called diverged, and no cause may be named."""

import collections
import concurrent.futures
import re
import sys

import runs

ARCHITECTURES = ["llama", "qwen2", "qwen3", "gpt2"]
WEIGHTS = ["q4_k_m", "q4_1", "q8_0", "f32", "f16"]
# Characters of the prompt: 1, 25 and 429 tokens of SmolLM2, 1 and 50 of the tiny models, whose vocabulary is smaller.
PROMPTS = [1, 90, 1700]
# 605 tokens of SmolLM2, and as many of a tiny one.
LONGEST = {"smollm2": 2400, "llama": 1080}


def groups(large):
    """(architecture, weights, characters of the prompt, tokens to pick)"""
    if large:
        for weights in WEIGHTS:
            for characters in PROMPTS[:2]:
                yield "smollm2", weights, characters, 4
        for weights in ["f32", "q4_1", "q4_k_m"]:
            yield "smollm2", weights, PROMPTS[2], 1
        yield "smollm2", "q4_1", LONGEST["smollm2"], 1
    for architecture in ARCHITECTURES:
        for weights in WEIGHTS:
            for characters in PROMPTS[:2]:
                yield architecture, weights, characters, 4
    for weights in ["f32", "q4_1"]:
        yield "llama", weights, LONGEST["llama"], 2


def small_groups():
    """Few of them, for ./test: what each class of weights allows, and the first token of a model that gathers there."""
    yield "llama", "f32", 90, 3
    yield "qwen2", "q4_1", 90, 3
    yield "smollm2", "q4_1", 1, 2


def variants(path, base, common, plain):
    """(what is different, a function that runs it)"""
    forced = ["--force-tokens", plain]
    f32_cache = ["--kv-type", "f32"]

    def engine(name, *args):
        return lambda: runs.llama(path, base / f"{name}.jsonl", *common, *forced, *args)

    def ours(name, *args):
        return lambda: runs.worker(path, base / f"{name}.jsonl", *forced, *args)

    yield "cache of f16", engine("kv16")
    yield "fused attention", engine("fused", "--flash-attn", "on")
    yield "two threads", engine("threads", *f32_cache, "--threads", 2)
    yield "batches of 16", engine("batches", *f32_cache, "--ubatch", 16)
    yield "token by token", engine("single", *f32_cache, "--ubatch", 1)
    yield "worker", ours("worker")
    yield "worker, as stored", ours("stored", "--matmul", "quantized")
    yield "worker, cache of f16", ours("worker16", "--kv-type", "f16")


def pairs_of_group(folder, architecture, weights, characters, picks):
    """One prompt on one model, run in many ways; yields (name of the pair, report). Two traces lie on disk at a time."""
    path = runs.model(folder, architecture, weights)
    prompt = runs.TEXT[:characters] if characters > 1 else "A"
    base = folder / f"{architecture}-{weights}-{characters}"
    base.mkdir()
    common = ["-p", prompt, "-n", picks]
    plain = runs.llama(path, base / "plain.jsonl", *common, "--kv-type", "f32")
    thin = runs.sketches(plain)
    name = f"{architecture} {weights} {characters}"
    for what, make in variants(path, base, common, plain):
        trace = make()
        if trace is None:
            continue
        yield f"{name}: {what}", runs.compare(plain, trace)
        if what in ("worker", "worker, as stored"):
            yield f"{name}: {what}, model file", runs.compare(plain, trace, "--model", path)
        if what in ("worker", "cache of f16"):
            copy = runs.sketches(trace)
            yield f"{name}: {what}, sketches", runs.compare(thin, copy)
            runs.remove(copy)
        runs.remove(trace)
    for trace in (plain, thin):
        runs.remove(trace)


def causes(report):
    """Causes that the report claims, conjectures included."""
    return [cause["code"] for cause in report.get("causes") or []]


def measure(folder, chosen, jobs):
    """All pairs of these groups, as (name, report)."""
    for architecture, weights in sorted({group[:2] for group in chosen}):
        runs.model(folder, architecture, weights)

    def one(group):
        found = list(pairs_of_group(folder, *group))
        reports = [report for _, report in found]
        verdicts = dict(collections.Counter(report["verdict"] for report in reports))
        claimed = sum(bool(causes(report)) for report in reports)
        used = max(used for report in reports for *_, used in uses(report))
        print(f"  {' '.join(map(str, group[:3]))}: {verdicts}, {claimed} causes, at most {used:.2f} of what is allowed",
              file=sys.stderr, flush=True)
        return found

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        return [pair for pairs in pool.map(one, chosen) for pair in pairs]


def table(folder, large, jobs):
    """Prints the table; the number of pairs that should not be as they are."""
    chosen = list(groups(large))
    found = measure(folder, chosen, jobs)
    print(f"{'model':10}{'weights':9}{'pairs':>6}{'match':>8}{'rounding':>10}{'drift':>7}{'diverged':>10}{'causes':>8}")
    rows = collections.defaultdict(list)
    for name, report in found:
        rows[tuple(name.split()[:2])].append(report)
        rows["all", ""].append(report)
    for (architecture, weights), reports in sorted(rows.items(), key=lambda row: row[0][0] == "all"):
        verdicts = collections.Counter(report["verdict"] for report in reports)
        claimed = sum(bool(causes(report)) for report in reports)
        print(f"{architecture:10}{weights:9}{len(reports):6}{verdicts['match']:8}{verdicts['rounding']:10}"
              f"{verdicts['drift']:7}{verdicts['diverged']:10}{claimed:8}")
    wrong = print_wrong(found)
    print_excess(found)
    return wrong


def print_wrong(found):
    """Lists pairs that are no match and no rounding; how many of them are false alarms."""
    wrong = 0
    for name, report in found:
        if report["verdict"] in ("match", "rounding") and not causes(report):
            continue
        wrong += report["verdict"] not in ("match", "rounding", "drift") or bool(causes(report))
        first = report["origins"][0] if report["origins"] else None
        told = f"{first['checkpoints']} {first['local']}" if first else report["reasons"][:1]
        print(f"  {name}: {report['verdict']} {told} {causes(report)}")
    return wrong


def uses(report):
    """(floor, row, part of what is allowed that it uses) of each checkpoint."""
    for row in report["checkpoints"]:
        if row.get("local"):
            yield row["local"]["floor"], row, runs.number(row["local"]["excess"])


def print_excess(found):
    """The largest part of what is allowed that clean pairs used, by floor and operation."""
    largest = {}
    for name, report in found:
        for floor, row, used in uses(report):
            stage = re.sub(r"^layer_\d+_", "", row["checkpoint"])
            where = f"{name} {row['checkpoint']} {runs.number(row['local']['error']):.1e}"
            largest[floor, stage] = max(largest.get((floor, stage), (0, "")), (used, where))
    print("largest use of what is allowed:")
    for (floor, stage), (excess, where) in sorted(largest.items(), key=lambda item: -item[1][0])[:25]:
        print(f"  {excess:.2f} {floor} {stage}: {where}")
