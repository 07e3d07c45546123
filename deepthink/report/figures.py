"""The paper's figures and ours, from stored runs alone. Bands and bars are 95 % intervals.

Each function draws one model on one scale, or returns None where nothing was run.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import matplotlib
import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from deepthink.report import comparisons, experiments
from deepthink.report.comparisons import RIVALS, STEP_SIZES
from deepthink.report.layouts import TASKS
from deepthink.report.measurements import (
    FIVE,
    ORACLE,
    VANILLA,
    Measured,
    Reading,
    at,
    average,
    measure,
    shared,
    sizes,
)
from deepthink.report.runs import Array, Run, Runs, Scale
from deepthink.report.tables import categories
from deepthink.store.identity import digest

# Okabe and Ito's palette, told apart with any kind of colour vision; lines also differ in style.
BLUE, ORANGE, GREEN, PURPLE, SKY, RED = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#D55E00",
)
_STYLE: dict[str, Any] = {
    "figure.constrained_layout.use": True,
    "figure.dpi": 150,
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "legend.fontsize": 7,
    "lines.linewidth": 1.4,
    "lines.markersize": 3.5,
    "pdf.fonttype": 42,
}


def style() -> AbstractContextManager[None]:
    """Matplotlib's settings for all figures here, whatever the user's own are."""
    return matplotlib.style.context(_STYLE, after_reset=True)


def _panels(rows: int, columns: int, height: float = 2.1, **more: Any) -> tuple[Figure, Array]:
    figure = Figure(figsize=(min(7.2, 1.0 + 2.2 * columns), 0.4 + height * rows))
    return figure, figure.subplots(rows, columns, squeeze=False, **more)


def _title(figure: Figure, text: str, model: str, scale: Scale) -> None:
    figure.suptitle(f"{text}\n{model}, {scale}", fontsize=8)


def _line(
    axes: Axes, xs: Sequence[float], outcomes: Sequence[list[Array]], label: str, **look: Any
) -> None:
    """Means of outcomes over x with their bands."""
    found = [average(one) for one in outcomes]
    axes.plot(xs, [e.mean for e in found], label=label, **look)
    if max(e.seeds for e in found) > 2:
        axes.fill_between(
            xs,
            [e.low for e in found],
            [e.high for e in found],
            alpha=0.15,
            linewidth=0,
            color=look.get("color"),
        )


def _curve(measured: Measured, split: str = "test") -> tuple[list[int], list[list[Array]]]:
    """The steps all its runs scored, and the outcomes of a split at each."""
    runs = [run for (run,) in measured.found.values()]
    steps = sorted(set.intersection(*(set(run.steps) for run in runs)))
    return steps, [[np.stack([run.correct(step, split) for run in runs])] for step in steps]


def _legend(axes: Axes, **look: Any) -> None:
    """A legend, if there is anything to name."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(**look)


def _n(measured: Sequence[Measured]) -> str:
    counts = {len(one.found) for one in measured if one.found}
    return f"n = {'–'.join(map(str, sorted({min(counts), max(counts)})))}" if counts else ""


def figure3(runs: Runs, model: str, scale: Scale) -> Figure | None:
    """MMLU by category: vanilla beside thinking."""
    (setting,) = experiments.settings("figure3")
    pair = [measure(runs, setting, model, scale, reading) for reading in (VANILLA, FIVE)]
    if not all(part.found for part in pair):
        return None
    places = categories(setting)
    figure, ((axes,),) = _panels(1, 1, 2.3)
    figure.set_figwidth(5)
    for side, (part, label, colour, hatch) in enumerate(
        zip(pair, ("vanilla", "Deep-Thinking, t = 5"), (SKY, ORANGE), ("", "//"), strict=True)
    ):
        found = [
            average([part.outcomes[i] for i in members], [sizes(setting)[i] for i in members])
            for members in places.values()
        ]
        xs = np.arange(len(places)) + (side - 0.5) * 0.38
        means = np.array([e.mean for e in found])
        reach = np.array([[e.mean - e.low for e in found], [e.high - e.mean for e in found]])
        axes.bar(
            xs, means, 0.36, yerr=reach, label=label, color=colour, hatch=hatch, capsize=2,
            edgecolor="white", error_kw={"linewidth": 0.8},
        )  # fmt: skip
    axes.set_xticks(range(len(places)), list(places))
    axes.set_ylabel("accuracy, %")
    axes.grid(axis="x", visible=False)
    axes.legend(ncols=2, loc="lower center", bbox_to_anchor=(0.5, 0.98))
    _title(figure, "MMLU by category, intervals over questions", model, scale)
    return figure


