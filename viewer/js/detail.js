// One checkpoint: its pairs by position, and of one pair the figures, histograms, errors along the axes, worst elements.

let selected = null;
let selectedPosition = null;
const looked = new Map();

const lookKey = (name, position, seq) => JSON.stringify([name, position, seq]);
for (const inspection of report.inspections ?? []) {
  const { checkpoint, token_idx: position, seq } = inspection.pair;
  looked.set(lookKey(checkpoint, position, seq), inspection);
}

/** Shows a checkpoint and makes it the address of the page. */
function choose(checkpoint, position = null, { scroll = true } = {}) {
  if (!checkpoint) return;
  selected = checkpoint;
  selectedPosition = position;
  const suffix = position === null ? "" : `@${position}`;
  history.replaceState(null, "", `#${address(checkpoint)}${suffix}`);
  showDetail();
  draw("timeline");
  if (scroll) document.getElementById("s-checkpoint").scrollIntoView({ block: "start" });
}

function detailSection() {
  return el("section", { id: "s-checkpoint", "aria-live": "off" }, el("h2", {}, "Checkpoint"), el("div", { id: "detail" }));
}

/** What is known in full of a pair: looked at closely, or at least among the worst. */
function known(cell) {
  const found = looked.get(lookKey(selected.name, cell.position, cell.seq));
  if (found) return found;
  const pair = [firstDivergence?.pair, ...report.worst].find((pair) => pair && pair.checkpoint === selected.name && pair.token_idx === cell.position && pair.seq === cell.seq);
  return pair ? { pair, elements: 0, axes: [] } : null;
}

function ownCells() {
  return cells.filter((cell) => cell.checkpoint === selected.index).sort((a, b) => a.seq - b.seq || a.position - b.position);
}

function currentCell(own) {
  if (selectedPosition !== null) {
    const exact = own.find((cell) => cell.position <= selectedPosition && selectedPosition < cell.position + cell.tokens);
    if (exact) return exact;
  }
  return own.find((cell) => looked.has(lookKey(selected.name, cell.position, cell.seq))) ?? own.reduce((worst, cell) => (!worst || cell.error > worst.error ? cell : worst), null);
}

