// Any two methods, on the same test rows.

function drawCompareControls() {
  const choices = variantChoices(subject().stated);
  place("compare-controls").replaceChildren(
    chooser("First", "first", choices, state.first, (first) => change({ first })),
    chooser("less second", "second", choices, state.second, (second) => change({ second })),
    make("button", { type: "button", onclick: () => change({ first: state.second, second: state.first }) }, "Swap"),
  );
}

function drawComparison() {
  const { first, second } = state;
  if (!first) return place("compare-result").replaceChildren(make("p", { class: "note" }, "Nothing was run."));
  const differences = first === second ? null : lessOf(first, second);
  if (!differences) {
    return place("compare-result").replaceChildren(make("p", { class: "note" }, "Choose two different methods."));
  }
  const rows = columns().map((column, at) => ({ column, name: taskName(column), difference: differences[at] }));
  place("compare-result").replaceChildren(
    make("p", { class: "finding" }, finding(rows.at(-1))),
    make(
      "div",
      { class: "beside" },
      framed(differencePlot(rows.filter((row) => row.difference)), `Differences of ${variantName(first)} and ${variantName(second)}; the table has the values.`),
      scrolling(comparisonTable(rows), "The differences"),
    ),
    make("details", {}, make("summary", {}, "Records and commands of both"), [first, second].map(both)),
  );
}

function both(key) {
  const variant = subject().variants[key];
  return make("div", { class: "detail" }, make("h3", {}, variantName(key)), origin(variant.source.at(-1)));
}

function finding({ name, difference }) {
  const [first, second] = [state.first, state.second].map(variantName);
  const where = name.startsWith("Mean") ? `on the mean of ${subject().tasks.length} tasks` : `on ${name}`;
  if (!difference) return `There is no difference ${where} yet: a task or a draw of one of the two is missing.`;
  const sign = signOf(difference);
  const size = `${whole(difference, 1, true)} points`;
  if (difference[3] === null) return `${first} less ${second} is ${size} ${where}. Too few draws were run to test it, or t was chosen on test.`;
  if (!sign) return `${first} and ${second} are not told apart ${where}: ${size}.`;
  return `${first} is ${sign > 0 ? "ahead of" : "behind"} ${second} ${where}: ${size}.`;
}

function differencePlot(rows) {
  const points = rows.map(({ name, difference: [mean, low, high] }) => ({ name, mean, low, high }));
  return Plot.plot({
    width: room("compare-result"),
    height: 56 + 34 * points.length,
    marginLeft: 90,
    marginTop: 8,
    marginBottom: 42,
    style: chartStyle,
    x: { label: "difference in accuracy, points", labelOffset: 38, grid: true, nice: true },
    y: { label: null, domain: points.map((point) => point.name), tickSize: 0 },
    marks: [
      Plot.ruleX([0], { stroke: "var(--ink)" }),
      Plot.ruleY(points, { y: "name", x1: "low", x2: "high", stroke: "var(--blue)", strokeWidth: 2 }),
      Plot.dot(points, { y: "name", x: "mean", fill: "var(--blue)", r: 5 }),
    ],
  });
}

function comparisonTable(rows) {
  const lines = rows.map(({ name, difference }) => {
    if (!difference) return [name, "–", "–", "–", "–"];
    const [, , , p, won, lost, draws] = difference;
    const counts = won === null ? "not paired" : `${won} : ${lost}`;
    return [name, whole(difference, 1, true), probability(p), counts, draws];
  });
  return plainTable(
    "Differences in points, with 95 % intervals; draws won and lost by the first",
    ["", "Difference", "p", "Won : lost", "Draws"],
    lines,
  );
}
