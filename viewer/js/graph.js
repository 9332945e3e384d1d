// The dataflow around the origin: what agrees on the way in, what does not on the way out.

/** Checkpoints within a few steps of the middle, with the column that each belongs to. */
function neighbourhood(middle) {
  const column = new Map([[middle.index, 0]]);
  const walk = (direction, steps) => {
    let edge = [middle.index];
    for (let step = 1; step <= steps; step++) {
      const next = [];
      for (const { from, to } of report.edges ?? []) {
        const [here, there] = direction > 0 ? [from, to] : [to, from];
        if (edge.includes(here) && !column.has(there)) {
          column.set(there, direction * step);
          next.push(there);
        }
      }
      edge = next.slice(0, 12);
    }
  };
  walk(-1, 2);
  walk(1, 3);
  // What else flows into what comes after, so that it is seen to agree.
  const beside = new Set((report.edges ?? []).filter(({ from, to }) => column.get(to) > 0 && !column.has(from)).map(({ from }) => from));
  for (const index of beside) {
    // Left of everything that it flows into, so that no arrow points backwards.
    const targets = report.edges.filter(({ from, to }) => from === index && column.has(to) && !beside.has(to));
    column.set(index, Math.min(...targets.map(({ to }) => column.get(to))) - 1);
  }
  return column;
}

function graphSection() {
  const middle = origin ?? checkpoints.reduce((worst, each) => (!worst || num(each.row.worst_nmse) > num(worst.row.worst_nmse) ? each : worst), null);
  const section = el("section", { id: "s-graph" }, el("h2", {}, origin ? "Dataflow around the first divergence" : "Dataflow around the largest error"));
  const column = middle ? neighbourhood(middle) : new Map();
  if (column.size < 2) {
    section.append(el("p", {}, "Nothing that is computed from another compared checkpoint is known here."));
    return section;
  }
  const at = firstDivergence?.token_idx ?? middle.row.worst_token_idx;
  const cellOf = (index) =>
    cells.find((cell) => cell.checkpoint === index && cell.position <= at && at < cell.position + cell.tokens) ??
    cells.find((cell) => cell.checkpoint === index);
  const disagrees = (index) => {
    const cell = cellOf(index);
    return Boolean(cell && (cell.above || state(cell) === "bad"));
  };
  const edges = (report.edges ?? []).filter(({ from, to }) => column.has(from) && column.has(to));
  const option = () => {
    const columns = [...new Set(column.values())].sort((a, b) => a - b);
    const inColumn = columns.map((which) => [...column].filter(([, own]) => own === which).map(([index]) => index).sort((a, b) => a - b));
    const tallest = Math.max(...inColumn.map((members) => members.length));
    const narrow = innerWidth < 700;
    const nodes = inColumn.flatMap((members, x) => members.map((index, y) => {
      const cell = cellOf(index);
      const across = x;
      const along = (y + 0.5) * (tallest / members.length);
      return {
        name: String(index),
        value: narrow ? [along, -across] : [across, -along],
        symbol: index === middle.index ? "diamond" : "circle",
        symbolSize: index === middle.index ? 26 : 15,
        itemStyle: { color: color(cell ? state(cell) : "good") },
        label: {
          show: true,
          position: "bottom",
          color: color("text"),
          fontSize: 11,
          lineHeight: 14,
          formatter: () => `${shown(checkpoints[index].name, 24)}\n${cell ? (cell.error === 0 ? "identical" : figure(cell.error)) : ""}`,
        },
      };
    }));
    return {
      tooltip: { ...shared().tooltip, formatter: ({ dataType, name }) => (dataType === "node" && cellOf(Number(name)) ? `${checkpoints[name].label}\n${described(cellOf(Number(name)))}` : "") },
      grid: { left: 70, right: 70, top: 24, bottom: 52 },
      xAxis: { type: "value", show: false, ...(narrow ? { min: 0, max: tallest } : { min: 0, max: columns.length - 1 }) },
      yAxis: { type: "value", show: false, ...(narrow ? { min: 1 - columns.length, max: 0 } : { min: -tallest, max: 0 }) },
      series: [{
        type: "graph",
        coordinateSystem: "cartesian2d",
        edgeSymbol: ["none", "arrow"],
        edgeSymbolSize: 8,
        data: nodes,
        links: edges.map(({ from, to }) => ({
          source: String(from),
          target: String(to),
          lineStyle: { color: color(disagrees(from) ? "bad" : "good"), width: 2, type: disagrees(from) ? "dashed" : "solid", curveness: 0.06 },
        })),
      }],
    };
  };
  section.append(
    chart("graph", `At position ${at}. Green and solid: what flows here agrees. Red and dashed: it does not.`, option, {
      tall: true,
      described: "Dataflow graph; the same edges are in the list below",
      onClick: ({ dataType, name }) => dataType === "node" && choose(checkpoints[name], cellOf(Number(name))?.position ?? null),
    }),
    el("details", {}, el("summary", {}, "The edges as a list"), el("ul", {}, ...edges.map(({ from, to }) => {
      const cell = cellOf(from);
      return el("li", {}, link(checkpoints[from]), " → ", link(checkpoints[to]), `: ${disagrees(from) ? "disagrees" : "agrees"}${cell ? `, ${described(cell)}` : ""}`);
    }))),
  );
  return section;
}

/** A link to a checkpoint. */
function link(checkpoint, position = null) {
  const suffix = position === null ? "" : `@${position}`;
  return el("a", { class: "name", dir: "ltr", href: `#${address(checkpoint)}${suffix}`, title: shown(checkpoint.name, 300) }, shown(checkpoint.name));
}
