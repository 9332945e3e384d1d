// Histograms of one pair, its error along the axes, its worst elements.

function histograms(inspection) {
  const grid = el("div", { class: "charts" });
  const { values, differences } = inspection;
  if (values) {
    const [from, to] = [num(values.from), num(values.to)];
    const width = (to - from) / values.reference.length;
    const names = values.reference.map((_, bin) => figure(from + (bin + 0.5) * width));
    grid.append(chart("values", `Values of both sides: ${counted(inspection.elements, "element")} from ${figure(from)} to ${figure(to)}. Counts on a logarithmic scale.`, () => barsOption(names, [
      ["reference", "reference", values.reference],
      ["candidate", "candidate", values.candidate],
    ], (bin) => `${figure(from + bin * width)} to ${figure(from + (bin + 1) * width)}`), { described: "Histogram of the values of both sides; the counts are in the table below" }));
  }
  if (differences) {
    const edge = (bin) => 10 ** (differences.from_log10 + bin / differences.bins_a_decade);
    const names = ["0", ...differences.counts.map((_, bin) => figure(edge(bin)))];
    grid.append(chart("differences", `Absolute differences: ${counted(differences.equal, "element")} equal.`, () => barsOption(names, [
      ["elements", "doubtful", [differences.equal, ...differences.counts]],
    ], (bin) => (bin === 0 ? "equal" : `${figure(edge(bin - 1))} to ${figure(edge(bin))}`)), { described: "Histogram of absolute differences; the counts are in the table below" }));
  }
  const rows = [];
  values?.reference.forEach((reference, bin) => {
    const width = (num(values.to) - num(values.from)) / values.reference.length;
    if (reference || values.candidate[bin]) rows.push([figure(num(values.from) + bin * width), count(reference), count(values.candidate[bin])]);
  });
  const differing = differences ? [["0", count(differences.equal)], ...differences.counts.map((n, bin) => [figure(10 ** (differences.from_log10 + bin / differences.bins_a_decade)), count(n)])] : [];
  return el("div", {}, el("h3", {}, "Distributions"), grid, el("details", {}, el("summary", {}, "The counts as tables"),
    el("div", { class: "charts" },
      table(["values from", "reference", "candidate"], rows, { id: "value-counts" }),
      table(["differences from", "elements"], differing, { id: "difference-counts" }))));
}

function barsOption(names, series, bin) {
  return {
    grid: { left: 54, right: 12, top: series.length > 1 ? 30 : 10, bottom: 28 },
    legend: series.length > 1 ? { top: 0, textStyle: { color: color("faint") } } : undefined,
    xAxis: axis({ type: "category", data: names, splitLine: { show: false } }),
    // Half an element is where an empty bin would stand.
    yAxis: axis({ type: "log", min: 0.5, startValue: 0.5, axisLabel: { formatter: (value) => (value < 1 ? "0" : count(value)) } }),
    tooltip: {
      ...shared().tooltip,
      trigger: "axis",
      axisPointer: { type: "shadow" },
      formatter: (marks) => [bin(marks[0].dataIndex), ...marks.map(({ seriesName, dataIndex, seriesIndex }) => `${seriesName}: ${count(series[seriesIndex][2][dataIndex])}`)].join("\n"),
    },
    series: series.map(([name, role, counts], at) => ({
      name,
      type: "bar",
      barGap: "-100%",
      barCategoryGap: "5%",
      itemStyle: { color: color(role), opacity: series.length > 1 ? 0.6 : 0.9, decal: at ? { symbol: "rect", dashArrayX: [1, 0], dashArrayY: [2, 4], rotation: -0.8, color: color("page") } : undefined },
      data: counts.map((value) => (value === 0 ? null : value)),
    })),
  };
}

/** Decibels of NMSE as a relative error. */
const fromDecibels = (decibels) => (decibels === null ? 0 : 10 ** (decibels / 20));
const span = (name, at, group, length) => (group > 1 ? `${name}s ${at * group} to ${Math.min((at + 1) * group, length) - 1}` : `${name} ${at}`);

