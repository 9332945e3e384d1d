"""Reports of four pairs, read by jsonschema, junitparser, markdown-it and csv."""

import csv
import json
import pathlib
import subprocess
import sys
import tempfile

import jsonschema
from junitparser import JUnitXml
from markdown_it import MarkdownIt
from make_traces import write_all

parity = sys.argv[1]
passed = 0


def check(what, condition, shown=""):
    global passed
    if not condition:
        sys.exit(f"FAILED: {what} {shown}")
    passed += 1


def report(pair, form, *more):
    done = subprocess.run([parity, "compare", *pair, "--format", form, *more], capture_output=True)
    return done.returncode, done.stdout.decode()


schema = json.loads(pathlib.Path("spec/report-v1.schema.json").read_text())
validator = jsonschema.validators.validator_for(schema)
validator.check_schema(schema)

with tempfile.TemporaryDirectory() as folder:
    for name, pair in write_all(folder).items():
        code, text = report(pair, "json")
        data = json.loads(text)
        errors = [error.message for error in validator(schema).iter_errors(data)]
        check(f"{name}: valid against the schema", errors == [], errors[:3])
        check(f"{name}: the schema says something", list(validator(schema).iter_errors(data | {"exit_code": "one"})) != [])
        # The data of the page has all optional parts.
        _, page = report(pair, "html")
        inner = json.loads(page.split('id="report">', 1)[1].split("</script>", 1)[0])
        errors = [error.message for error in validator(schema).iter_errors(inner)]
        check(f"{name}: the page's data too", errors == [] and "cells" in inner, errors[:3])

        _, xml = report(pair, "junit")
        suites = JUnitXml.fromstring(xml.encode())
        cases = [case for suite in suites for case in suite]
        bad = [case for case in cases if any(type(result).__name__ in ("Failure", "Error") for result in case.result)]
        check(f"{name}: a case for each checkpoint", len(cases) == len(data["checkpoints"]) + 1, len(cases))
        check(f"{name}: JUnit agrees with the exit code", bool(bad) == (code != 0), (len(bad), code))
        check(f"{name}: and counts alike", suites.failures + suites.errors == len(bad), (suites.failures, len(bad)))

        _, markdown = report(pair, "markdown")
        html = MarkdownIt("gfm-like", {"linkify": False}).render(markdown)
        worst = [row for row in data["checkpoints"] if row["worst_nmse"] != 0][:10]
        table = html.split("<tbody>")[1] if worst else ""
        check(f"{name}: a row for each of the worst", not worst or table.split("</tbody>")[0].count("<tr>") == min(10, sum(
            row["worst_nmse"] != 0 for row in data["checkpoints"])), table[:500])
        check(f"{name}: no markup from names", "<script" not in html and "<img" not in html)
        check(f"{name}: the verdict is its heading", f"Numeric parity: {data['verdict']}</h3>" in html, html[:200])

        _, table = report(pair, "csv")
        rows = list(csv.DictReader(table.splitlines()))
        check(f"{name}: a line for each pair", len(rows) == data["coverage"]["compared"], len(rows))
print(f"report forms: {passed} checks passed")
