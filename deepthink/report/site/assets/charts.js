// What the charts share: colours, marks and the frame around the library's drawing.

// One colour, mark and dash for one method everywhere; the palette is Okabe and Ito's.
const colours = ["--ink", "--blue", "--orange", "--green", "--purple", "--sky", "--red", "--brown"];
const marks = ["circle", "square", "triangle", "diamond", "star", "cross", "hexagon", "wye"];
const dashes = ["", "6 3", "2 3", "8 3 2 3"];

const everRun = data.methods.filter((method) =>
  data.subjects.some((each) => Object.keys(each.variants).some((key) => key.startsWith(`${method.key}|`))),
);

function lookOf(method) {
  const at = everRun.indexOf(method);
  return {
    colour: `var(${colours[at % colours.length]})`,
    mark: marks[at % marks.length],
    dash: dashes[Math.floor(at / colours.length) % dashes.length],
  };
}

// The width that a chart may have. On a wide page its numbers stand beside it.
function room(id) {
  const { clientWidth } = place(id);
  return Math.max(280, clientWidth > 900 ? Math.round(clientWidth * 0.54) : clientWidth);
}

const chartStyle = { background: "transparent", color: "var(--soft)", fontSize: "12px", fontFamily: "inherit", overflow: "visible" };

// A chart with what it says for those who do not see it. An svg of the library stands inside.
function framed(chart, label) {
  chart.setAttribute("role", "img");
  chart.setAttribute("aria-label", label);
  return make("figure", { class: "chart" }, chart);
}
