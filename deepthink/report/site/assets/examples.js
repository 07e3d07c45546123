// One test row of one run: the probability of every candidate after every scored t.

function runChoices() {
  const kinds = new Map();
  for (const key of Object.keys(subject().examples)) {
    const [method, task] = key.split("|");
    if (!kinds.has(task)) kinds.set(task, []);
    kinds.get(task).push([key, `${data.tasks[task]}: ${methodOf[method].label}`]);
  }
  return [...kinds].map(([task, choices]) => ({ group: data.tasks[task], choices }));
}

function chosenExample() {
  const shown = subject().examples[state.run];
  const row = Math.min(Math.max(0, Number.parseInt(state.row, 10) || 0), (shown?.gold.length ?? 1) - 1);
  return { shown, row };
}

function best(scores) {
  return scores.indexOf(Math.max(...scores));
}

function softmax(scores) {
  const most = Math.max(...scores);
  const raised = scores.map((score) => Math.exp(score - most));
  const sum = raised.reduce((a, b) => a + b, 0);
  return raised.map((value) => value / sum);
}

function drawExampleControls() {
  place("examples-about").textContent = `The scores that the model gave, before any calibration, for the first ${data.counts.rows} test rows of the first draw of each method. A row is named by its place among the test rows that the job drew; the sentences themselves are not part of this page.`;
  place("examples-controls").replaceChildren(
    chooser("Run", "run", runChoices(), state.run, (run) => change({ run })),
  );
}

function drawExample() {
  const { shown, row } = chosenExample();
  if (!shown) {
    return place("examples-result").replaceChildren(make("p", { class: "note" }, "No run of this model and scale has stored scores."));
  }
  place("examples-result").replaceChildren(
    rowStrip(shown, row),
    make("p", { class: "finding", "aria-live": "polite" }, exampleFinding(shown, row)),
    ...(shown.steps.length > 1
      ? [framed(candidatePlot(shown, row), `Probability of each candidate over t, row ${row}; the table has the values.`)]
      : []),
    scrolling(candidateTable(shown, row), "Probabilities of the candidates"),
    make("p", { class: "small" }, `Record of seed ${shown.draw[0]}, order ${shown.draw[1]}. With the data at hand, this prints the row with its text:`),
    code(`import deepthink\nframe = deepthink.predictions("RESULTS/${shown.record}", texts=True)\nprint(frame[(frame.split == "test") & (frame["index"] == ${row})])`),
  );
}

// A button for each row: whether it was right at the first t, and at the last.
function rowStrip(shown, row) {
  const buttons = shown.gold.map((gold, at) => {
    const right = [shown.scores[at][0], shown.scores[at].at(-1)].map((scores) => best(scores) === gold);
    const marks = right.map((each) => (each ? "✓" : "✗")).join("");
    const kind = right[0] === right[1] ? (right[0] ? "right" : "wrong") : right[1] ? "gained" : "lost";
    return make(
      "button",
      { type: "button", class: `row ${kind}`, "aria-pressed": String(at === row), tabindex: at === row ? 0 : -1, "data-row": at, "aria-label": `Row ${at}: ${kind}`, onclick: () => toRow(at) },
      make("span", {}, String(at)),
      make("span", { class: "marks", "aria-hidden": "true" }, shown.steps.length > 1 ? marks : marks[0]),
    );
  });
  const several = shown.steps.length > 1 ? `first mark at t = ${shown.steps[0]}, second at t = ${shown.steps.at(-1)}` : "at t = 1";
  const strip = make("div", { class: "strip", role: "toolbar", "aria-label": "Test rows" }, buttons);
  strip.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!move) return;
    event.preventDefault();
    if (shown.gold[row + move] !== undefined) toRow(row + move);
  });
  return make("div", {}, make("p", { class: "small" }, `Right (✓) or wrong (✗), ${several}:`), strip);
}

function toRow(row) {
  change({ row: String(row) });
  place("examples-result").querySelector(`[data-row="${row}"]`).focus();
}

function exampleFinding(shown, row) {
  const answers = shown.scores[row].map(best);
  const gold = shown.labels[shown.gold[row]];
  const [first, last] = [shown.labels[answers[0]], shown.labels[answers.at(-1)]];
  if (shown.steps.length === 1) return `Row ${row}: the answer is “${first}”, and the gold label is “${gold}”.`;
  const turn = first === last ? `stays “${first}”` : `goes from “${first}” to “${last}”`;
  return `Row ${row}: between t = ${shown.steps[0]} and t = ${shown.steps.at(-1)} the answer ${turn}; the gold label is “${gold}”.`;
}

function candidateColour(at) {
  return `var(${colours[(at + 1) % colours.length]})`;
}

function candidatePlot(shown, row) {
  const points = shown.scores[row].flatMap((scores, place) =>
    softmax(scores).map((p, at) => ({ t: shown.steps[place], p, at, label: shown.labels[at] + (at === shown.gold[row] ? " (gold)" : "") })),
  );
  const ends = points.filter((point) => point.t === shown.steps.at(-1));
  return Plot.plot({
    width: room("examples-result"),
    height: 260,
    marginRight: 130,
    marginLeft: 48,
    marginBottom: 42,
    style: chartStyle,
    x: { label: "t, readings of the demonstrations", labelOffset: 38, labelAnchor: "center", type: "log", ticks: shown.steps, tickFormat: String },
    y: { label: "probability among the candidates", domain: [0, 1], grid: true },
    marks: [
      Plot.lineY(points, { x: "t", y: "p", z: "at", stroke: (point) => candidateColour(point.at), strokeWidth: (point) => (point.at === shown.gold[row] ? 3 : 1.5) }),
      Plot.dot(points, { x: "t", y: "p", fill: (point) => candidateColour(point.at), symbol: (point) => marks[point.at % marks.length], r: 3.5 }),
      Plot.text(apart(ends, 0.085), { x: "t", y: "at", text: "label", dx: 10, textAnchor: "start", fill: "var(--ink)" }),
    ],
  });
}

// The same labels, moved up where two would touch: each at `at`, at least `gap` above the next.
function apart(ends, gap) {
  let below = -Infinity;
  return ends
    .toSorted((a, b) => a.p - b.p)
    .map((end) => {
      below = Math.max(end.p, below + gap);
      return { ...end, at: below };
    });
}

function candidateTable(shown, row) {
  const probabilities = shown.scores[row].map(softmax);
  const rows = shown.labels.map((label, at) => [
    make("span", {}, label, at === shown.gold[row] ? make("span", { class: "tag" }, "gold") : null),
    ...shown.scores[row].map((scores, place) => {
      const predicted = best(scores) === at;
      const text = make("span", { class: predicted ? "predicted" : null }, `${predicted ? "▸ " : ""}${probabilities[place][at].toFixed(2)}`);
      return make("span", { title: `score ${number(scores[at], 3)}` }, text, make("span", { class: "interval" }, number(scores[at], 2)));
    }),
  ]);
  const caption = "Probability among the candidates, and below it the score (the log-probability that the model gave). ▸ marks the answer.";
  return plainTable(caption, ["Candidate", ...shown.steps.map((step) => `t = ${step}`)], rows);
}
