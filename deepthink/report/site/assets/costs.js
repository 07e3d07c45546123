// Accuracy against operations, for every method that has a number on every task.

function drawCosts() {
  const { costs, tasks } = subject();
  const { answers } = data.counts;
  place("costs-about").textContent = `Mean accuracy over ${tasks.length} tasks against the operations of ${answers} answers, with everything that is done before the first one. Blue marks reread their demonstrations; filled marks have scores that were calibrated from dev. The numbered line is the front: nothing that costs as much or less is more accurate.`;
  if (!costs.length) {
    return place("costs-chart").replaceChildren(make("p", { class: "note" }, "No method has a number on every task yet."));
  }
  const points = costs.map((cost) => ({ ...cost, mean: cost.accuracy[0], name: costName(cost) }));
  const front = points.filter((point) => point.front).sort((a, b) => a.operations - b.operations);
  const chart = Plot.plot({
    width: room("costs-chart"),
    height: 420,
    marginLeft: 48,
    marginBottom: 42,
    marginRight: 24,
    style: chartStyle,
    x: { label: `operations for ${answers} answers`, labelOffset: 38, labelAnchor: "center", type: "log", grid: true, tickFormat: power, ticks: 4 },
    y: { label: "mean accuracy, %", grid: true, nice: true },
    marks: [
      Plot.lineY(front, { x: "operations", y: "mean", stroke: "var(--soft)", strokeDasharray: "3 3" }),
      Plot.dot(points, { x: "operations", y: "mean", r: 5, stroke: costColour, fill: (point) => (point.calibrated ? costColour(point) : "var(--page)"), strokeWidth: 1.6 }),
      Plot.text(front, { x: "operations", y: "mean", text: (_, at) => String(at + 1), dy: -13, fontWeight: 600, fill: "var(--ink)", stroke: "var(--page)" }),
      Plot.tip(points, Plot.pointer({ x: "operations", y: "mean", title: costTitle, fill: "var(--raised)", stroke: "var(--line)" })),
    ],
  });
  const caption = "Every method, the cheapest first";
  const rows = points.toSorted((a, b) => a.operations - b.operations).map(costRow);
  const header = ["Method", "Mean accuracy, %", "Draws", "Operations before the first answer", "for each answer", "On the front"];
  place("costs-chart").replaceChildren(
    make(
      "div",
      { class: "beside" },
      framed(chart, `Accuracy against operations of ${points.length} methods; the table below has the values.`),
      make("div", {}, make("h3", {}, "On the front"), frontList(front)),
    ),
    make("details", {}, make("summary", {}, "The numbers as a table"), scrolling(plainTable(caption, header, rows), caption)),
  );
}

function frontList(front) {
  const items = front.map((point) => make("li", {}, point.name, make("span", { class: "interval" }, `${whole(point.accuracy, 1)} %, ${giga(point.operations)} operations`)));
  return make("ol", { class: "front" }, items);
}

function costColour(point) {
  return point.thinking ? "var(--blue)" : "var(--soft)";
}

function costName(cost) {
  return cost.calibrated ? `${cost.label}, calibrated` : cost.label;
}

function power(value) {
  const exponent = Math.floor(Math.log10(value) + 1e-9);
  const digits = [...String(exponent)].map((digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit]).join("");
  const first = Math.round(value / 10 ** exponent);
  return first === 1 ? `10${digits}` : `${first}·10${digits}`;
}

function costTitle(point) {
  return `${point.name}\n${whole(point.accuracy, 1)} %, ${point.n} draws\n${giga(point.operations)} operations`;
}

function giga(value) {
  return `${(value / 1e9).toLocaleString("en", { maximumSignificantDigits: 3 })}·10⁹`;
}

function costRow(point) {
  return [point.name, whole(point.accuracy, 1), point.n, giga(point.before), giga(point.query), point.front ? "yes" : ""];
}
