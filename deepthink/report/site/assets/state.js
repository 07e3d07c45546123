// What the page shows, and its name in the address. Every change goes through `change`.

const data = JSON.parse(document.getElementById("data").textContent);
const methodOf = Object.fromEntries(data.methods.map((method) => [method.key, method]));
const metricOf = Object.fromEntries(data.metrics.map((metric) => [metric.key, metric]));

const choicesOf = {
  model: () => data.subjects.map((subject) => subject.key),
  t: () => data.choices.map((choice) => choice.key),
  calibration: () => data.calibrations.map((calibration) => calibration.key),
  metric: () => data.metrics.map((metric) => metric.key),
  less: () => [...subject().baselines, "none"],
  cell: () => [""],
  column: () => columns(),
  lines: () => [""],
  at: () => [""],
  first: () => [suggested(0), ...subject().stated],
  second: () => [suggested(1), ...subject().stated],
  run: () => Object.keys(subject().examples),
  row: () => ["0"],
  theme: () => ["system", "light", "dark"],
};
// Any text is allowed of these; whoever reads them looks whether it names anything.
const free = new Set(["cell", "lines", "at", "row"]);

let state = {};
const listeners = [];

// The subject that is shown: one model on one scale.
function subject() {
  return data.subjects.find((each) => each.key === state.model) ?? data.subjects[0];
}

// The keys of the columns: the tasks, then their mean if there are several.
function columns() {
  const { tasks } = subject();
  return tasks.length > 1 ? [...tasks, "mean"] : tasks;
}

// Thinking with calibrated scores against plain learning with them, as far as both are there.
function suggested(place) {
  const { figures, stated } = subject();
  const figure = figures.at(-1);
  return (figure && [figure.first, figure.second][place]) ?? stated[place] ?? stated[0];
}

// A value that can be chosen: the wanted one if it can, else the first.
function settled(name, wanted) {
  if (free.has(name)) return wanted ?? choicesOf[name]()[0];
  const choices = choicesOf[name]();
  if (wanted !== undefined && choices.includes(wanted)) return wanted;
  return name === "column" ? choices.at(-1) : choices[0];
}

function settle(wanted) {
  state = { model: wanted.model };
  state.model = subject().key;
  for (const name of Object.keys(choicesOf)) state[name] = settled(name, wanted[name]);
}

function fromAddress() {
  return Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
}

// Only what is not as by default is named.
function toAddress() {
  const words = new URLSearchParams();
  for (const name of Object.keys(choicesOf)) {
    if (state[name] !== settled(name, undefined)) words.set(name, state[name]);
  }
  return `#${words}`;
}

// Show something else. The address follows, and stays the address of what is seen. The focus stays
// where it was, though its element may be a new one.
function change(values) {
  const before = state;
  const focused = document.activeElement?.name;
  settle({ ...state, ...values });
  history.replaceState(null, "", toAddress());
  for (const listener of listeners) listener(before);
  if (focused && document.activeElement === document.body) {
    document.getElementsByName(focused)[0]?.focus({ preventScroll: true });
  }
}

// Call `draw` now and whenever one of the named parts of the state changes.
function shows(names, draw) {
  draw();
  listeners.push((before) => {
    if (names.some((name) => before[name] !== state[name])) draw();
  });
}
