// Why; all checkpoints as a table; coverage; the facts of both runs.

function whySection() {
  const section = el("section", { id: "s-why" }, el("h2", {}, "Why"));
  const explained = report.explanation ?? report.explanations ?? null;
  const explanations = explained ? [explained].flat() : [];
  const causes = report.causes ?? explanations.flatMap((each) => each.causes ?? []);
  for (const each of explanations) if (each.summary) section.append(el("p", {}, shown(each.summary, 600)));
  for (const cause of causes) section.append(causeCard(cause));
  if (firstDivergence && !causes.length) section.append(el("p", {}, "No known mistake was shown to make these numbers."));
  const origins = report.origins ?? [];
  if (origins.length) section.append(el("h3", {}, counted(origins.length, "place") + " where disagreement begins"), el("ul", {}, ...origins.slice(0, 50).map(originItem)));
  if (firstDivergence) {
    section.append(el("h3", {}, "The first divergence"), facts([
      ["checkpoint", origin ? link(origin, firstDivergence.token_idx) : shown(firstDivergence.checkpoint)],
      ["output", `relative RMSE ${figure(num(firstDivergence.pair.relative_rmse))}${firstDivergence.pair.max_nmse === null ? "" : `, limit ${figure(Math.sqrt(num(firstDivergence.pair.max_nmse)))}`}`],
      ...firstDivergence.inputs.map((input) => ["input", el("span", {}, byName.has(input.checkpoint) ? link(byName.get(input.checkpoint)) : shown(input.checkpoint), num(input.nmse) === 0 ? " is identical" : ` agrees to ${figure(num(input.relative_rmse))}`)]),
    ]));
  }
  const errors = report.findings.filter(({ severity }) => severity === "error");
  for (const finding of errors) section.append(findingCard(finding));
  if (!firstDivergence && !errors.length && !origins.length) section.append(el("p", {}, "There is nothing to explain."));
  return section;
}

function causeCard(cause) {
  const numbers = (list) => (list ?? []).map(({ name, value, looks_like: like }) => `${shown(name, 80)} ${figure(num(value))}${like ? ` (${shown(like, 80)})` : ""}`).join("; ") || null;
  return el("div", { class: `card ${cause.benign ? "" : "bad"}` },
    el("p", {}, el("strong", {}, shown(cause.claim, 600))),
    facts([
      ["rule", `${shown(cause.code, 20)} ${shown(cause.name, 80)}: parity explain ${shown(cause.code, 20)}`],
      ["certainty", cause.certainty && `${shown(cause.certainty, 40)}${cause.benign ? "; undone by what is computed from it" : ""}`],
      ["fitted", numbers(cause.parameters)],
      ["unexplained", cause.residual !== undefined && cause.residual !== null ? `${figure(num(cause.residual))} with it, ${figure(num(cause.without))} without; rounding here is ${figure(num(cause.floor))}` : null],
      ["evidence", numbers(cause.evidence)],
      ["to make sure", cause.confirm && shown(cause.confirm, 600)],
      ["what to change", cause.fix && shown(cause.fix, 600)],
    ]));
}

function originItem(origin) {
  const names = origin.checkpoints.map((name) => (byName.has(name) ? link(byName.get(name), origin.token_idx) : shown(name)));
  const parts = [
    origin.layers?.length > 1 ? `in ${origin.in_all_layers ? "all" : ""} ${counted(origin.layers.length, "layer")}` : null,
    `at position ${origin.token_idx}`,
    origin.local ? `adds ${figure(num(origin.local.error))}, explained ${figure(num(origin.local.explained))}, own rounding ${figure(num(origin.local.own))}` : null,
    origin.undone_by ? `undone by ${shown(origin.undone_by)}` : null,
    origin.uncaptured?.length ? `between them was not captured: ${origin.uncaptured.slice(0, 8).map((name) => shown(name, 40)).join(", ")}` : null,
    origin.filter ? `to narrow it down: ORCH_LOG_FILTER=${shown(origin.filter, 200)}` : null,
  ].filter(Boolean);
  return el("li", {}, ...names.flatMap((name, at) => (at ? [", ", name] : [name])), ` ${parts.join("; ")}`);
}