def figure4(runs: Runs, model: str, scale: Scale) -> Figure | None:
    """Accuracy and its spread over seeds against the number of demonstrations."""
    tasks = ("sst2", "agnews")
    counts = experiments.axes("figure4")["demonstrations.count"]
    figure, panels = _panels(1, len(tasks))
    drawn: list[Measured] = []
    for axes, task in zip(panels[0], tasks, strict=True):
        looks: tuple[tuple[Reading, str, dict[str, Any]], ...] = (
            (VANILLA, "vanilla", {"color": BLUE, "marker": "o", "linestyle": "--"}),
            (FIVE, "Deep-Thinking, t = 5", {"color": RED, "marker": "s"}),
        )
        for reading, label, look in looks:
            parts = {
                int(count): measure(
                    runs,
                    experiments.setting("figure4", task=task, **{"demonstrations.count": count}),
                    model,
                    scale,
                    reading,
                )
                for count in counts
            }
            whole = {count: part for count, part in parts.items() if part.found}
            drawn += whole.values()
            if whole:
                _line(axes, list(whole), [part.outcomes for part in whole.values()], label, **look)
        axes.set_xscale("log", base=2)
        axes.set_xticks([int(count) for count in counts], counts)
        axes.minorticks_off()
        axes.set_title(TASKS[task])
        axes.set_xlabel("demonstrations")
    if not drawn:
        return None
    panels[0][0].set_ylabel("accuracy, %")
    _legend(panels[0][0])
    _title(figure, f"Number of demonstrations, {_n(drawn)} seeds", model, scale)
    return figure


def figure5(runs: Runs, model: str, scale: Scale) -> Figure | None:
    """The spread of accuracy over draws and over orders of demonstrations."""
    figure, panels = _panels(1, 2)
    drawn = False
    for axes, (name, title) in zip(
        panels[0],
        (("figure5_seeds", "draws"), ("figure5_orders", "orders of one draw")),
        strict=True,
    ):
        (setting,) = experiments.settings(name)
        pair = [measure(runs, setting, model, scale, reading) for reading in (VANILLA, FIVE)]
        draws = shared(*pair)
        if not draws:
            axes.set_axis_off()
            axes.text(0.5, 0.5, f"{title}: not run", ha="center", transform=axes.transAxes)
            continue
        drawn = True
        shares = [100 * part.of_draws(draws)[0].mean(axis=1) for part in pair]
        boxes = axes.boxplot(shares, widths=0.45, showfliers=False, patch_artist=True)
        for box, colour in zip(boxes["boxes"], (SKY, ORANGE), strict=True):
            box.set(facecolor=colour, alpha=0.5)
        for line in boxes["medians"]:
            line.set(color="black")
        for one, other in zip(*shares, strict=True):
            axes.plot([1.12, 1.88], [one, other], color="0.5", linewidth=0.6, alpha=0.7)
        for place, values in zip((1.12, 1.88), shares, strict=True):
            axes.plot([place] * len(values), values, "o", color="black", markersize=2.5)
        spread = [values.std(ddof=1) if len(values) > 1 else 0.0 for values in shares]
        axes.set_xticks(
            [1, 2],
            [f"{word}\nSD {s:.1f}" for word, s in zip(("vanilla", "t = 5"), spread, strict=True)],
        )
        axes.set_title(f"{title}, n = {len(shares[0])}")
        axes.grid(axis="x", visible=False)
    if not drawn:
        return None
    panels[0][0].set_ylabel("SST2 accuracy, %")
    _title(figure, "Sensitivity to demonstrations and their order", model, scale)
    return figure


_LOOKS: tuple[dict[str, Any], ...] = (
    {"color": BLUE, "marker": "o", "linestyle": "-"},
    {"color": RED, "marker": "s", "linestyle": "--"},
    {"color": GREEN, "marker": "^", "linestyle": "-."},
    {"color": PURPLE, "marker": "D", "linestyle": ":"},
)


def figure6(runs: Runs, model: str, scale: Scale) -> Figure | None:
    """Step sizes over t; dev beside test over t at η = 0.01."""
    figure, (panels,) = _panels(1, 2)
    sizes = sorted(experiments.axes("figure6")["method.step_size"], key=float)
    drawn = []
    for size, look in zip(sizes, _LOOKS, strict=False):
        setting = experiments.setting("figure6", **{"method.step_size": size})
        part = measure(runs, setting, model, scale, at(15))
        if part.found:
            drawn.append(part)
            steps, outcomes = _curve(part)
            _line(panels[0], steps, outcomes, f"η = {size} (n = {len(part.found)})", **look)
        if size == "0.01" and part.found:
            for split, own in (("test", _LOOKS[0]), ("dev", _LOOKS[2])):
                steps, outcomes = _curve(part, split)
                _line(panels[1], steps, outcomes, split, **own)
    if not drawn:
        return None
    panels[0].set_ylabel("SST2 accuracy, %")
    for axes, title in zip(panels, ("step size", "η = 0.01: dev and test"), strict=True):
        axes.set_title(title)
        axes.set_xlabel("iterations t")
        _legend(axes)
    _title(figure, "Step size η and iterations t", model, scale)
    return figure


