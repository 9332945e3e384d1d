"""Reports of four pairs, read by jsonschema, junitparser, markdown-it, csv and DuckDB."""

import csv
import io
import json
import math
import os
import pathlib
import pty
import subprocess
import sys
import tempfile

import duckdb
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


def report(traces, form, *more):
    done = subprocess.run([parity, "compare", *traces, "--format", form, *more], capture_output=True)
    return done.returncode, done.stdout.decode()


TYPES = {"checkpoint": "VARCHAR", "token_idx": "BIGINT", "n_tokens": "BIGINT", "step": "BIGINT", "seq": "BIGINT", "nmse": "DOUBLE",
         "relative_rmse": "DOUBLE", "max_abs_diff": "DOUBLE", "floor": "DOUBLE", "above_limit": "BOOLEAN"}


def alike(ours, theirs):
    """A cell of the CSV and a value of the Parquet file; a nothing is empty, and NaN is not nothing."""
    if theirs is None:
        return ours == ""
    if isinstance(theirs, bool):
        return ours == str(theirs).lower()
    if isinstance(theirs, float):
        return float(ours) == theirs or (math.isnan(theirs) and math.isnan(float(ours)))
    # A spreadsheet would run a name that begins like a formula: the CSV has a quote before it; and escapes for control
    # characters.
    written = str(theirs).replace("\n", "\\n").replace("\x1b", "\\u{1b}")
    return ours == (f"'{written}" if written[:1] in "=+-@" and isinstance(theirs, str) else written)


def parquet(name, pair, rows, data):
    path = f"{folder}/{name}.parquet"
    code, _ = report(pair, "parquet", "-o", path)
    check(f"{name}: Parquet has the same exit code", code == data["exit_code"], code)
    table = duckdb.sql(f"SELECT * FROM '{path}'")
    check(f"{name}: columns and types", dict(zip(table.columns, map(str, table.types))) == TYPES, table.types)
    values = table.fetchall()
    check(f"{name}: a line for each pair", len(values) == len(rows), len(values))
    for line, (ours, theirs) in enumerate(zip(rows, values)):
        for column, value in zip(table.columns, theirs):
            if not alike(ours[column], value):
                check(f"{name}: line {line}, {column}: as in the CSV", False, (ours[column], value))
    worst = duckdb.sql(f"SELECT checkpoint, max(relative_rmse) FROM '{path}' GROUP BY checkpoint").fetchall()
    listed = {row["checkpoint"]: row["worst_relative_rmse"] for row in data["checkpoints"]}
    check(f"{name}: the worst of each checkpoint", len(worst) == len(listed) and all(
        math.isclose(error, listed[checkpoint] or 0, rel_tol=1e-12) for checkpoint, error in worst), worst[:3])
    metadata = dict(duckdb.sql(f"SELECT key::VARCHAR, value::VARCHAR FROM parquet_kv_metadata('{path}')").fetchall())
    check(f"{name}: the verdict is in the metadata", metadata["parity.verdict"] == data["verdict"], metadata)
    piped = subprocess.run([parity, "compare", *pair, "--format", "parquet"], capture_output=True).stdout
    check(f"{name}: the same bytes through a pipe", piped == pathlib.Path(path).read_bytes(), len(piped))


def no_binary_to_a_terminal(pair):
    ours, theirs = pty.openpty()
    done = subprocess.run([parity, "compare", *pair, "--format", "parquet"], stdout=theirs, stderr=subprocess.PIPE)
    os.close(theirs)
    check("a terminal gets no Parquet", done.returncode == 2 and b"-o" in done.stderr, done)
    os.set_blocking(ours, False)
    try:
        shown = os.read(ours, 1)
    except OSError:
        shown = b""
    check("not a byte of it", shown == b"", shown)
    os.close(ours)


def many(pairs):
    """Three candidates at once."""
    traces = [pairs["clean"][0]] + [pairs[name][1] for name in ("clean", "fault", "tokens")]
    code, text = report(traces, "json")
    data = json.loads(text)
    code_markdown, markdown = report(traces, "markdown")
    html = MarkdownIt("gfm-like", {"linkify": False}).render(markdown)
    check("many: exit codes", code == code_markdown == data["exit_code"], (code, code_markdown))
    overview = html.split("<tbody>")[1].split("</tbody>")[0]
    check("many: a row for each candidate", overview.count("<tr>") == 3, overview)
    for path, one in zip(traces[1:], data["reports"]):
        check("many: its verdict", f"<td><code>{path}</code></td>\n<td>{one['verdict']}</td>" in overview, overview)
    check("many: the pages are folded away", html.count("<details") > 3 and html.count("<details") == html.count("</details>"), html)
    code_junit, xml = report(traces, "junit")
    suites = JUnitXml.fromstring(xml.encode())
    names = [suite.name for suite in suites]
    check("many: a suite for each candidate", names == [f"numeric parity: {path}" for path in traces[1:]], names)
    sizes = [len(list(suite)) for suite in suites]
    check("many: and a case for each checkpoint", sizes == [len(one["checkpoints"]) + 1 for one in data["reports"]], sizes)
    check("many: failures and errors by suite", [(suite.failures > 0, suite.errors > 0) for suite in suites] ==
          [(False, False), (True, False), (False, True)] and code_junit == code, xml[:300])


schema = json.loads(pathlib.Path("spec/report-v1.schema.json").read_text())
validator = jsonschema.validators.validator_for(schema)
validator.check_schema(schema)

with tempfile.TemporaryDirectory() as folder:
    pairs = write_all(folder)
    for name, pair in pairs.items():
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
        rows = list(csv.DictReader(io.StringIO(table, newline="")))
        check(f"{name}: a line for each pair", len(rows) == data["coverage"]["compared"], len(rows))
        parquet(name, pair, rows, data)
    many(pairs)
    no_binary_to_a_terminal(pairs["clean"])
print(f"report forms: {passed} checks passed")