function findingCard(finding) {
  return el("div", { class: `card ${finding.severity === "error" ? "bad" : ""}` },
    el("p", {}, el("strong", {}, `${finding.severity} ${finding.code} ${finding.name.replaceAll("-", " ")}`), finding.side === "both" ? "" : `, ${finding.side}`, finding.count > 1 ? `, ${count(finding.count)} times` : ""),
    el("ul", {}, ...finding.examples.map((example) => el("li", {}, shown(example, 600)))),
    finding.help ? el("p", { class: "faint" }, shown(finding.help, 600)) : null);
}

const COLUMNS = [
  ["checkpoint", (each) => each.name, (each) => link(each)],
  ["relative RMSE", (each) => num(each.row.worst_relative_rmse), (each) => figure(num(each.row.worst_relative_rmse))],
  ["limit", (each) => num(each.row.max_nmse) ?? -1, (each) => figure(each.row.max_nmse === null ? null : Math.sqrt(num(each.row.max_nmse)))],
  ["largest difference", (each) => num(each.row.max_abs_diff) ?? -1, (each) => figure(num(each.row.max_abs_diff))],
  ["cosine", (each) => -(num(each.row.min_cosine) ?? 2), (each) => (each.row.min_cosine === null ? "–" : num(each.row.min_cosine).toFixed(6))],
  ["position", (each) => each.row.worst_token_idx, (each) => String(each.row.worst_token_idx)],
  ["pairs", (each) => each.row.pairs, (each) => count(each.row.pairs)],
  ["above", (each) => each.row.above_limit, (each) => count(each.row.above_limit)],
];

function tableSection() {
  const section = el("section", { id: "s-table" }, el("h2", {}, "All checkpoints"));
  if (!checkpoints.length) return section.append(el("p", {}, "No pair was compared.")), section;
  const body = el("tbody");
  const rows = checkpoints.map((each) => ({
    each,
    node: el("tr", { class: each.row.above_limit > 0 ? "above" : null }, ...COLUMNS.map(([heading, , text], at) => el("td", { class: `${at ? "n" : ""} ${["cosine", "limit", "position"].includes(heading) ? "optional" : ""}` }, text(each)))),
  }));
  const show = (list) => body.replaceChildren(...list.map(({ node }) => node));
  let sorted = { column: null, down: true };
  const headings = COLUMNS.map(([heading, key], at) => {
    const cell = el("th", { scope: "col", class: `${at ? "n" : ""} ${["cosine", "limit", "position"].includes(heading) ? "optional" : ""}`, "aria-sort": "none" }, el("button", { type: "button", on: { click: () => {
      sorted = { column: at, down: sorted.column === at ? !sorted.down : at > 0 };
      const sign = sorted.down ? -1 : 1;
      rows.sort((a, b) => sign * (at ? key(a.each) - key(b.each) : a.each.index - b.each.index) || a.each.index - b.each.index);
      for (const other of headings) other.setAttribute("aria-sort", "none");
      cell.setAttribute("aria-sort", sorted.down ? "descending" : "ascending");
      show(rows);
    } } }, heading));
    return cell;
  });
  const filter = el("input", { type: "search", "aria-label": "Show only names that contain" });
  const onlyAbove = el("input", { type: "checkbox" });
  const narrow = () => {
    const text = filter.value.trim().toLowerCase();
    let left = 0;
    for (const { each, node } of rows) {
      node.hidden = !(each.name.toLowerCase().includes(text) && (!onlyAbove.checked || each.row.above_limit > 0));
      left += node.hidden ? 0 : 1;
    }
    say(`${counted(left, "checkpoint")} shown`);
  };
  filter.addEventListener("input", narrow);
  onlyAbove.addEventListener("change", narrow);
  show(rows);
  section.append(
    el("div", { class: "bar" }, el("label", {}, "names with ", filter), el("label", {}, onlyAbove, " only above the limit")),
    el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "All checkpoints" }, el("table", {}, el("thead", {}, el("tr", {}, ...headings)), body)));
  return section;
}