def compute(runs: Runs, model: str, scale: Scale) -> Figure | None:
    """Accuracy against the operations of choosing and reading the demonstrations."""
    figure, panels = _panels(2, 3, 2.0)
    places = [*panels.flat]
    marks = cycle("osv^<>DPX*hdp")
    kinds = [
        *(
            (name, experiment, axes, VANILLA)
            for name, (experiment, axes) in RIVALS.items()
        ),
        ("Deep-Thinking, t = 5", "table1", {"method": "deepthink_curve"}, FIVE),
        ("Deep-Thinking, t = 15", "table1", {"method": "deepthink_curve"}, at(15)),
    ]  # fmt: skip
    colours = cycle((BLUE, ORANGE, GREEN, PURPLE, SKY, "0.4"))
    looks = {
        name: {
            "marker": next(marks),
            "color": RED
            if name.startswith("Deep")
            else "black"
            if name == "vanilla"
            else next(colours),
        }
        for name, *_ in kinds
    }
    drawn = set()
    for axes, task in zip(places, TASKS, strict=False):
        for name, experiment, chosen, reading in kinds:
            setting = experiments.setting(experiment, **chosen, task=task)
            part = measure(runs, setting, model, scale, reading)
            if not part.found:
                continue
            drawn.add(name)
            found = [run for (run,) in part.found.values()]
            cost = float(np.mean([operations(run, reading.fixed or 1) for run in found]))
            e = average(part.outcomes)
            reach = [[e.mean - e.low], [e.high - e.mean]] if e.seeds > 2 else None
            axes.errorbar(
                cost, e.mean, yerr=reach, linestyle="", elinewidth=0.5, markersize=4.5,
                label=name, **looks[name],
            )  # fmt: skip
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_title(TASKS[task])
    if not drawn:
        return None
    handles: dict[str, Any] = {}
    for axes in places[:5]:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    places[5].set_axis_off()
    places[5].legend(list(handles.values()), list(handles), loc="center", fontsize=6, ncols=2)
    for axes in places[2:5]:
        axes.set_xlabel("operations: selection + thinking")
    for axes in (places[0], places[3]):
        axes.set_ylabel("accuracy, %")
    figure.set_figwidth(7.2)
    _title(figure, "Accuracy against compute before the first query", model, scale)
    return figure


def thinking(runs: Runs, model: str, scale: Scale) -> Figure | None:
    """How far thinking is ahead of every other way, averaged over tasks, for each reading of t."""
    found = {r.name: comparisons.thinking(runs, model, scale, r) for r in comparisons.READINGS}
    five = found[FIVE.name].values()
    seeds = {one.label: one.average.seeds for one in five if one.average is not None}
    if not seeds:
        return None
    most = max(seeds.values())
    labels = [name if n == most else f"{name} (n = {n})" for name, n in seeds.items()]
    figure, (panels,) = _panels(1, len(found), 0.5 + 0.2 * len(labels), sharex=True, sharey=True)
    figure.set_figwidth(7.2)
    for axes, (name, contrasts), look in zip(panels, found.items(), _LOOKS, strict=False):
        axes.axvline(0, color="black", linewidth=0.8)
        for place, one in enumerate(map(contrasts.get, seeds)):
            if one is not None and one.average is not None:
                reach = [
                    [one.average.mean - one.average.low],
                    [one.average.high - one.average.mean],
                ]
                axes.errorbar(
                    one.average.mean, -place, xerr=reach, capsize=2, elinewidth=0.9,
                    color=look["color"], marker=look["marker"],
                )  # fmt: skip
        bound = " (upper bound)" if name == ORACLE.name else ""
        axes.set_title(f"{name}{bound}")
        axes.set_xlabel("points, mean of tasks")
        axes.grid(axis="y", visible=False)
    panels[0].set_yticks([-i for i in range(len(labels))], labels)
    _title(
        figure, "How far thinking over random demonstrations (η = 0.01) is ahead of …", model, scale
    )
    return figure


def operations(run: Run, step: int) -> int:
    """Selection, and reading the demonstrations `step` times."""
    flops = run.record.flops
    return flops.selection + sum(flops.thinking[:step])


