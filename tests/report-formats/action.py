"""The GitHub Action without GitHub: its file is parsed and its steps are run, as the runner would run them."""

import os
import pathlib
import re
import stat
import subprocess
import sys
import tempfile

import yaml
from junitparser import JUnitXml
from make_traces import write_all

parity = os.path.abspath(sys.argv[1])
where = pathlib.Path(".github/actions/parity").resolve()
action = yaml.safe_load((where / "action.yml").read_text())
passed = 0


def check(what, condition, shown=""):
    global passed
    if not condition:
        sys.exit(f"FAILED: {what} {shown}")
    passed += 1


def filled(text, values):
    """`${{ inputs.name }}` and `${{ steps.id.outputs.name }}`, and no other expression."""
    return re.sub(r"\$\{\{ ([\w.-]+) \}\}", lambda found: values[found.group(1)], text)


def runs(condition, values, failed):
    if condition is None:
        return not failed
    name = re.fullmatch(r"\$\{\{ always\(\) && ([\w.]+) != '' \}\}", condition).group(1)
    return values[name] != ""


def use(folder, path=None, **inputs):
    """What a workflow sees of one use: its exit code, the action's outputs, the summary, and what would be uploaded."""
    unknown = set(inputs) - set(action["inputs"])
    check("the action knows these inputs", not unknown, unknown)
    values = {f"inputs.{name}": str(inputs.get(name, about.get("default", ""))) for name, about in action["inputs"].items()}
    files = {name: folder / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    for file in files.values():
        file.write_text("")
    said, code, uploads = "", 0, []
    for step in action["runs"]["steps"]:
        if not runs(step.get("if"), values, code != 0):
            continue
        if "uses" in step:
            uploads.append({name: filled(value, values) for name, value in step["with"].items()})
            continue
        check("a step names its shell, as composite actions must", step["shell"] == "bash")
        script = folder / "step.sh"
        script.write_text(filled(step["run"], values))
        environment = {name: filled(value, values) for name, value in step.get("env", {}).items()}
        environment |= {name: str(file) for name, file in files.items()}
        environment |= {"PATH": path or os.environ["PATH"], "HOME": os.environ["HOME"], "GITHUB_ACTION_PATH": str(where)}
        done = subprocess.run(["bash", "--noprofile", "--norc", "-eo", "pipefail", script], cwd=folder, env=environment,
                              capture_output=True, text=True)
        said, code = said + done.stdout + done.stderr, code or done.returncode
        if "id" in step:
            written = files["GITHUB_OUTPUT"].read_text()
            outputs = dict(line.split("=", 1) for line in written.splitlines())
            values |= {f"steps.{step['id']}.outputs.{name}": outputs.get(name, "") for name in ("verdict",)}
    outputs = {name: filled(about["value"], values) for name, about in action["outputs"].items()}
    return {"code": code, "said": said, "outputs": outputs, "summary": files["GITHUB_STEP_SUMMARY"].read_text(), "uploads": uploads}


def verdicts(folder, pairs):
    for name, code, verdict in (("clean", 0, "rounding"), ("fault", 1, "diverged"), ("tokens", 3, "not comparable")):
        reference, candidate = pairs[name]
        seen = use(folder, parity=parity, reference=reference, candidate=candidate, output=f"out {name}")
        check(f"{name}: exit code", seen["code"] == code, seen)
        check(f"{name}: output", seen["outputs"] == {"verdict": verdict}, seen)
        check(f"{name}: summary", f"Numeric parity: {verdict}\n" in seen["summary"], seen["summary"])
        check(f"{name}: one upload", seen["uploads"] == [{"name": "parity-report", "path": f"out {name}"}], seen["uploads"])
        out = folder / seen["uploads"][0]["path"]
        check(f"{name}: files", {file.name for file in out.iterdir()} == {"report.html", "parity.xml", "report.json", "summary.md"})
        suites = JUnitXml.fromfile(str(out / "parity.xml"))
        check(f"{name}: JUnit", (suites.failures + suites.errors > 0) == (code != 0))
    seen = use(folder, parity=parity, reference=pairs["clean"][0], candidate="gone.jsonl", artifact="")
    check("a missing trace", seen["code"] == 2 and "gone.jsonl" in seen["said"] and seen["uploads"] == [], seen)


def baselines(folder, pairs):
    for name in ("clean", "fault"):
        subprocess.run([parity, "baseline", "save", *pairs[name], "-o", folder / f"{name}.toml"], check=True, capture_output=True)
    for baseline, name, code in (("clean", "clean", 0), ("clean", "fault", 1), ("fault", "fault", 0), ("clean", "tokens", 3)):
        reference, candidate = pairs[name]
        seen = use(folder, parity=parity, reference=reference, candidate=candidate, baseline=f"{baseline}.toml")
        check(f"{name} against the baseline of {baseline}", seen["code"] == code, seen)
        check("the gate speaks last", seen["said"].rstrip().endswith(f"(exit code {code})"), seen["said"])


def inputs_are_no_script(folder, pairs):
    reference, candidate = pairs["clean"]
    hostile = folder / "x'; touch owned; $(touch owned) `touch owned` \".jsonl"
    hostile.write_bytes(pathlib.Path(candidate).read_bytes())
    seen = use(folder, parity=parity, reference=reference, candidate=str(hostile))
    check("a strange name is a name", seen["code"] == 0, seen)
    seen = use(folder, parity=parity, reference=reference, candidate=candidate, args="--map-candidate $(touch${IFS}owned) ; touch owned")
    check("arguments are only arguments", seen["code"] == 2, seen)
    check("nothing of it ran", not (folder / "owned").exists())
    seen = use(folder, parity=parity, reference=reference, candidate=candidate, args="--map-candidate no-such-map")
    check("arguments arrive", seen["code"] == 2 and "no-such-map" in seen["said"], seen)


def installs(folder, pairs):
    """Where the command is not there, cargo is asked for it: one that writes down what it was asked."""
    tools = folder / "tools"
    tools.mkdir()
    cargo = tools / "cargo"
    cargo.write_text(f"#!/bin/bash\nprintf '%s\\n' \"$@\" >'{folder}/asked'\nln -s '{parity}' '{tools}/parity'\n")
    cargo.chmod(cargo.stat().st_mode | stat.S_IXUSR)
    reference, candidate = pairs["clean"]
    seen = use(folder, path=f"{tools}:/usr/bin:/bin", reference=reference, candidate=candidate)
    check("what cargo installed is used", seen["code"] == 0 and seen["outputs"]["verdict"] == "rounding", seen)
    asked = (folder / "asked").read_text().split("\n")
    crate = pathlib.Path(asked[asked.index("--path") + 1])
    check("of this repository", 'name = "parity-cli"' in (crate / "Cargo.toml").read_text(), asked)


def documented():
    """What the documentation shows is what the action takes."""
    blocks = re.findall(r"```yaml\n(.*?)```", pathlib.Path("docs/regression-tests.md").read_text(), re.S)
    uses = [step for block in blocks for step in yaml.safe_load(block) if isinstance(step, dict) and "uses" in step]
    check("one example", len(uses) == 1, uses)
    required = {name for name, about in action["inputs"].items() if about.get("required")}
    check("of inputs that exist", required <= set(uses[0]["with"]) <= set(action["inputs"]), uses)


with tempfile.TemporaryDirectory() as work:
    folder = pathlib.Path(work)
    (folder / "traces").mkdir()
    pairs = write_all(str(folder / "traces"))
    verdicts(folder, pairs)
    baselines(folder, pairs)
    inputs_are_no_script(folder, pairs)
    installs(folder, pairs)
    documented()
print(f"GitHub Action: {passed} checks passed")