function coverageSection() {
  const { coverage, tokens, limit, alignment } = report;
  const on = coverage.rests_on;
  const section = el("section", { id: "s-coverage" }, el("h2", {}, "What was compared, and what was not"), facts([
    ["pairs", `${count(coverage.compared)} compared of ${count(coverage.pairs - coverage.token_pairs)}; ${count(coverage.identical)} bit-identical, ${count(coverage.above_limit)} above the limit`],
    ["resting on", [[on.all_elements, "all elements"], [on.sketches, "sketches of the whole tensors"], [on.first_elements, "first elements only"], [on.statistics, "statistics"]].filter(([pairs]) => pairs).map(([pairs, what]) => `${what}: ${count(pairs)}`).join("; ") || "nothing"],
    ["tokens", tokens.differences.length ? `different from position ${tokens.differences[0].token_idx} on: ${tokens.differences[0].reference} in the reference, ${tokens.differences[0].candidate} in the candidate` : `${tokens.status}, ${counted(tokens.equal_positions, "position")} with the same id`],
    ["past the point where tokens part", coverage.past_inputs ? counted(coverage.past_inputs, "pair") : null],
    ["limit", `${shown(limit.reason, 400)}${limit.weights ? `; ${limit.weights} weights` : ""}${limit.assumed ? " (assumed)" : ""}`],
    ["undone first", alignment?.undone?.length ? alignment.undone.map(({ what, pairs }) => `${shown(what, 200)} (${counted(pairs, "pair")})`).join("; ") : null],
    ["name maps", alignment?.maps?.length ? alignment.maps.map(({ side, map }) => `${side}: ${shown(map, 80)}`).join("; ") : null],
  ]));
  for (const [side, unpaired] of [["candidate", coverage.missing_in_candidate], ["reference", coverage.missing_in_reference]]) {
    if (unpaired.records) section.append(listed(`Missing in the ${side}: ${counted(unpaired.records, "record")}`, unpaired.groups.map(({ pattern, names, records }) => `${shown(pattern)}: ${counted(records, "record")}${names > 1 ? ` in ${count(names)} layers` : ""}`)));
  }
  if (coverage.shape_mismatches) section.append(listed(`Different shapes: ${counted(coverage.shape_mismatches, "pair")}`, coverage.shape_mismatch_list.map(({ checkpoint, token_idx: at, reference, candidate }) => `${shown(checkpoint)} at position ${at}: [${reference.join(", ")}] in the reference, [${candidate.join(", ")}] in the candidate`)));
  if (coverage.unusable) section.append(listed(`Without usable numbers: ${counted(coverage.unusable, "pair")}`, coverage.unusable_list.map(({ checkpoint, token_idx: at, reason }) => `${shown(checkpoint)} at position ${at}: ${shown(reason, 300)}`)));
  for (const finding of report.findings.filter(({ severity }) => severity !== "error")) section.append(findingCard(finding));
  return section;
}

function listed(title, items) {
  return el("details", { open: items.length < 6 }, el("summary", {}, title), el("ul", {}, ...items.slice(0, 200).map((item) => el("li", {}, item))));
}

function runsSection() {
  const of = (trace) => new Map([
    ["trace", shown(trace.path, 200)],
    ["team", trace.teams.map((team) => shown(team, 60)).join(", ") || "–"],
    ["records", count(trace.records)],
    ["lines that are no records", trace.malformed_lines ? count(trace.malformed_lines) : null],
    ["positions", trace.positions ? `${trace.positions[0]} to ${trace.positions[1]}` : null],
    ["model file", trace.model?.file && shown(trace.model.file, 120)],
    ["SHA-256", trace.model?.sha256 && shown(trace.model.sha256, 64)],
    ["architecture", trace.model?.architecture && shown(trace.model.architecture, 60)],
    ["layers", trace.model?.layers ? String(trace.model.layers) : null],
    ["weights", trace.model?.weights && shown(trace.model.weights, 40)],
    ...trace.run.map(([name, value]) => [shown(name, 60), shown(value, 200)]),
  ]);
  const [a, b] = [of(report.reference), of(report.candidate)];
  const names = [...new Set([...a.keys(), ...b.keys()])].filter((name) => a.get(name) || b.get(name));
  return el("section", { id: "s-runs" }, el("h2", {}, "The two runs"), el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "The two runs" }, el("table", {},
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, ""), el("th", { scope: "col" }, "reference"), el("th", { scope: "col" }, "candidate"))),
    el("tbody", {}, ...names.map((name) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, a.get(name) ?? "–"), el("td", {}, b.get(name) ?? "–")))))));
}
