"""What the HTML report shows, checked in Chromium against `parity compare --format json` of the same traces."""

import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

import access
from cdp import Page
from make_traces import HOSTILE, write_all, write_large

EXIT = {"clean": 0, "fault": 1, "tokens": 3, "hostile": 1}
passed = 0


def check(what, condition, shown=""):
    global passed
    if not condition:
        sys.exit(f"FAILED: {what} {shown}")
    passed += 1


def figure(value):
    """As the report shows a magnitude: written anew here, from its description."""
    if value == 0:
        return "0"
    size = abs(value)
    if size < 1e-2 or size >= 1e5:
        mantissa, exponent = f"{value:.1e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    return f"{value:.{3 if size < 0.1 else 2 if size < 10 else 1 if size < 100 else 0}f}"


def compare(parity, pair, form, output, code):
    done = subprocess.run([parity, "compare", *pair, "--format", form, "-o", output], capture_output=True, text=True)
    check(f"{form}: exit code", done.returncode == code, (done.returncode, done.stderr))


def click_point(page, index):
    page.ask("document.getElementById('timeline').scrollIntoView({block: 'center'})")
    x, y = page.ask(f"""(() => {{
        const place = document.getElementById("timeline"), chart = echarts.getInstanceByDom(place);
        const data = chart.getOption().series[1].data[{index}];
        const at = chart.convertToPixel({{seriesIndex: 1}}, data.value ?? data), box = place.getBoundingClientRect();
        return [box.left + at[0], box.top + at[1]];
    }})()""")
    page.click(x, y)


def planted_fault(page, url, report):
    page.open(url)
    names = [row["checkpoint"] for row in report["checkpoints"]]
    first = report["first_divergence"]
    check("the fault is where it was planted", first["checkpoint"] == "layer_2_q_rope")
    heading = "document.getElementById('detail-name').textContent"
    check("the first divergence is open", page.ask(heading) == "layer_2_q_rope", page.ask(heading))

    # Timeline, checkpoint, histogram.
    other = names.index("layer_0_ffn_up")
    click_point(page, other)
    page.until(f"{heading} === 'layer_0_ffn_up'")
    check("the address follows", page.ask("location.hash").startswith("#layer_0_ffn_up@"), page.ask("location.hash"))
    shown = page.ask("document.querySelector('[data-figure=relative_rmse]').textContent")
    row = report["checkpoints"][other]
    check("the worst pair's error", shown == figure(row["worst_relative_rmse"]), (shown, row["worst_relative_rmse"]))

    click_point(page, names.index("layer_2_q_rope"))
    page.until(f"{heading} === 'layer_2_q_rope'")
    position = int(page.ask("location.hash").rsplit("@", 1)[1])
    # The histogram's counts, the figures and the worst elements come from what the traces hold.
    values = {}
    for side, path in zip(("reference", "candidate"), report["paths"]):
        for line in open(path):
            record = json.loads(line)
            if record["checkpoint"] == "layer_2_q_rope" and record["token_idx"] == position:
                values[side] = record["values"]
    a, b = values["reference"], values["candidate"]
    error = math.sqrt(sum((y - x) ** 2 for x, y in zip(a, b)) / sum(x * x for x in a))
    largest = max(abs(y - x) for x, y in zip(a, b))
    text = lambda name: page.ask(f"document.querySelector('[data-figure={name}]').textContent")
    check("relative RMSE", text("relative_rmse") == figure(error), (text("relative_rmse"), error))
    check("NMSE", text("nmse") == figure(error ** 2), text("nmse"))
    check("largest difference", text("max_abs_diff") == figure(largest), (text("max_abs_diff"), largest))
    rows = "[...document.querySelectorAll('#%s tbody tr')].map((row) => [...row.cells].map((cell) => cell.textContent))"
    counts = page.ask(rows % "value-counts")
    for column, side in ((1, a), (2, b)):
        total = sum(int(row[column].replace(",", "")) for row in counts)
        check("every element is in the histogram", total == len(side), (total, len(side)))
    differing = page.ask(rows % "difference-counts")
    check("every difference too", sum(int(row[1].replace(",", "")) for row in differing) == len(a))
    drawn = page.ask("echarts.getInstanceByDom(document.getElementById('values')).getOption().series[0].data.reduce((a, b) => a + (b ?? 0), 0)")
    check("the chart draws what the table says", drawn == len(a), drawn)
    worst = page.ask(rows % "worst-elements")
    check("the worst element", worst[0][3].lstrip("-") == figure(largest), worst[0])

    # By keyboard.
    page.ask("document.getElementById('timeline').focus()")
    page.press("Home")
    page.press("ArrowRight")
    page.until(f"{heading} === {json.dumps(names[1])}")
    check("it is said aloud", names[1] in page.ask("document.getElementById('said').textContent"))
    page.press("End")
    page.until(f"{heading} === {json.dumps(names[-1])}")

    # By address, and by name.
    page.open(f"{url}#layer_2_q_rope@5")
    check("an address opens its pair", page.ask(heading) == "layer_2_q_rope")
    page.ask("""(() => { document.getElementById("query").value = "layer_3_k"; document.getElementById("search").requestSubmit(); })()""")
    page.until(f"{heading} === 'layer_3_k'")
    graph = page.ask("""document.querySelector("#s-graph details").textContent""")
    check("the graph knows what agrees", "layer_2_q → layer_2_q_rope: agrees" in graph, graph)
    check("and what does not", "layer_2_q_rope → layer_2_attn_context: disagrees" in graph, graph)


