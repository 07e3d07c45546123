"""Figures that set methods beside each other: bars, differences, accuracy against operations."""

from collections.abc import Sequence
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from deepthink.report import chance, comparisons, experiments
from deepthink.report.comparisons import RIVALS, Comparison
from deepthink.report.figures.levels import levels
from deepthink.report.figures.style import (
    BLUE,
    GREEN,
    LOOKS,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    panels,
    reach,
    title,
)
from deepthink.report.layouts import TASKS
from deepthink.report.measurements import Measured, Subject, average, sizes
from deepthink.report.readings import FIVE, LAST, READINGS, VANILLA, Reading
from deepthink.report.runs import Run
from deepthink.report.tables import categories


def by_category(subject: Subject) -> Figure | None:
    """MMLU by category, vanilla beside thinking, as in the paper's Figure 3."""
    (setting,) = experiments.settings("figure3")
    pair = [subject.measure_setting(setting, reading) for reading in (VANILLA, FIVE)]
    if not all(part.runs for part in pair):
        return None
    places = categories(setting)
    figure, ((axes,),) = panels(1, 1, 2.3)
    figure.set_figwidth(5)
    for side, (part, label, colour, hatch) in enumerate(
        zip(pair, ("vanilla", "Deep-Thinking, t = 5"), (SKY, ORANGE), ("", "//"), strict=True)
    ):
        estimates = [
            average([part.outcomes[i] for i in members], [sizes(setting)[i] for i in members])
            for members in places.values()
        ]
        xs = np.arange(len(places)) + (side - 0.5) * 0.38
        axes.bar(
            xs, np.array([e.mean for e in estimates]), 0.36,
            yerr=np.hstack([reach(e) for e in estimates]), label=label, color=colour, hatch=hatch,
            capsize=2, edgecolor="white", error_kw={"linewidth": 0.8},
        )  # fmt: skip
    of_members = chance.of_parts(pair[:1])
    for x, members in enumerate(places.values()):
        weights = [sizes(setting)[i] for i in members]
        levels(
            axes, chance.mean([of_members[i] for i in members], weights), span=(x - 0.4, x + 0.4)
        )
    axes.set_xticks(range(len(places)), list(places))
    axes.set_ylabel("accuracy, %")
    axes.grid(axis="x", visible=False)
    axes.legend(ncols=4, loc="lower center", bbox_to_anchor=(0.5, 0.98))
    title(figure, "MMLU by category, intervals over questions", subject)
    return figure


def thinking(subject: Subject) -> Figure | None:
    """How far thinking is ahead of every rival, averaged over tasks, for each reading of t."""
    by_reading = {reading: comparisons.thinking(subject, reading) for reading in READINGS}
    five = by_reading[FIVE].values()
    seeds = {one.label: one.average.seeds for one in five if one.average is not None}
    if not seeds:
        return None
    most = max(seeds.values())
    labels = [name if n == most else f"{name} (n = {n})" for name, n in seeds.items()]
    height = 0.5 + 0.2 * len(labels)
    figure, (row,) = panels(1, len(by_reading), height, sharex=True, sharey=True)
    figure.set_figwidth(7.2)
    for axes, (reading, rivals), look in zip(row, by_reading.items(), LOOKS, strict=False):
        _differences(axes, [rivals[name] for name in seeds], look)
        bound = " (upper bound)" if reading.upper_bound else ""
        axes.set_title(f"{reading.name}{bound}")
    row[0].set_yticks([-i for i in range(len(labels))], labels)
    text = "How far thinking over random demonstrations (η = 0.01) is ahead of …"
    title(figure, text, subject)
    return figure


def _differences(axes: Axes, rows: Sequence[Comparison], look: dict[str, Any]) -> None:
    """The average of each comparison with its interval, one below the other."""
    axes.axvline(0, color="black", linewidth=0.8)
    for place, comparison in enumerate(rows):
        if comparison.average is not None:
            axes.errorbar(
                comparison.average.mean, -place, xerr=reach(comparison.average), capsize=2,
                elinewidth=0.9, color=look["color"], marker=look["marker"],
            )  # fmt: skip
    axes.set_xlabel("points, mean of tasks")
    axes.grid(axis="y", visible=False)


def compute(subject: Subject) -> Figure | None:
    """Accuracy against the operations of choosing and reading the demonstrations."""
    figure, grid = panels(2, 3, 2.0)
    *places, last = grid.flat
    methods: dict[str, tuple[str, dict[str, str], Reading]] = {
        **{name: (*where, VANILLA) for name, where in RIVALS.items()},
        **{
            f"Deep-Thinking, {reading.name}": ("table1", {"method": "deepthink_curve"}, reading)
            for reading in (FIVE, LAST)
        },
    }
    looks = _looks(methods)
    for axes, task in zip(places, TASKS, strict=True):
        parts = []
        for name, (experiment, chosen, reading) in methods.items():
            part = subject.measure(experiment, reading, task=task, **chosen)
            parts.append(part)
            if part.runs:
                _cost(axes, part, name, looks[name])
        levels(axes, chance.of_task(*parts))
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_title(TASKS[task])
    handles: dict[str, Any] = {}
    for axes in places:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    if not handles:
        return None
    last.set_axis_off()
    last.legend(list(handles.values()), list(handles), loc="center", fontsize=6, ncols=2)
    for axes in places[2:]:
        axes.set_xlabel("operations: selection + thinking")
    for axes in (places[0], places[3]):
        axes.set_ylabel("accuracy, %")
    figure.set_figwidth(7.2)
    title(figure, "Accuracy against compute before the first query", subject)
    return figure


def _looks(methods: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """A marker and a colour for each method."""
    marks = cycle("osv^<>DPX*hdp")
    colours = cycle((BLUE, ORANGE, GREEN, PURPLE, SKY, "0.4"))

    def colour(name: str) -> str:
        if name.startswith("Deep"):
            return RED
        return "black" if name == "vanilla" else next(colours)

    return {name: {"marker": next(marks), "color": colour(name)} for name in methods}


def _cost(axes: Axes, part: Measured, label: str, look: dict[str, Any]) -> None:
    """One method's accuracy at the mean of its operations."""
    runs = [run for (run,) in part.runs.values()]
    cost = float(np.mean([operations(run, part.reading.fixed or 1) for run in runs]))
    estimate = average(part.outcomes)
    bars = reach(estimate) if estimate.seeds > 2 else None
    axes.errorbar(
        cost, estimate.mean, yerr=bars, linestyle="", elinewidth=0.5, markersize=4.5,
        label=label, **look,
    )  # fmt: skip


def operations(run: Run, step: int) -> int:
    """The operations of selection, and of reading the demonstrations `step` times."""
    flops = run.record.flops
    return flops.selection + sum(flops.thinking[:step])
