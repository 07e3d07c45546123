// The table of methods and tasks. Arrow keys move in it; Enter goes to what is told of a cell.

function drawTable() {
  const metric = metricOf[state.metric];
  const there = ran();
  const shown = data.methods.filter((method) => method.key in there);
  const grid = make(
    "table",
    { class: "grid", role: "grid", "aria-labelledby": "table-title", "aria-describedby": "table-about" },
    make(
      "thead",
      {},
      make("tr", { role: "row" }, make("th", { scope: "col" }, "Method"), columns().map(heading)),
    ),
    groupsOf(shown),
    metric.key === "accuracy" ? chanceRows() : null,
  );
  grid.addEventListener("keydown", moveInTable);
  grid.addEventListener("focusin", (event) => choose(event.target.closest("td")));
  place("grid").replaceChildren(grid);
  place("table-about").textContent = aboutTable(metric);
  place("grid-legend").replaceChildren(...legend(metric));
  select(false);
  drawMissing();
}

function heading(column) {
  const mean = column === "mean" ? "mean" : "";
  return make("th", { scope: "col", class: mean }, taskName(column));
}

function groupsOf(shown) {
  const names = Object.keys(data.groups).filter((name) => shown.some((method) => method.group === name));
  return names.map((name) =>
    make(
      "tbody",
      {},
      names.length > 1
        ? make("tr", { class: "group" }, make("th", { colspan: columns().length + 1, scope: "colgroup" }, data.groups[name]))
        : null,
      shown.filter((method) => method.group === name).map(methodRow),
    ),
  );
}

function methodRow(method) {
  const key = variantKey(method);
  const reading = method.steps ? readingOf(method, state.t)?.[1] : "reads once";
  const less = key && state.less !== "none" && state.metric === "accuracy" ? lessOf(key, state.less) : null;
  const counts = key ? subject().variants[key].n : [];
  return make(
    "tr",
    { role: "row", "data-method": method.key, class: key === state.less ? "baseline" : null },
    make("th", { scope: "row" }, method.label, make("span", { class: "how" }, `${reading ?? "no fixed t"}${drawsOf(counts)}`)),
    columns().map((column, at) => cellOf(method, key, column, at, less?.[at])),
  );
}

function cellOf(method, key, column, at, difference) {
  const variant = key && subject().variants[key];
  const { digits } = metricOf[state.metric];
  const estimate = variant?.[state.metric]?.[at];
  const classes = ["cell"];
  if (column === "mean") classes.push("mean");
  if (!estimate) classes.push("none");
  if (variant && estimate && !variant.n[at][3]) classes.push("partial");
  const sign = signOf(difference);
  if (sign) classes.push(sign > 0 ? "ahead" : "behind");
  return make(
    "td",
    { class: classes.join(" "), role: "gridcell", tabindex: -1, "data-cell": `${method.key}|${column}` },
    make("span", { class: "value" }, number(estimate?.[0], digits)),
    estimate ? make("span", { class: "interval" }, interval(estimate, digits)) : null,
    difference ? make("span", { class: "difference" }, `${sign > 0 ? "▲ " : sign < 0 ? "▼ " : ""}${whole(difference, 1, true)}`) : null,
  );
}

// "; 10 draws", "; 7 of 10 draws" or "; 0–10 of 10 draws".
function drawsOf(counts) {
  if (!counts.length) return "";
  const seeds = counts.map(([seeds]) => seeds);
  const wanted = Math.max(...counts.map(([, wanted]) => wanted));
  const [low, high] = [Math.min(...seeds), Math.max(...seeds)];
  const text = low === high ? `${low}` : `${low}–${high}`;
  if (low !== wanted) return `; ${text} of ${wanted} draws`;
  return wanted === 1 ? "; 1 draw" : `; ${text} draws`;
}

function chanceRows() {
  const { chance } = subject();
  const names = ["A guess", "Always the most frequent label"];
  return make(
    "tfoot",
    {},
    names.map((name, which) =>
      make(
        "tr",
        { role: "row" },
        make("th", { scope: "row" }, name),
        columns().map((column, at) => make("td", { class: column === "mean" ? "mean" : null }, number(chance[at][which], 1))),
      ),
    ),
  );
}

function aboutTable(metric) {
  const over = metric.key === "accuracy" ? "draws of demonstrations and test rows" : "draws of demonstrations alone";
  return `${metric.label} in ${metric.unit} on the test rows: mean, and its 95 % interval over ${over}. Choose a cell to see the records and the command behind it.`;
}

function legend(metric) {
  const bound = data.choices.find((choice) => choice.key === state.t).bound;
  const texts = [];
  if (bound) texts.push(make("strong", {}, "This t is chosen on the test rows themselves: an upper bound, never a result, and never tested. "));
  texts.push(make("em", {}, "Slanted: "), "not all draws have been run yet. ");
  if (state.less !== "none") {
    texts.push(
      metric.key === "accuracy"
        ? `The lower line is the difference from ${variantName(state.less)}, in points; ▲ and ▼ mark those that are significant at the 95 % level after Holm’s correction over the tasks, their mean and the t of the tables. `
        : "Differences are shown for accuracy alone. ",
    );
  }
  if (state.calibration === "batch") texts.push("Batch calibration sees all test rows at once, so it is transductive. ");
  return texts;
}

// The cell that is chosen; the first one if none is.
function chosenCell() {
  const cells = [...place("grid").querySelectorAll("td.cell")];
  return cells.find((cell) => cell.dataset.cell === state.cell) ?? cells[0];
}

function select(focus) {
  const chosen = chosenCell();
  for (const cell of place("grid").querySelectorAll("td.cell")) {
    cell.tabIndex = cell === chosen ? 0 : -1;
    cell.setAttribute("aria-selected", cell === chosen);
  }
  if (!chosen) return place("detail").replaceChildren();
  if (focus) chosen.focus();
  const [method, column] = chosen.dataset.cell.split("|");
  place("detail").replaceChildren(...describe(methodOf[method], column));
}

function choose(cell) {
  if (cell?.dataset.cell && cell.dataset.cell !== state.cell) change({ cell: cell.dataset.cell });
}

function moveInTable(event) {
  const cell = event.target.closest("td.cell");
  if (!cell) return;
  const rows = [...place("grid").querySelectorAll("tr[data-method]")];
  const row = cell.parentElement;
  const cells = [...row.querySelectorAll("td.cell")];
  const [down, across] = [rows.indexOf(row), cells.indexOf(cell)];
  const to = {
    ArrowLeft: [down, across - 1],
    ArrowRight: [down, across + 1],
    ArrowUp: [down - 1, across],
    ArrowDown: [down + 1, across],
    Home: [down, 0],
    End: [down, cells.length - 1],
    PageUp: [0, across],
    PageDown: [rows.length - 1, across],
  }[event.key];
  if (event.key === "Enter") place("detail").focus();
  const next = to && rows[to[0]]?.querySelectorAll("td.cell")[to[1]];
  if (to || event.key === "Enter") event.preventDefault();
  next?.focus();
}

// The methods without a run, with the commands that run them.
function drawMissing() {
  const { missing } = subject();
  const rows = missing.map(([label, command]) => make("div", {}, make("p", {}, label), code(command)));
  place("missing").replaceChildren(
    ...(missing.length
      ? [make("details", {}, make("summary", {}, `${missing.length} methods have not been run on this model and scale`), rows)]
      : []),
  );
}
