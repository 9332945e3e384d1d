// The report's data, and how numbers and names are shown. Nothing from a trace ever becomes markup: text is set as text.

const report = JSON.parse(document.getElementById("report").textContent);
const isLive = document.body.dataset.live === "yes";

/** A number of the report: JSON has no NaN and no infinity, so those are words. */
function num(value) {
  if (value === "NaN") return NaN;
  if (value === "Infinity") return Infinity;
  if (value === "-Infinity") return -Infinity;
  return value ?? null;
}

/** Two significant digits or so, as in the text report: 3.1e-7, 0.74, 1.50, 549. */
function figure(value) {
  if (value === null || value === undefined) return "–";
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "infinite" : "-infinite";
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size < 1e-2 || size >= 1e5) return value.toExponential(1).replace("e+", "e");
  if (size < 0.1) return value.toFixed(3);
  if (size < 10) return value.toFixed(2);
  return value.toFixed(size < 100 ? 1 : 0);
}

/** A value of a tensor with seven significant digits. */
function precise(value) {
  if (value === null || value === undefined) return "–";
  if (!Number.isFinite(value)) return figure(value);
  const size = Math.abs(value);
  if (size === 0) return "0";
  return size < 1e-3 || size >= 1e6 ? value.toExponential(5).replace("e+", "e") : value.toPrecision(7);
}

const count = (value) => (value ?? 0).toLocaleString("en");
const counted = (value, noun) => `${count(value)} ${noun}${value === 1 ? "" : "s"}`;

/** A name with what could reorder or hide text made visible, and cut to a length that can be read. */
function shown(name, most = 64) {
  const visible = String(name).slice(0, 4 * most).replace(
    /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g,
    (c) => `\\u{${c.codePointAt(0).toString(16)}}`,
  );
  return visible.length > most || name.length > 4 * most ? `${visible.slice(0, most - 1)}…` : visible;
}

/** An element; strings among the children become text. */
function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") {
      for (const [event, run] of Object.entries(value)) node.addEventListener(event, run);
    } else if (value !== null && value !== undefined && value !== false) {
      node.setAttribute(name, value === true ? "" : value);
    }
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

const checkpoints = report.checkpoints.map((row, index) => {
  const place = /^layer_(\d{1,6})_(.+)$/.exec(row.checkpoint);
  return {
    index,
    name: row.checkpoint,
    label: shown(row.checkpoint, 40),
    layer: place ? Number(place[1]) : null,
    operation: place ? place[2] : row.checkpoint,
    row,
  };
});
const byName = new Map(checkpoints.map((checkpoint) => [checkpoint.name, checkpoint]));
const firstDivergence = report.first_divergence;
const origin = firstDivergence ? byName.get(firstDivergence.checkpoint) : null;

/** Every pair; where the report holds none one by one, the worst of each checkpoint stands for all. */
const cells = report.cells
  ? report.cells.nmse.map((nmse, at) => ({
      checkpoint: report.cells.checkpoint[at],
      position: report.cells.token_idx[at],
      tokens: report.cells.n_tokens[at],
      step: report.cells.step[at],
      seq: report.cells.seq[at],
      error: Math.sqrt(num(nmse)),
      largest: num(report.cells.max_abs_diff[at]),
      floor: num(report.cells.floor[at]),
      above: report.cells.above_limit[at],
    }))
  : checkpoints.map(({ index, row }) => ({
      checkpoint: index,
      position: row.worst_token_idx,
      tokens: 1,
      step: null,
      seq: 0,
      error: num(row.worst_relative_rmse),
      largest: num(row.max_abs_diff),
      floor: row.max_nmse === null ? null : Math.sqrt(num(row.max_nmse)),
      above: row.above_limit > 0,
    }));

/** The checkpoints that are blamed; nothing where nobody looked at single operations. */
const blamed = report.limit.kind === "noise" && report.origins ? new Set() : null;
for (const { checkpoints: names, layers } of (blamed && report.origins) || []) {
  for (const name of names) {
    blamed.add(name);
    const operation = byName.get(name)?.operation;
    for (const layer of layers ?? []) blamed.add(`layer_${layer}_${operation}`);
  }
}

/** `bad`: the operation adds more than noise; `doubtful`: above the limit, but its inputs explain it; `good`. */
function state({ checkpoint, error, floor, above }) {
  if (!blamed) return above ? "bad" : "good";
  if (blamed.has(checkpoints[checkpoint].name) && (above || error > floor)) return "bad";
  return above ? "doubtful" : "good";
}

const STATES = { good: "within the noise", doubtful: "above the limit, as its inputs are", bad: "adds more than noise" };
const SYMBOLS = { good: "circle", doubtful: "rect", bad: "triangle" };

const isPrefill = (cell) => (cell.step === null ? cell.tokens > 1 : cell.step === 0);
const pass = (cell) => (cell.step === null ? null : cell.step === 0 ? "prefill" : `decode step ${cell.step}`);
const positions = (first, tokens) => (tokens > 1 ? `positions ${first} to ${first + tokens - 1}` : `position ${first}`);

/** What a checkpoint is called in the address. */
function address(checkpoint) {
  return checkpoint.name.length > 200 ? `checkpoint-${checkpoint.index}` : encodeURIComponent(checkpoint.name);
}

/** The checkpoint and position of an address, if it names one. */
function fromAddress(hash) {
  const [, text, position] = /^#?(.*?)(?:@(-?\d+))?$/s.exec(hash) ?? [];
  const numbered = /^checkpoint-(\d+)$/.exec(text ?? "");
  let found = numbered ? checkpoints[Number(numbered[1])] : undefined;
  try {
    found = byName.get(decodeURIComponent(text)) ?? found;
  } catch {
    // Not something that was encoded here.
  }
  return found ? { checkpoint: found, position: position === undefined ? null : Number(position) } : null;
}

/** Says something to those who do not see the charts. */
function say(text) {
  document.getElementById("said").textContent = text;
}