function along(inspection) {
  if (!inspection.axes.length && !inspection.map) return el("p", { class: "faint" }, "Where along its axes the error lies is not known: not all elements are in the traces.");
  const grid = el("div", { class: "charts" });
  for (const each of inspection.axes) {
    const errors = each.nmse_db.map(fromDecibels);
    const limits = logRange(errors);
    const name = shown(each.name, 20);
    const worst = errors.indexOf(Math.max(...errors));
    grid.append(chart(`axis-${each.name}`, `Relative error by ${name}${each.group > 1 ? `, ${each.group} a point` : ""}; the worst: ${span(name, worst, each.group, each.length)}, ${figure(errors[worst])}.`, () => ({
      grid: { left: 58, right: 12, top: 10, bottom: 40 },
      xAxis: axis({ type: "category", data: errors.map((_, at) => String(at * each.group)), name, nameLocation: "middle", nameGap: 22, splitLine: { show: false } }),
      yAxis: logAxis(limits),
      tooltip: { ...shared().tooltip, formatter: ({ dataIndex }) => `${span(name, dataIndex, each.group, each.length)}\nrelative error ${figure(errors[dataIndex])}` },
      series: [{ type: errors.length > 40 ? "line" : "bar", symbolSize: 4, itemStyle: { color: color("candidate") }, lineStyle: { width: 1 }, data: errors.map(limits.place) }],
    }), { height: 190 }));
  }
  if (inspection.map) grid.append(errorMap(inspection.map));
  return el("div", {}, el("h3", {}, "Where along the axes"), grid);
}

function errorMap(map) {
  const [rows, columns] = map.lengths.map((length, at) => Math.ceil(length / map.groups[at]));
  const [row, column] = map.names.map((name) => shown(name, 20));
  const marks = map.nmse_db.map((decibels, at) => ({ at, error: fromDecibels(decibels) }));
  return chart("axes-map", `Relative error by ${row} and ${column}.`, () => {
    const errors = marks.map(({ error }) => error).filter((error) => error > 0);
    const highest = errors.length ? Math.log10(Math.max(...errors)) : 0;
    const lowest = Math.min(errors.length ? Math.log10(Math.min(...errors)) : -1, highest - 1);
    return {
      grid: { left: 8, right: 12, top: 8, bottom: 70, containLabel: true },
      xAxis: axis({ type: "category", data: Array.from({ length: columns }, (_, at) => String(at * map.groups[1])), name: column, nameLocation: "middle", nameGap: 22, splitLine: { show: false } }),
      yAxis: axis({ type: "category", data: Array.from({ length: rows }, (_, at) => String(at * map.groups[0])), name: row, inverse: true, splitLine: { show: false } }),
      visualMap: heat(lowest, highest, { text: [figure(10 ** highest), figure(10 ** lowest)], dimension: 2 }),
      tooltip: { ...shared().tooltip, formatter: ({ data }) => `${span(row, data.value[1], map.groups[0], map.lengths[0])}, ${span(column, data.value[0], map.groups[1], map.lengths[1])}\nrelative error ${figure(data.error)}` },
      series: [{ type: "heatmap", progressive: 4000, data: marks.map(({ at, error }) => ({ value: [at % columns, Math.floor(at / columns), error > 0 ? Math.log10(error) : lowest], error })) }],
    };
  }, { height: Math.max(220, Math.min(rows, 32) * 12 + 100) });
}

function table(headings, rows, { id = null, numeric = true } = {}) {
  return el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": headings.join(", ") }, el("table", { id },
    el("thead", {}, el("tr", {}, ...headings.map((heading, at) => el("th", { scope: "col", class: at && numeric ? "n" : null }, heading)))),
    el("tbody", {}, ...rows.map((row) => el("tr", {}, ...row.map((text, at) => el("td", { class: at && numeric ? "n" : null }, text)))))));
}

function elements(pair) {
  const grid = el("div", { class: "charts" });
  const row = (at, a, b) => [`[${at.join(", ")}]`, precise(a), precise(b), figure(b - a)];
  if (pair.worst_elements.length) {
    grid.append(el("div", {}, el("h3", {}, "Largest differences"), table(["at", "reference", "candidate", "difference"], pair.worst_elements.map(({ at, reference, candidate }) => row(at, num(reference), num(candidate))), { id: "worst-elements" })));
  }
  const shownValues = Math.min(pair.reference_values.length, pair.candidate_values.length);
  if (shownValues) {
    grid.append(el("div", {}, el("h3", {}, "First values"), table(["element", "reference", "candidate", "difference"], Array.from({ length: shownValues }, (_, at) => row([at], num(pair.reference_values[at]), num(pair.candidate_values[at]))))));
  }
  return grid;
}
