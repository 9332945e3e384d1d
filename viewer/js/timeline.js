// The error of every checkpoint in dataflow order against the noise floor.

let phase = "all";

const phases = (() => {
  const steps = [...new Set(cells.map((cell) => cell.step).filter((step) => step !== null && step > 0))].sort((a, b) => a - b);
  const found = [["all", "all passes"]];
  if (cells.some(isPrefill)) found.push(["prefill", "prefill"]);
  if (cells.some((cell) => !isPrefill(cell))) found.push(["decode", "decode"]);
  for (const step of steps.slice(0, 500)) found.push([String(step), `decode step ${step}`]);
  return found;
})();

const inPhase = (cell) =>
  phase === "all" ||
  (phase === "prefill" && isPrefill(cell)) ||
  (phase === "decode" && !isPrefill(cell)) ||
  String(cell.step) === phase;

/** Whether one pair says more than another of the same checkpoint: a mistake before what it entails, then by error. */
function isWorse(cell, kept) {
  const bad = (each) => state(each) === "bad";
  if (bad(cell) !== bad(kept)) return bad(cell);
  return cell.error > kept.error || (Number.isNaN(cell.error) && !Number.isNaN(kept.error));
}

/** Of each checkpoint the worst pair among the chosen passes, or nothing. */
function worstOfEach() {
  const worst = new Array(checkpoints.length).fill(null);
  for (const cell of cells) {
    const kept = worst[cell.checkpoint];
    if (inPhase(cell) && (!kept || isWorse(cell, kept))) worst[cell.checkpoint] = cell;
  }
  return worst;
}

function layerStarts() {
  const starts = new Map();
  for (const { index, layer } of checkpoints) if (layer !== null && !starts.has(layer)) starts.set(layer, index);
  const every = Math.ceil(starts.size / 12) || 1;
  return new Map([...starts].filter(([layer]) => layer % every === 0).map(([layer, index]) => [index, layer]));
}

function timelineOption() {
  const worst = worstOfEach();
  const range = logRange(worst.flatMap((cell) => (cell ? [cell.error, cell.floor] : [])));
  const starts = layerStarts();
  const point = (cell, index) => {
    if (!cell) return null;
    const role = state(cell);
    const isFirst = origin && index === origin.index;
    return {
      value: [index, range.place(cell.error)],
      symbol: cell.error === 0 ? "emptyCircle" : isFirst ? "diamond" : SYMBOLS[role],
      symbolSize: isFirst ? 15 : index === selected?.index ? 11 : role === "good" ? 5 : 7,
      itemStyle: { color: color(role), borderColor: index === selected?.index ? color("text") : color(role), borderWidth: index === selected?.index ? 2 : 1 },
    };
  };
  return {
    aria: { enabled: false },
    grid: { left: 58, right: 16, top: 30, bottom: 78 },
    legend: { top: 0, textStyle: { color: color("faint") }, data: ["error", "noise floor"] },
    xAxis: axis({
      type: "value",
      min: 0,
      max: Math.max(checkpoints.length - 1, 1),
      minInterval: 1,
      name: "layer",
      nameLocation: "middle",
      nameGap: 22,
      splitLine: { show: false },
      axisTick: { customValues: [...starts.keys()] },
      axisLabel: { customValues: [...starts.keys()], formatter: (index) => String(starts.get(index) ?? "") },
    }),
    yAxis: logAxis(range, { name: "relative RMSE" }),
    dataZoom: [
      { type: "inside", zoomOnMouseWheel: "ctrl", moveOnMouseWheel: false },
      { type: "slider", height: 20, bottom: 6, borderColor: color("line"), textStyle: { color: color("faint") }, labelFormatter: (at) => checkpoints[Math.round(at)]?.label ?? "" },
    ],
    tooltip: {
      ...shared().tooltip,
      trigger: "item",
      formatter: ({ value }) => {
        const cell = Array.isArray(value) ? worst[value[0]] : null;
        return cell ? `${checkpoints[value[0]].label}\n${described(cell)}` : "";
      },
    },
    series: [
      {
        name: "noise floor",
        type: "line",
        step: "middle",
        showSymbol: false,
        silent: true,
        lineStyle: { color: color("floor"), type: "dashed", width: 1.5 },
        itemStyle: { color: color("floor") },
        data: worst.map((cell, index) => [index, cell && cell.floor !== null ? range.place(cell.floor) : null]),
      },
      {
        name: "error",
        type: "line",
        connectNulls: false,
        showAllSymbol: true,
        lineStyle: { color: color("reference"), width: 1, opacity: 0.55 },
        itemStyle: { color: color("reference") },
        data: worst.map((cell, index) => point(cell, index) ?? [index, null]),
        markLine: origin && {
          symbol: "none",
          silent: true,
          lineStyle: { color: color("bad"), type: "solid", width: 1.5 },
          label: {
            formatter: () => `first divergence: ${origin.label}`,
            color: color("bad"),
            position: origin.index > checkpoints.length / 2 ? "insideEndBottom" : "insideEndTop",
            rotate: 0,
            align: origin.index > checkpoints.length / 2 ? "right" : "left",
          },
          data: [{ xAxis: origin.index }],
        },
      },
    ],
  };
}

