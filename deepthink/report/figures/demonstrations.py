"""Figures on the demonstrations that were drawn: their number, draws and orders."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from deepthink.config import overrides
from deepthink.report import chance
from deepthink.report.figures.levels import levels
from deepthink.report.figures.style import (
    BLUE,
    ORANGE,
    RED,
    SKY,
    draws_of,
    legend,
    line,
    not_run,
    panels,
    title,
)
from deepthink.report.layouts import TASKS
from deepthink.report.measurements import Measured, Subject, shared
from deepthink.report.readings import FIVE, VANILLA, Reading
from deepthink.report.runs import Array


def counts(subject: Subject) -> Figure | None:
    """Accuracy against the number of demonstrations, as in the paper's Figure 4."""
    swept = overrides.axes("figure4")
    numbers = swept["demonstrations.count"]
    looks: tuple[tuple[Reading, str, dict[str, Any]], ...] = (
        (VANILLA, "vanilla", {"color": BLUE, "marker": "o", "linestyle": "--"}),
        (FIVE, "Deep-Thinking, t = 5", {"color": RED, "marker": "s"}),
    )
    figure, (row,) = panels(1, len(swept["task"]))
    drawn: list[Measured] = []
    for axes, task in zip(row, swept["task"], strict=True):
        for reading, label, look in looks:
            parts = {}
            for count in numbers:
                where = {"task": task, "demonstrations.count": count}
                parts[int(count)] = subject.measure("figure4", reading, **where)
            run = {count: part for count, part in parts.items() if part.runs}
            drawn += run.values()
            if run:
                line(axes, list(run), [part.outcomes for part in run.values()], label, **look)
        levels(axes, chance.of_task(*parts.values()))
        axes.set_xscale("log", base=2)
        axes.set_xticks([int(count) for count in numbers], numbers)
        axes.minorticks_off()
        axes.set_title(TASKS[task])
        axes.set_xlabel("demonstrations")
    if not drawn:
        return None
    row[0].set_ylabel("accuracy, %")
    legend(row[0])
    title(figure, f"Number of demonstrations, {draws_of(drawn)} seeds", subject)
    return figure


def spread(subject: Subject) -> Figure | None:
    """The spread of accuracy over draws and over orders, as in the paper's Figure 5."""
    figure, (row,) = panels(1, 2)
    halves = {"figure5_seeds": "draws", "figure5_orders": "orders of one draw"}
    drawn = False
    for axes, (name, kind) in zip(row, halves.items(), strict=True):
        pair = [subject.measure(name, reading) for reading in (VANILLA, FIVE)]
        if draws := shared(*pair):
            drawn = True
            _pair_of_boxes(axes, [part.of_draws(draws)[0] for part in pair])
            levels(axes, chance.of_task(*pair))
            axes.set_title(f"{kind}, n = {len(draws)}")
        else:
            axes.set_axis_off()
            not_run(axes, f"{kind}: not run")
    if not drawn:
        return None
    row[0].set_ylabel("SST2 accuracy, %")
    title(figure, "Sensitivity to demonstrations and their order", subject)
    return figure


def _pair_of_boxes(axes: Axes, pair: list[Array]) -> None:
    """Accuracies of vanilla and t = 5 as boxes, the same draws joined; outcomes [S, I] of each."""
    accuracies = [100 * outcomes.mean(axis=1) for outcomes in pair]
    boxes = axes.boxplot(accuracies, widths=0.45, showfliers=False, patch_artist=True)
    for box, colour in zip(boxes["boxes"], (SKY, ORANGE), strict=True):
        box.set(facecolor=colour, alpha=0.5)
    for median in boxes["medians"]:
        median.set(color="black")
    for ends in zip(*accuracies, strict=True):
        axes.plot([1.12, 1.88], ends, color="0.5", linewidth=0.6, alpha=0.7)
    for place, values in zip((1.12, 1.88), accuracies, strict=True):
        axes.plot([place] * len(values), values, "o", color="black", markersize=2.5)
    sd = [float(np.std(v, ddof=1)) if len(v) > 1 else 0.0 for v in accuracies]
    words = zip(("vanilla", FIVE.name), sd, strict=True)
    axes.set_xticks([1, 2], [f"{word}\nSD {s:.1f}" for word, s in words])
    axes.grid(axis="x", visible=False)
