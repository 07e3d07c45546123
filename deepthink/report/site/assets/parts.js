// Elements, numbers and names, as all parts of the page have them.

// An element with attributes (on… are listeners) and children, which are nodes or texts.
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

function place(id) {
  return document.getElementById(id);
}

// A labelled list of choices: [key, label] pairs, or {group, choices} with a heading.
function chooser(label, name, choices, selected, choose) {
  const option = ([key, text]) => make("option", { value: key, selected: key === selected }, text);
  const options = choices.map((choice) =>
    Array.isArray(choice)
      ? option(choice)
      : make("optgroup", { label: choice.group }, choice.choices.map(option)),
  );
  const list = make("select", { name, onchange: (event) => choose(event.target.value) }, options);
  return make("label", { class: "chooser" }, make("span", {}, label), list);
}

// A number with a typographic minus sign; the data has it with the digits that are shown.
function number(value, digits, signed = false) {
  if (value === null || value === undefined) return "–";
  const text = Math.abs(value).toFixed(digits);
  if (Number(text) === 0) return text;
  return `${value < 0 ? "−" : signed ? "+" : ""}${text}`;
}

// The interval of [mean, low, high]; empty where there is none.
function interval(estimate, digits, signed = false) {
  if (!estimate || estimate[1] === null) return "";
  return `[${number(estimate[1], digits, signed)}, ${number(estimate[2], digits, signed)}]`;
}

function whole(estimate, digits, signed = false) {
  if (!estimate) return "–";
  return `${number(estimate[0], digits, signed)} ${interval(estimate, digits, signed)}`.trim();
}

function probability(p) {
  if (p === null || p === undefined) return "not tested";
  return p < 0.001 ? "p < .001" : `p = ${p.toPrecision(2).replace(/^0/, "")}`;
}

function taskName(key) {
  return key === "mean" ? `Mean of ${subject().tasks.length}` : data.tasks[key];
}

function calibrationName(key, form = "label") {
  return data.calibrations.find((each) => each.key === key)?.[form] ?? key;
}

// The reading's name of a method under the chosen way to read t; null where it has none.
function readingOf(method, choice) {
  return method.readings[choice] ?? null;
}

// The words for a variant's key, such as "Vanilla, calibrated (batch, from dev)".
function variantName(key) {
  const [method, reading, calibration] = key.split("|");
  const words = [methodOf[method].label];
  const read = Object.values(methodOf[method].readings).find(([name]) => name === reading);
  if (methodOf[method].steps && read) words.push(read[1]);
  if (calibration !== "none") words.push(calibrationName(calibration, "short"));
  return words.join(", ");
}

// Variants as choices: those with scores as the model gave them, then the calibrated ones.
function variantChoices(keys) {
  const kinds = new Map();
  for (const key of keys) {
    const calibration = key.split("|")[2];
    if (!kinds.has(calibration)) kinds.set(calibration, []);
    kinds.get(calibration).push([key, variantName(key)]);
  }
  return [...kinds].map(([calibration, choices]) => ({
    group: calibration === "none" ? "Scores as the model gave them" : calibrationName(calibration),
    choices,
  }));
}

// A command or a path that can be selected at once, and copied where the browser allows it.
function code(text) {
  return make("pre", { class: "code", tabindex: 0 }, make("code", {}, text));
}

// A plain table: a heading row, then rows whose first cell is a heading.
function plainTable(caption, header, rows) {
  const cell = (value) => (value instanceof Node ? value : String(value));
  return make(
    "table",
    { class: "plain" },
    make("caption", {}, caption),
    make("thead", {}, make("tr", {}, header.map((text) => make("th", { scope: "col" }, text)))),
    make(
      "tbody",
      {},
      rows.map(([first, ...rest]) =>
        make(
          "tr",
          {},
          make("th", { scope: "row" }, cell(first)),
          rest.map((value) => make("td", {}, cell(value))),
        ),
      ),
    ),
  );
}

// A sentence of the report: **words** stand out, and a link is its words alone.
function rich(sentence) {
  const plain = sentence.replace(/\[([^\]]+)\]\([^)]*\)/g, "$1").replace(/(?<!\*)\*([^*]+)\*(?!\*)/g, "$1").replaceAll("`", "");
  const parts = plain.split("**");
  return make("p", {}, parts.map((part, at) => (at % 2 ? make("strong", {}, part) : part)));
}

function scrolling(child, label) {
  return make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label }, child);
}