/** A pair in a few words. */
function described(cell) {
  const parts = [
    cell.error === 0 ? "identical" : `relative RMSE ${figure(cell.error)}`,
    cell.floor === null ? null : `floor ${figure(cell.floor)}`,
    positions(cell.position, cell.tokens),
    pass(cell),
    STATES[state(cell)],
  ];
  return parts.filter(Boolean).join(", ");
}

function phaseChoice(label) {
  const choice = el("select", { "aria-label": label, class: "phase" }, ...phases.map(([value, text]) => el("option", { value, selected: value === phase }, text)));
  choice.addEventListener("change", () => {
    phase = choice.value;
    for (const other of document.querySelectorAll("select.phase")) other.value = phase;
    for (const id of ["timeline", "layers", "tokens"]) draw(id);
    say(`${phases.find(([value]) => value === phase)[1]} shown`);
  });
  return choice;
}

function timelineSection() {
  const section = el("section", { id: "s-timeline" }, el("h2", {}, "Error along the dataflow"));
  if (!checkpoints.length) return section.append(el("p", {}, "No pair was compared.")), section;
  const place = chart("timeline", "Largest relative error of each checkpoint, in the order in which they are computed. Hollow: identical. Square: above the limit, as its inputs are. Triangle: adds more than noise.", timelineOption, {
    tall: true,
    described: `Timeline of ${counted(checkpoints.length, "checkpoint")}. ${report.reasons.join(". ")}`,
    onClick: ({ value }) => {
      const cell = Array.isArray(value) ? worstOfEach()[value[0]] : null;
      if (cell) choose(checkpoints[value[0]], cell.position);
    },
  });
  const box = place.querySelector(".chart");
  box.tabIndex = 0;
  box.setAttribute("aria-describedby", "timeline-keys");
  box.addEventListener("keydown", (event) => {
    const steps = { ArrowRight: 1, ArrowLeft: -1, PageDown: 17, PageUp: -17, Home: -Infinity, End: Infinity };
    if (event.key === "Enter") document.getElementById("s-checkpoint").scrollIntoView();
    if (!(event.key in steps)) return;
    event.preventDefault();
    const last = checkpoints.length - 1;
    const next = Math.max(0, Math.min(last, (selected?.index ?? 0) + steps[event.key]));
    const cell = worstOfEach()[next];
    choose(checkpoints[next], cell?.position ?? null, { scroll: false });
    say(`${checkpoints[next].label}: ${cell ? described(cell) : "not in this pass"}`);
  });
  section.append(
    el("div", { class: "bar" }, el("label", {}, "passes ", phaseChoice("Passes")), el("span", { class: "faint", id: "timeline-keys" }, "Click a point, or use the arrow keys, to see its checkpoint. Drag the slider below to zoom.")),
    place,
  );
  if (report.cells?.positions_a_line > 1) {
    section.append(el("p", { class: "faint" }, `Shortened for this file: one mark stands for ${report.cells.positions_a_line} neighbouring positions, the worst of them.`));
  }
  if (report.cells?.left_out > 0) section.append(el("p", { class: "faint" }, `${counted(report.cells.left_out, "pair")} more were compared and are not drawn.`));
  return section;
}