async function load(cell) {
  const query = new URLSearchParams({ checkpoint: selected.name, token_idx: cell.position, seq: cell.seq });
  const answer = await fetch(`inspect?${query}`);
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

function showDetail() {
  const root = document.getElementById("detail");
  dropCharts(root);
  root.replaceChildren();
  if (!selected) {
    root.append(el("p", {}, "Choose a checkpoint in the timeline, in a map, or by name above."));
    return;
  }
  const own = ownCells();
  const cell = currentCell(own);
  const neighbour = (distance) => checkpoints[selected.index + distance];
  const step = (distance, text) => el("button", {
    type: "button",
    disabled: !neighbour(distance),
    on: { click: () => choose(neighbour(distance), null, { scroll: false }) },
  }, text);
  root.append(
    el("h3", { id: "detail-name", class: "name", dir: "ltr", tabindex: -1, title: shown(selected.name, 300) }, shown(selected.name, 120)),
    el("div", { class: "bar" }, step(-1, "← previous"), step(1, "next →"), positionChoice(own, cell), link(selected, cell?.position ?? null)),
  );
  if (!cell) return;
  if (own.length > 1) {
    root.append(chart("positions", "Relative error by token position, with the noise floor.", () => positionsOption(own, cell), {
      height: 170,
      described: `Error of ${counted(own.length, "pair")} by position`,
      onClick: ({ data }) => data?.cell && choose(selected, data.cell.position, { scroll: false }),
    }));
  }
  const place = el("div", { id: "pair" });
  root.append(place);
  const found = known(cell);
  if (isLive && !(found?.elements > 0)) {
    place.append(el("p", { role: "status" }, "Reading the pair from the traces …"));
    const asked = lookKey(selected.name, cell.position, cell.seq);
    load(cell)
      .then((inspection) => {
        looked.set(asked, inspection);
        if (currentCell(ownCells()) === cell && place.isConnected) showPair(place, inspection, cell);
      })
      .catch((error) => place.replaceChildren(el("p", { role: "alert", class: "bad" }, `Could not be read: ${error.message}`)));
  } else {
    showPair(place, found, cell);
  }
  drawIn(root);
}

function drawIn(root) {
  for (const [id, { place }] of charts) if (root.contains(place)) draw(id);
}

function positionChoice(own, cell) {
  if (own.length < 2) return null;
  const choice = el("select", {}, ...own.slice(0, 5000).map((each) => el("option", { value: own.indexOf(each), selected: each === cell }, `${positions(each.position, each.tokens)}: ${figure(each.error)}${state(each) === "bad" ? " ▲" : ""}`)));
  choice.addEventListener("change", () => choose(selected, own[Number(choice.value)].position, { scroll: false }));
  return el("label", {}, "pair ", choice);
}

function positionsOption(own, current) {
  const range = logRange(own.flatMap((cell) => [cell.error, cell.floor]));
  return {
    grid: { left: 58, right: 12, top: 10, bottom: 40 },
    xAxis: axis({ type: "value", scale: true, minInterval: 1, name: "token position", nameLocation: "middle", nameGap: 22, splitLine: { show: false } }),
    yAxis: logAxis(range),
    tooltip: { ...shared().tooltip, formatter: ({ data }) => (data?.cell ? described(data.cell) : "") },
    series: [
      { type: "line", silent: true, showSymbol: false, lineStyle: { type: "dashed", color: color("floor") }, data: own.map((cell) => [cell.position, range.place(cell.floor)]) },
      {
        type: "line",
        lineStyle: { color: color("reference"), width: 1 },
        data: own.map((cell) => ({
          value: [cell.position, range.place(cell.error)],
          cell,
          symbol: SYMBOLS[state(cell)],
          symbolSize: cell === current ? 12 : 7,
          itemStyle: { color: color(state(cell)) },
        })),
      },
    ],
  };
}

function facts(rows) {
  return el("dl", {}, ...rows.filter(([, value]) => value !== null && value !== undefined).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

function rests(basis) {
  switch (basis.kind) {
    case "exact": return `all ${counted(basis.elements, "element")}`;
    case "first": return `the first ${count(basis.elements)} of ${counted(basis.of, "element")}`;
    case "sketch": return `estimated from sketches of all ${counted(basis.of, "element")}, NMSE within ${Math.round(num(basis.plus_minus) * 100)} %`;
    default: return `at least, by statistics of all ${counted(basis.of, "element")}`;
  }
}

function showPair(place, inspection, cell) {
  place.replaceChildren();
  const pair = inspection?.pair;
  const spread = pair?.figures;
  place.append(facts([
    ["where", [positions(cell.position, cell.tokens), pass(cell), pair && `shape [${pair.shape.join(", ")}]`].filter(Boolean).join(", ")],
    ["relative RMSE", el("span", { class: "number", "data-figure": "relative_rmse" }, figure(pair ? num(pair.relative_rmse) : cell.error))],
    ["noise floor", el("span", { class: "number" }, figure(cell.floor))],
    ["verdict", el("span", { class: state(cell) }, STATES[state(cell)])],
    ["NMSE", pair && el("span", { class: "number", "data-figure": "nmse" }, figure(num(pair.nmse)))],
    ["cosine similarity", pair && pair.cosine !== null ? String(Number(num(pair.cosine).toPrecision(8))) : null],
    ["largest difference", el("span", { class: "number", "data-figure": "max_abs_diff" }, figure(pair ? num(pair.max_abs_diff) : cell.largest))],
    ["mean difference", spread && figure(num(spread.mean_abs_diff))],
    ["largest relative difference", spread && figure(num(spread.max_rel_diff))],
    ["non-finite on one side only", pair?.mismatched_non_finite ? counted(pair.mismatched_non_finite, "element") : null],
    ["rests on", pair && rests(pair.nmse_basis)],
    ["stored as", pair && (pair.reference_dtype === pair.candidate_dtype ? pair.reference_dtype : `${pair.reference_dtype} against ${pair.candidate_dtype}`)],
    ["operation", pair?.op && shown(pair.op)],
    ["values", pair?.reference_range && pair.candidate_range && `reference ${range(pair.reference_range)}; candidate ${range(pair.candidate_range)}`],
  ]));
  if (!pair || !inspection.elements) {
    const held = (report.inspections ?? []).length;
    place.append(el("p", { class: "faint" }, isLive
      ? "No elements of this pair are in the traces: histograms need --detail full."
      : `This file holds histograms of ${counted(held, "pair")}: the worst of each checkpoint as far as there was room. parity view shows all.`));
  } else {
    place.append(histograms(inspection), along(inspection));
  }
  if (pair) place.append(elements(pair));
  drawIn(place);
}

const range = ({ min, max }) => `${precise(num(min))} to ${precise(num(max))}`;
