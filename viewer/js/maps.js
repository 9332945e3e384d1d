// Heat maps of all pairs: layer by operation, and layer by token.

/** Powers of ten that the scale reaches below and above the noise floor. */
const REACH = 4;

/** An error as a place on the scale of a map: the power of ten of how many times the noise floor it is. */
function timesFloor({ error, floor }) {
  if (Number.isNaN(error) || error === Infinity) return REACH;
  if (error === 0) return -REACH;
  // Where bands decide there is no floor; they begin to warn at 0.1.
  return Math.max(-REACH, Math.min(REACH, Math.log10(error / (floor || 0.1))));
}

function mapOption(columns, rows, marks, { column, row, tip }) {
  return {
    grid: { left: 8, right: 12, top: 8, bottom: 74, containLabel: true },
    xAxis: axis({ type: "category", data: columns, name: column, nameLocation: "middle", nameGap: 22, splitLine: { show: false } }),
    yAxis: axis({ type: "category", data: rows, name: row, inverse: true, splitLine: { show: false } }),
    visualMap: heat(-REACH, REACH, {
      text: ["10,000 × the noise floor", "identical"],
      dimension: 2,
      inRange: { color: [color("cold"), color("neutral"), color("warm"), color("hot")] },
    }),
    tooltip: { ...shared().tooltip, formatter: ({ data }) => tip(data.cell, data) },
    series: [{
      type: "heatmap",
      progressive: 4000,
      data: marks.map(({ x, y, cell }) => ({
        value: [x, y, timesFloor(cell)],
        cell,
        itemStyle: origin && cell.checkpoint === origin.index && cell.position === firstDivergence.token_idx
          ? { borderColor: color("text"), borderWidth: 3 }
          : { borderColor: color("page"), borderWidth: 0.5 },
      })),
    }],
  };
}

const tip = (cell) => `${checkpoints[cell.checkpoint].label}\n${described(cell)}`;
const onMap = ({ data }) => data?.cell && choose(checkpoints[data.cell.checkpoint], data.cell.position);

const layers = [...new Set(checkpoints.map(({ layer }) => layer).filter((layer) => layer !== null))].sort((a, b) => a - b);
const operations = [...new Set(checkpoints.filter(({ layer }) => layer !== null).map(({ operation }) => operation))];

function layersOption() {
  const column = new Map(layers.map((layer, at) => [layer, at]));
  const line = new Map(operations.map((operation, at) => [operation, at]));
  const marks = worstOfEach()
    .filter((cell) => cell && checkpoints[cell.checkpoint].layer !== null)
    .map((cell) => ({
      x: column.get(checkpoints[cell.checkpoint].layer),
      y: line.get(checkpoints[cell.checkpoint].operation),
      cell,
    }));
  return mapOption(layers.map(String), operations.map((name) => shown(name, 20)), marks, { column: "layer", row: "", tip });
}

/** How many columns a map of tokens has at most; neighbouring positions share one where there are more. */
const MOST_COLUMNS = 160;

function tokensOption() {
  // A prefill batch has one figure for all its positions: it is drawn across them.
  const chosen = cells.filter(inPhase);
  const first = Math.min(...chosen.map((cell) => cell.position));
  const last = Math.max(...chosen.map((cell) => cell.position + cell.tokens - 1));
  const run = Math.max(1, Math.ceil((last - first + 1) / MOST_COLUMNS));
  const columns = [];
  for (let at = first; at <= last; at += run) columns.push(run > 1 ? `${at}–${Math.min(at + run - 1, last)}` : String(at));
  const rowNames = checkpoints.reduce((names, { layer, label }) => {
    const name = layer === null ? label : `layer ${layer}`;
    return names.includes(name) ? names : [...names, name];
  }, []);
  const row = new Map(rowNames.map((name, at) => [name, at]));
  const worst = new Map();
  for (const cell of chosen) {
    const { layer, label } = checkpoints[cell.checkpoint];
    const y = row.get(layer === null ? label : `layer ${layer}`);
    const to = Math.floor((cell.position + cell.tokens - 1 - first) / run);
    for (let x = Math.floor((cell.position - first) / run); x <= to; x++) {
      const key = y * columns.length + x;
      const kept = worst.get(key);
      if (!kept || isWorse(cell, kept)) worst.set(key, cell);
    }
  }
  const marks = [...worst].map(([key, cell]) => ({ x: key % columns.length, y: Math.floor(key / columns.length), cell }));
  return mapOption(columns, rowNames, marks, { column: run > 1 ? `token positions, ${run} a column` : "token position", row: "", tip });
}

function mapsSection() {
  const section = el("section", { id: "s-maps" }, el("h2", {}, "Where the error is"));
  if (!checkpoints.length) return section.append(el("p", {}, "No pair was compared.")), section;
  const describe = (what) => `${what}. The same figures are in the table of all checkpoints.`;
  const grid = el("div", { class: "charts" });
  if (layers.length) {
    grid.append(chart("layers", "Layer by operation: the largest error, in units of its noise floor. Framed: the first divergence.", layersOption, {
      height: Math.max(300, operations.length * 17 + 110),
      described: describe("Heat map of error by layer and operation"),
      onClick: onMap,
    }));
  }
  const rows = layers.length + checkpoints.filter(({ layer }) => layer === null).length;
  grid.append(chart("tokens", "Layer by token: the worst of the layer's operations. A prefill batch has one figure for all its positions.", tokensOption, {
    height: Math.max(300, Math.min(rows, 40) * 13 + 110),
    described: describe("Heat map of error by layer and token position"),
    onClick: onMap,
  }));
  section.append(el("div", { class: "bar" }, el("label", {}, "passes ", phaseChoice("Passes of the maps"))), grid);
  return section;
}