def hostile_names(page, url):
    page.open(url)
    check("no script of a name ran", page.ask("window.owned === undefined") and page.dialogs == [], page.dialogs)
    check("no element of a name exists", page.ask("document.querySelectorAll('main img, main script, main b').length") == 0)
    cells = page.ask("[...document.querySelectorAll('#s-table tbody a')].map((link) => link.textContent)")
    check("every name has its line", len(cells) == len(HOSTILE), cells)
    check("markup is text", HOSTILE[0] in cells)
    check("no name is a page long", max(map(len, cells)) <= 64)
    check("nothing reorders or hides", not any(c in text for text in cells for c in "\u202e\u200b\x1b\n"), cells)
    for index in range(len(HOSTILE)):
        page.ask(f"document.querySelectorAll('#s-table tbody a')[{index}].click()")
        page.until(f"document.getElementById('detail').children.length > 1")
    check("all of them could be opened", page.ask("window.owned === undefined") and page.dialogs == [])


def large(page, parity, folder, out):
    """30 layers and 64 positions fit into a file that can be sent, and open at once: the time is shown, not judged."""
    html = out / "large.html"
    compare(parity, write_large(folder), "html", html, 1)
    size = html.stat().st_size
    check("30 layers and 64 positions: below 5 MB", size < 5_000_000, size)
    page.call("Performance.enable", timeDomain="threadTicks")
    page.open(html.resolve().as_uri())
    check("they open", page.messages == [], page.messages)
    metrics = {each["name"]: each["value"] for each in page.call("Performance.getMetrics")["metrics"]}
    page.call("Performance.disable")
    check("with all positions in the map", page.ask("echarts.getInstanceByDom(document.getElementById('tokens')).getOption().xAxis[0].data.length") == 64)
    page.screenshot(out / "large-1280-light.png")
    print(f"30 layers, 64 positions: {size / 1e6:.1f} MB, {metrics['TaskDuration']:.2f} s of one core until it can be used")


def main():
    parity, out = os.path.abspath(sys.argv[1]), pathlib.Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        pairs = write_all(folder)
        page = Page()
        try:
            for name, pair in pairs.items():
                html, data = out / f"{name}.html", f"{folder}/{name}.json"
                compare(parity, pair, "html", html, EXIT[name])
                compare(parity, pair, "json", data, EXIT[name])
                report = json.load(open(data)) | {"paths": pair}
                url = html.resolve().as_uri()
                check("below 5 MB", html.stat().st_size < 5_000_000, html.stat().st_size)
                for width in (1280, 400):
                    for theme in ("light", "dark"):
                        page.open(url, width, theme == "dark")
                        check(f"{name}: the page said nothing", page.messages == [], page.messages)
                        wide = page.ask("document.documentElement.scrollWidth")
                        check(f"{name}: fits into {width} columns", wide <= width, wide)
                        if name == "clean":
                            access.contrast(page, check, theme)
                        verdict = page.ask("document.querySelector('.verdict').textContent")
                        check(f"{name}: the verdict", verdict == report["verdict"], verdict)
                        page.screenshot(out / f"{name}-{width}-{theme}.png")
                page.open(url)
                access.screen_reader(page, check, name, report["verdict"])
                access.printed(page, check, name, out)
                if name == "fault":
                    page.open(url)
                    access.keyboard(page, check)
                    access.keyboard_search(page, check)
                    planted_fault(page, url, report)
                if name == "hostile":
                    hostile_names(page, url)
                check(f"{name}: nothing went wrong", page.messages == [], page.messages)
            large(page, parity, folder, out)
        finally:
            page.close()
    print(f"browser: {passed} checks passed; screenshots in {out}")


main()