def positions(runs: Runs, model: str, scale: Scale) -> Figure | None:
    """Accuracy over t with aligned and continued positions, all tasks, two step sizes."""
    figure, panels = _panels(len(STEP_SIZES), len(TASKS), 1.7, sharex=True)
    figure.set_figwidth(9)
    drawn = []
    for row, size in zip(panels, STEP_SIZES, strict=True):
        for axes, task in zip(row, TASKS, strict=True):
            here = []
            for name, look in zip(("continued", "aligned"), _LOOKS, strict=False):
                setting = experiments.setting(
                    "positions",
                    task=task,
                    **{"method.step_size": size, "method.positions": name},
                )
                part = measure(runs, setting, model, scale, at(15))
                if part.found:
                    here.append(part)
                    _line(axes, *_curve(part), name, **look)
            drawn += here
            axes.set_title(f"{TASKS[task]}, η = {size}")
            if not here:
                axes.set_yticks([])
                axes.text(0.5, 0.5, "not run", ha="center", transform=axes.transAxes)
        row[0].set_ylabel("accuracy, %")
    if not drawn:
        return None
    for axes in panels[-1]:
        axes.set_xlabel("iterations t")
    most = max(panels.flat, key=lambda axes: len(axes.lines))
    figure.legend(*most.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    _title(figure, f"Where present tokens stand at t ≥ 2, {_n(drawn)} draws", model, scale)
    return figure


def drift(runs: Runs, model: str, scale: Scale) -> Figure | None:
    """How far K̃ and Ṽ of each layer have moved from t = 1, on SST2 at η = 0.1."""
    figure, panels = _panels(2, 2, 2.0, sharex=True, sharey="row")
    drawn = False
    for column, name in enumerate(("continued", "aligned")):
        setting = experiments.setting(
            "positions", task="sst2", **{"method.step_size": "0.1", "method.positions": name}
        )
        part = measure(runs, setting, model, scale, at(15))
        if not part.found:
            continue
        drawn = True
        moves = [run.record.drift for (run,) in part.found.values()]
        shades = matplotlib.colormaps["viridis"](np.linspace(0.9, 0.05, len(moves[0])))
        for row, which in enumerate(("keys", "values")):
            axes = panels[row][column]
            for place, shade in enumerate(shades):
                moved = np.mean([getattr(drift[place], which) for drift in moves], axis=0)
                axes.plot(range(1, len(moved) + 1), moved, color=shade,
                          label=f"t = {moves[0][place].step}")  # fmt: skip
            axes.set_title(f"{'K̃' if which == 'keys' else 'Ṽ'}, {name} (n = {len(moves)})")
    if not drawn:
        return None
    for axes in panels[:, 0]:
        axes.set_ylabel("relative distance from t = 1")
    for axes in panels[1]:
        axes.set_xlabel("layer")
    _legend(panels[0][1], fontsize=6, ncols=2)
    _title(figure, "Drift of the memory, SST2, η = 0.1", model, scale)
    return figure


@dataclass(frozen=True)
class Drawn:
    """Which figure, of which model on which scale."""

    name: str
    model: str
    scale: Scale

    @property
    def file(self) -> str:
        """The name of its files: no two figures have the same."""
        sizes = (self.scale.test, self.scale.dev, self.scale.pool)
        rows = [] if self.scale.whole else ["all" if size < 0 else str(size) for size in sizes]
        other = re.findall(r"\w+", self.scale.other)
        return "-".join([self.name, _file_name(self.model), *rows, self.scale.dtype, *other])


def _file_name(model: str) -> str:
    """A model's name as part of a file's."""
    plain = re.sub(r"[^\w.-]", "-", model)
    return plain if plain == model else f"{plain}-{digest(model)[:8]}"


def every(runs: Runs, stage: Callable[[str], object]) -> Iterator[tuple[Drawn, Figure]]:
    """All figures that have anything to show. stage: told what comes next."""
    for name, draw in FIGURES.items():
        for model, scale in comparisons.subjects(runs, EXPERIMENTS[name]):
            stage(f"{name}: {model}")
            with style():
                if (figure := draw(runs, model, scale)) is not None:
                    yield Drawn(name, model, scale), figure


FIGURES = {
    "thinking": thinking,
    "figure3": figure3,
    "figure4": figure4,
    "figure5": figure5,
    "figure6": figure6,
    "positions": positions,
    "compute": compute,
    "drift": drift,
}
"""Every figure by name."""
EXPERIMENTS = {
    "thinking": "table1",
    "figure3": "figure3",
    "figure4": "figure4",
    "figure5": "figure5_seeds",
    "figure6": "figure6",
    "positions": "positions",
    "compute": "table1",
    "drift": "positions",
}
"""The experiment whose models and scales a figure is drawn for."""
