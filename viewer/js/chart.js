// What all charts share: colours from the style sheet, redrawing when the theme, the width or the paper changes.

const charts = new Map();

function color(role) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${role}`).trim();
}

/** A figure with a caption and a place for a chart; `option` is asked anew whenever the chart is drawn. */
function chart(id, caption, option, { tall = false, described = caption, onClick = null, height = null } = {}) {
  const place = el("div", {
    class: tall ? "chart tall" : "chart",
    id,
    role: "img",
    "aria-label": described,
    style: height ? `height:${height}px` : null,
  });
  charts.set(id, { place, option, onClick });
  return el("figure", {}, el("figcaption", {}, caption), place);
}

function draw(id) {
  const entry = charts.get(id);
  if (!entry || !entry.place.isConnected) return;
  entry.instance ??= echarts.init(entry.place, null, { renderer: "canvas" });
  entry.instance.setOption({ ...shared(), ...entry.option() }, { notMerge: true });
  if (entry.onClick) {
    entry.instance.off("click");
    entry.instance.on("click", entry.onClick);
  }
}

function drawAll() {
  for (const id of charts.keys()) draw(id);
}

/** Forgets the charts of a part of the page that is drawn anew. */
function dropCharts(root) {
  for (const [id, entry] of charts) {
    if (root.contains(entry.place)) {
      entry.instance?.dispose();
      charts.delete(id);
    }
  }
}

function shared() {
  return {
    animation: false,
    textStyle: { color: color("text"), fontFamily: "inherit" },
    // Rich text is drawn, never parsed as markup.
    tooltip: {
      renderMode: "richText",
      confine: true,
      backgroundColor: color("raised"),
      borderColor: color("line"),
      textStyle: { color: color("text"), fontSize: 12 },
    },
  };
}

function axis(extra = {}) {
  return {
    axisLine: { lineStyle: { color: color("line") } },
    axisLabel: { color: color("faint"), hideOverlap: true, ...extra.axisLabel },
    splitLine: { lineStyle: { color: color("line"), opacity: 0.5 } },
    nameTextStyle: { color: color("faint") },
    ...Object.fromEntries(Object.entries(extra).filter(([name]) => name !== "axisLabel")),
  };
}

/** A logarithmic axis that holds these errors; zero and infinity have places at its ends. */
function logRange(values) {
  const finite = values.filter((value) => value > 0 && Number.isFinite(value));
  const low = finite.length ? Math.floor(Math.log10(Math.min(...finite))) - 1 : -8;
  const high = finite.length ? Math.ceil(Math.log10(Math.max(...finite)) + 1e-9) : 0;
  const range = { min: 10 ** low, max: 10 ** Math.max(high, low + 1) };
  range.place = (value) => {
    if (value === null || value === undefined) return null;
    if (Number.isNaN(value) || value === Infinity) return range.max;
    return value <= 0 ? range.min : value;
  };
  return range;
}

/** A logarithmic axis with a label at every power of ten, or at every few where there are many. */
function logAxis(range, extra = {}) {
  const [low, high] = [Math.round(Math.log10(range.min)), Math.round(Math.log10(range.max))];
  const every = Math.ceil((high - low) / 7);
  const labels = [];
  for (let exponent = high; exponent >= low; exponent -= every) labels.unshift(10 ** exponent);
  return axis({
    type: "log",
    min: range.min,
    max: range.max,
    startValue: range.min,
    axisTick: { customValues: labels },
    axisLabel: { formatter: power, customValues: labels },
    ...extra,
  });
}

const power = (value) => {
  const exponent = Math.round(Math.log10(value));
  return exponent >= -2 && exponent <= 3 ? String(Number((10 ** exponent).toPrecision(1))) : `1e${exponent}`;
};

/** The colours of errors from small to large. */
function heat(min, max, extra = {}) {
  return {
    type: "continuous",
    min,
    max,
    calculable: false,
    orient: "horizontal",
    left: "center",
    bottom: 0,
    itemHeight: 120,
    itemWidth: 10,
    inRange: { color: [color("neutral"), color("warm"), color("hot")] },
    textStyle: { color: color("faint") },
    ...extra,
  };
}

addEventListener("resize", () => {
  for (const { instance } of charts.values()) instance?.resize();
});
// Paper is white, and charts are pictures: they have to be drawn anew for it.
for (const [event, paper] of [["beforeprint", true], ["afterprint", false]]) {
  addEventListener(event, () => {
    document.documentElement.classList.toggle("paper", paper);
    for (const { instance } of charts.values()) instance?.resize();
    drawAll();
  });
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
