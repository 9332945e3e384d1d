"""The page for who has no mouse, no eyes, no colours, or paper."""

import base64

INTERACTIVE = {"link", "button", "combobox", "searchbox", "textbox", "checkbox", "DisclosureTriangle"}


def value(node, name):
    return node.get(name, {}).get("value")


def tree(page):
    """(role, name, properties) of everything that a screen reader is told of."""
    page.call("Accessibility.enable")
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    page.call("Accessibility.disable")
    seen = []
    for node in nodes:
        if not node.get("ignored"):
            properties = {each["name"]: each["value"].get("value") for each in node.get("properties", [])}
            seen.append((value(node, "role"), value(node, "name") or "", properties))
    return seen


def screen_reader(page, check, name, verdict):
    nodes = tree(page)
    roles = [role for role, _, _ in nodes]
    for landmark in ("banner", "navigation", "search", "main", "contentinfo"):
        check(f"{name}: one landmark {landmark}", roles.count(landmark) == 1, roles.count(landmark))
    headings = [(properties["level"], text) for role, text, properties in nodes if role == "heading"]
    check(f"{name}: the first heading is the verdict", headings[0] == (1, verdict.upper()), headings[:1])
    check(f"{name}: no other heading of its level", [level for level, _ in headings].count(1) == 1)
    for (before, _), (level, text) in zip(headings, headings[1:]):
        check(f"{name}: no level is skipped", level <= before + 1, (before, level, text))
    for role, text, _ in nodes:
        if role in INTERACTIVE or role in ("image", "img", "figure", "region", "table"):
            named = text.strip() != "" or role in ("figure", "table")
            check(f"{name}: every {role} has a name", named, (role, text))
    charts = [text for role, text, _ in nodes if role in ("image", "img")]
    check(f"{name}: every chart says what it shows", all(len(text) > 15 for text in charts), charts)


def keyboard(page, check):
    """From the top with Tab alone: everything that can be clicked is met, is named and shows where one is."""
    page.ask("document.activeElement?.blur(), scrollTo(0, 0)")
    met, outlines = [], []
    for _ in range(60):
        page.press("Tab")
        at = page.ask("""(() => {
            const at = document.activeElement, style = getComputedStyle(at);
            return at === document.body ? null : [at.id || at.getAttribute("href") || at.className || at.tagName,
                style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2];
        })()""")
        if at is None:
            break
        met.append(at[0])
        outlines.append(at[1])
    check("the first stop skips to the timeline", met[0] == "#s-timeline", met[:3])
    for stop in ("#s-why", "#s-runs", "query", "timeline"):
        check(f"Tab leads to {stop}", stop in met, met)
    check("every stop shows that it is one", all(outlines), [stop for stop, seen in zip(met, outlines) if not seen])
    check("in the order of the page", met.index("#s-why") < met.index("query") < met.index("timeline"), met)


def keyboard_search(page, check):
    page.ask("document.getElementById('query').focus(), document.getElementById('query').select()")
    page.call("Input.insertText", text="layer_1_ffn_act")
    page.press("Enter")
    page.until("document.getElementById('detail-name').textContent === 'layer_1_ffn_act'")
    check("Enter searches, and the focus is at what was found", page.ask("document.activeElement.id") == "detail-name")
    page.ask("document.getElementById('query').focus(), document.getElementById('query').select()")
    page.call("Input.insertText", text="no such thing")
    page.press("Enter")
    page.until("document.getElementById('said').textContent.includes('no such thing')")
    check("what is not found is said", "no checkpoint" in page.ask("document.getElementById('said').textContent"))


def rgb(text):
    return [int(text[at:at + 2], 16) for at in (1, 3, 5)]


def luminance(colour):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (each / 255 for each in colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(page, check, theme):
    """WCAG 2.2, 1.4.3: 4.5 to 1 for text, 1.4.11: 3 to 1 for what marks a place in a chart."""
    def colour(role):
        return luminance(rgb(page.ask(f"getComputedStyle(document.documentElement).getPropertyValue('--{role}').trim()")))

    for ground in ("page", "raised"):
        for role, least in [(role, 4.5) for role in ("text", "faint", "good", "bad", "doubtful", "link")] + [
                (role, 3) for role in ("reference", "candidate", "floor", "hot")]:
            light, dark = sorted((colour(role), colour(ground)), reverse=True)
            ratio = (light + 0.05) / (dark + 0.05)
            check(f"{theme}: {role} on {ground}", ratio >= least, f"{ratio:.2f}")


def printed(page, check, name, out):
    """On paper: no controls, nothing cut off, light whatever the screen was."""
    # The colour of the text in a chart: its picture is drawn for the screen, and must be drawn anew for paper.
    ink = "echarts.getInstanceByDom(document.getElementById('timeline')).getOption().textStyle.color"
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    page.call("Emulation.setEmulatedMedia", media="", features=dark)
    page.until(f"{ink} === getComputedStyle(document.documentElement).getPropertyValue('--text').trim() && {ink} !== '#1c2128'")
    on_screen = page.ask(ink)
    page.ask("dispatchEvent(new Event('beforeprint'))")
    check(f"{name}: a chart is dark on white paper", page.ask(ink) != on_screen and luminance(rgb(page.ask(ink))) < 0.05, page.ask(ink))
    page.ask("dispatchEvent(new Event('afterprint'))")
    check(f"{name}: and as before on the screen", page.ask(ink) == on_screen, page.ask(ink))
    page.call("Emulation.setEmulatedMedia", media="print", features=dark)
    ground = page.ask("getComputedStyle(document.body).backgroundColor")
    check(f"{name}: white paper", ground == "rgb(255, 255, 255)", ground)
    controls = page.ask("""[...document.querySelectorAll("nav, button, select, input")].filter((each) => each.checkVisibility()).length""")
    check(f"{name}: no controls on paper", controls == 0, controls)
    cut = page.ask("""[...document.querySelectorAll(".scroll")].filter((each) => each.scrollHeight > each.clientHeight + 2).length""")
    check(f"{name}: nothing to scroll on paper", cut == 0, cut)
    page.ask("dispatchEvent(new Event('beforeprint'))")
    page.call("Emulation.setDeviceMetricsOverride", width=720, height=1018, deviceScaleFactor=1, mobile=False)
    page.screenshot(out / f"{name}-paper.png")
    page.ask("dispatchEvent(new Event('afterprint'))")
    page.call("Emulation.setEmulatedMedia", media="", features=[])
    paper = base64.b64decode(page.call("Page.printToPDF", printBackground=True, paperWidth=8.27, paperHeight=11.69)["data"])
    (out / f"{name}.pdf").write_bytes(paper)
    check(f"{name}: some pages, not a book", 1 <= paper.count(b"/Type /Page\n") <= 20, paper.count(b"/Type /Page\n"))
