// Curves over t, with bands. What is pointed at, or chosen with the arrow keys, stands below.

// The methods that have a curve, and those that read once and are a level line.
function curveMethods() {
  const there = ran();
  return data.methods.filter((method) => method.key in there && (method.steps || levelOf(method)));
}

function levelOf(method) {
  if (method.steps) return null;
  return subject().variants[`${method.key}|${method.readings.own[0]}|${state.calibration}`] ?? null;
}

// The methods whose lines are shown: those that were chosen, else all curves and vanilla.
function shownLines() {
  const methods = curveMethods();
  const wanted = state.lines.split(".");
  const chosen = methods.filter((method) => wanted.includes(method.key));
  if (state.lines) return chosen;
  return methods.filter((method) => method.steps || method === data.methods[0]);
}

// One point for each t of each line: {method, t, mean, low, high}.
function linePoints(method) {
  const at = columns().indexOf(state.column);
  if (!method.steps) return [];
  const curve = subject().curves[`${method.key}|${state.calibration}`]?.[at];
  const values = curve?.[state.metric] ?? [];
  return values.flatMap((value, place) =>
    value ? [{ method: method.label, t: curve.t[place], mean: value[0], low: value[1], high: value[2], n: curve.n }] : [],
  );
}

function levelPoint(method) {
  const at = columns().indexOf(state.column);
  const value = levelOf(method)?.[state.metric]?.[at];
  return value ? { method: method.label, mean: value[0], low: value[1], high: value[2], n: levelOf(method).n[at][0] } : null;
}

function drawCurveControls() {
  const shown = shownLines();
  const toggles = curveMethods().map((method) => {
    const look = lookOf(method);
    const box = make("input", { type: "checkbox", name: method.key, checked: shown.includes(method), onchange: () => toggleLine(method) });
    return make("label", { class: "toggle", style: `--line: ${look.colour}` }, box, make("span", {}, method.label));
  });
  place("curves-controls").replaceChildren(
    chooser("Task", "column", columns().map((key) => [key, taskName(key)]), state.column, (column) => change({ column })),
    make("fieldset", { class: "toggles" }, make("legend", {}, "Methods"), toggles),
  );
}

function toggleLine(method) {
  const shown = shownLines();
  const lines = shown.includes(method) ? shown.filter((each) => each !== method) : [...shown, method];
  change({ lines: lines.length ? lines.map((each) => each.key).join(".") : "no" });
}

function drawCurves() {
  const metric = metricOf[state.metric];
  const lines = shownLines().map((method) => ({ method, look: lookOf(method), points: linePoints(method), level: levelPoint(method) }));
  const points = lines.flatMap((line) => line.points);
  if (!points.length) {
    return place("curves-chart").replaceChildren(make("p", { class: "note" }, "No method that is chosen has a curve here."));
  }
  const steps = [...new Set(points.map((point) => point.t))].sort((a, b) => a - b);
  const at = [Number(state.at), 5, steps.at(-1)].find((step) => steps.includes(step));
  const chart = Plot.plot({
    width: room("curves-chart"),
    height: 380,
    marginLeft: 48,
    marginRight: 16,
    marginBottom: 42,
    style: chartStyle,
    x: { label: "t, readings of the demonstrations", labelOffset: 38, type: "log", ticks: steps, tickFormat: String },
    y: { label: `${metric.label}, ${metric.unit}`, grid: true, nice: true },
    marks: [...lines.flatMap(lineMarks), Plot.ruleX([at], { stroke: "var(--soft)", strokeDasharray: "2 2" }), ...pointer(points, metric)],
  });
  chart.addEventListener("input", () => chart.value && follow(chart.value.t));
  const text = `${metric.label} over t, ${taskName(state.column)}, ${subject().model}: ${lines.length} lines. The table has the values.`;
  const figure = framed(chart, text);
  figure.tabIndex = 0;
  figure.setAttribute("aria-label", `${text} Left and right arrow keys choose t.`);
  figure.addEventListener("keydown", (event) => stepBy(event, steps, at));
  place("curves-chart").replaceChildren(make("div", { class: "beside" }, figure, make("div", { id: "curves-values", "aria-live": "polite" })));
  drawValues(lines, at, metric);
}

function lineMarks({ look, points, level }) {
  const same = { x: "t", stroke: look.colour };
  const banded = points.filter((point) => point.low !== null);
  const marks = [
    Plot.areaY(banded, { x: "t", y1: "low", y2: "high", fill: look.colour, fillOpacity: 0.1 }),
    Plot.lineY(points, { ...same, y: "mean", strokeWidth: 2, strokeDasharray: look.dash }),
    Plot.dot(points, { ...same, y: "mean", symbol: look.mark, r: 3.5, fill: "var(--page)", strokeWidth: 1.6 }),
  ];
  if (level) marks.push(Plot.ruleY([level.mean], { stroke: look.colour, strokeWidth: 1.6, strokeDasharray: "1 4", strokeLinecap: "round" }));
  return marks;
}

function pointer(points, metric) {
  const title = (point) => `${point.method}\nt = ${point.t}: ${whole([point.mean, point.low, point.high], metric.digits)}\n${point.n} draws`;
  return [Plot.tip(points, Plot.pointer({ x: "t", y: "mean", title, fill: "var(--raised)", stroke: "var(--line)" }))];
}

// Follow the pointer to another t without drawing the chart again under it.
function follow(t) {
  if (String(t) === state.at) return;
  state = { ...state, at: String(t) };
  history.replaceState(null, "", toAddress());
  const metric = metricOf[state.metric];
  drawValues(shownLines().map((method) => ({ method, points: linePoints(method), level: levelPoint(method) })), t, metric);
}

function stepBy(event, steps, at) {
  const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  const next = move && steps[steps.indexOf(at) + move];
  if (!move) return;
  event.preventDefault();
  if (next === undefined) return;
  change({ at: String(next) });
  place("curves-chart").querySelector("figure").focus();
}

function drawValues(lines, at, metric) {
  const rows = lines.map(({ method, points, level }) => {
    const point = level ?? points.find((each) => each.t === at);
    const value = point ? whole([point.mean, point.low, point.high], metric.digits) : "–";
    return [method.label, method.steps ? `t = ${at}` : "reads once", value, point?.n ?? "–"];
  });
  const caption = `${taskName(state.column)}, ${metric.label.toLowerCase()} in ${metric.unit}, at t = ${at}`;
  place("curves-values").replaceChildren(scrolling(plainTable(caption, ["Method", "Read at", "Mean and interval", "Draws"], rows), caption));
}
