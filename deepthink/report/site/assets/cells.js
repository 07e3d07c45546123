// The numbers behind the cells: variants, their differences, and where they come from.

// The variant of a method under the chosen reading and calibration; null if there is none.
function variantKey(method) {
  const reading = readingOf(method, state.t);
  const key = reading && `${method.key}|${reading[0]}|${state.calibration}`;
  return key && key in subject().variants ? key : null;
}

// How far one variant is ahead of another, column by column; null where it was not compared.
// Each: [mean, low, high, p, draws won, draws lost, draws].
function lessOf(first, second) {
  const { less } = subject();
  const there = less[`${first} ${second}`];
  if (there) return there;
  const turned = less[`${second} ${first}`];
  return turned
    ? turned.map((each) => {
        if (!each) return null;
        const [mean, low, high, p, won, lost, draws] = each;
        return [-mean, -high, -low, p, lost, won, draws];
      })
    : null;
}

// 1 or −1 where a difference is significant after correction, else 0.
function signOf(difference) {
  if (!difference || difference[3] === null || difference[3] >= 0.05) return 0;
  return Math.sign(difference[0]);
}

// What a click on a cell, or moving to it, tells below the table.
function describe(method, column) {
  const key = variantKey(method);
  const at = columns().indexOf(column);
  const title = `${method.label}, ${taskName(column)}`;
  if (key === null) {
    return [make("h3", { id: "detail-title" }, title), make("p", {}, whyNot(method))];
  }
  const variant = subject().variants[key];
  const metric = metricOf[state.metric];
  const [seeds, wanted, examples, complete] = variant.n[at];
  const facts = [
    ["Number", `${whole(variant[metric.key]?.[at], metric.digits)} ${metric.unit}, ${metric.label.toLowerCase()}`],
    ["Read at", method.steps ? timesOf(readingOf(method, state.t)[1], variant.t[at]) : "t = 1, the demonstrations are read once"],
    ["Scores", calibrationName(state.calibration)],
    ["Draws", `${seeds} of ${wanted}${complete ? "" : ": the others have not been run yet"}`],
    ["Test rows", examples.toLocaleString("en")],
  ];
  const difference = state.less !== "none" && lessOf(key, state.less)?.[at];
  if (difference) facts.push([`Less ${variantName(state.less)}`, comparedText(difference)]);
  return [
    make("h3", { id: "detail-title" }, title),
    make("dl", {}, facts.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value)))),
    ...origin(variant.source[at]),
  ];
}

function timesOf(reading, steps) {
  const chosen = steps.length > 1 ? ` (t = ${steps[0]} to ${steps.at(-1)}, by draw and task)` : "";
  return reading.startsWith("t = ") ? reading : `${reading}${chosen || ` (t = ${steps[0]})`}`;
}

function comparedText(difference) {
  const [, , , p, won, lost, draws] = difference;
  const counts = won === null ? `${draws} draws` : `ahead in ${won} and behind in ${lost} of ${draws} draws`;
  return `${whole(difference, 1, true)} points, ${probability(p)}, ${counts}`;
}

// The records and the command of a number.
function origin(source) {
  if (source === null || source === undefined) return [make("p", {}, "No record.")];
  const { records, command } = data.sources[source];
  const paths = make("ul", { class: "paths" }, records.map((path) => make("li", {}, make("code", {}, path))));
  const one = records.length === 1;
  return [
    make("h4", {}, "The command that makes it"),
    code(command),
    make(
      "details",
      { class: "records", open: records.length <= 5 },
      make("summary", {}, `${records.length} record${one ? "" : "s"} behind it, in the folder of results`),
      paths,
    ),
  ];
}

// Why a method has no number here.
function whyNot(method) {
  if (!(method.key in ran())) return "It was not run on this model and scale.";
  if (!readingOf(method, state.t)) return "It has no number at a fixed t, since its t counts something else.";
  return state.calibration === "none"
    ? "None of its runs was scored at this t."
    : "Its runs have no stored scores that this calibration can correct, or none at this t.";
}

// The methods that have any number on this model and scale.
function ran() {
  const keys = Object.keys(subject().variants).map((key) => [key.split("|")[0], true]);
  return Object.fromEntries(keys);
}
