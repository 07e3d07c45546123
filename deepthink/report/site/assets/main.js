// The bar of choices, the head, the explanations; then everything is drawn for the first time.

function drawBar() {
  const models = data.subjects.map((each) => [each.key, `${each.model}: ${each.scale}`]);
  const baselines = [["none", "nothing"], ...subject().baselines.map((key) => [key, variantName(key)])];
  const choose = (name) => (value) => change({ [name]: value });
  const pairs = (list) => list.map(({ key, label }) => [key, label]);
  place("bar").replaceChildren(
    chooser("Model and scale", "model", models, state.model, choose("model")),
    chooser("Read at", "t", pairs(data.choices), state.t, choose("t")),
    chooser("Calibration", "calibration", pairs(data.calibrations), state.calibration, choose("calibration")),
    chooser("Metric", "metric", pairs(data.metrics), state.metric, choose("metric")),
    chooser("Differences from", "less", baselines, state.less, choose("less")),
  );
}

// After a change, a list shows the value that the address has.
function fitBar() {
  for (const list of document.querySelectorAll("#bar select, #theme select")) list.value = state[list.name];
}

function drawHead() {
  const themes = [["system", "as the system"], ["light", "light"], ["dark", "dark"]];
  place("theme").replaceChildren(chooser("Colours", "theme", themes, state.theme, (theme) => change({ theme })));
  place("message").replaceChildren(...data.message.map(rich));
  const opening = make("details", {}, make("summary", {}, "The answer at length"), data.opening.map(rich));
  place("opening").replaceChildren(...(data.opening.length ? [opening] : []));
  const models = new Map(data.subjects.filter((each) => each.figures.length).toReversed().map((each) => [each.model, each]));
  const cards = [...models.values()].toReversed().map(card);
  place("headline").replaceChildren(...cards);
}

function card(each) {
  const figures = each.figures.map(({ says, text, sign, first, second }) => {
    const [mean, ...rest] = text.split(" ");
    const state = sign === null ? "not tested yet" : sign > 0 ? "ahead" : sign < 0 ? "behind" : "not told apart";
    const kind = { ahead: "ahead", behind: "behind" }[state] ?? "open";
    const compare = () => {
      change({ model: each.key, first, second });
      place("compare").scrollIntoView();
    };
    return make(
      "button",
      { type: "button", class: `figure ${kind}`, onclick: compare },
      make("span", { class: "big" }, mean),
      make("span", { class: "interval" }, rest.join(" ")),
      make("span", { class: "says" }, says),
      make("span", { class: "verdict" }, state),
    );
  });
  const tasks = each.tasks.map((task) => data.tasks[task]).join(", ");
  return make("article", { class: "card" }, make("h2", {}, each.model), make("p", { class: "small" }, `Points of accuracy, mean of ${tasks}; ${each.scale}.`), make("div", { class: "figures" }, figures));
}

function drawTheme() {
  if (state.theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = state.theme;
}

const explanations = [
  ["Draws", "A draw is one random set of demonstrations. Every method sees the same test rows, and where it can, the same draws."],
  ["Intervals", "An interval covers other draws and other test rows, at the 95 % level. Methods whose intervals overlap may still be told apart, since they are compared row by row: choose a method under “Differences from”."],
  ["Each method’s own t", "The t of the method’s first row in the tables: t = 5 in the paper’s setting, t = 7 in the authors’ program, the last epoch of gradient descent."],
  ["t by dev", "The t that is best on the dev rows, which no test number has a part in. By dev log-likelihood it is the t at which dev’s answers are likeliest; by leave-one-out, the demonstrations’ own answers."],
  ["Oracle t", "The t that is best on the test rows themselves. It is an upper bound and never a result."],
  ["Calibration", "A correction of the candidates’ scores, made from stored scores without the model. Batch calibration subtracts the mean score of each candidate over dev rows (inductive), or over the test rows (transductive)."],
  ["The address", "The address of this page always names what it shows. Keep it or send it to come back to the same view."],
  ["Keyboard", "Tab moves between controls. Arrow keys move in the table, over t in the curves, and between test rows; Enter in the table goes to the records of the cell."],
];

function drawReading() {
  const list = explanations.map(([name, text]) => make("div", {}, make("dt", {}, name), make("dd", {}, text)));
  place("reading-text").replaceChildren(make("dl", {}, list));
  place("foot").replaceChildren(
    make("p", {}, `Made from ${data.counts.records.toLocaleString("en")} records by the functions that make the tables of the results folder. The command is `, make("code", {}, "make site"), ". Paths are relative to the folder of results. Charts are drawn by Observable Plot and D3 (ISC licence), which are inside this file; it asks no server for anything."),
  );
}

function drawAll() {
  const view = ["model", "t", "calibration", "metric"];
  shows(["model"], drawBar);
  shows(["theme"], drawTheme);
  shows([], drawHead);
  shows([...view, "less"], drawTable);
  shows(["cell"], () => select(false));
  shows(["model", "calibration", "column", "lines"], drawCurveControls);
  shows(["model", "calibration", "metric", "column", "lines", "at"], drawCurves);
  shows(["model", "first", "second"], drawCompareControls);
  shows(["model", "first", "second"], drawComparison);
  shows(["model"], drawCosts);
  shows(["model", "run"], drawExampleControls);
  shows(["model", "run", "row"], drawExample);
  listeners.push(fitBar);
  drawReading();
}

settle(fromAddress());
drawAll();
addEventListener("hashchange", () => change({ ...Object.fromEntries(Object.keys(choicesOf).map((name) => [name, undefined])), ...fromAddress() }));
document.querySelector("[data-skip]").addEventListener("click", (event) => {
  event.preventDefault();
  place("table").focus();
});
let width = innerWidth;
addEventListener("resize", () => {
  if (innerWidth === width) return;
  width = innerWidth;
  for (const draw of [drawCurves, drawComparison, drawCosts, drawExample]) draw();
});
