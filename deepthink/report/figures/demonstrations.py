"""Figures on the demonstrations that were drawn: their number, draws and orders."""

import numpy as np
from matplotlib.axes import Axes

from deepthink.config import overrides
from deepthink.report import chance, paper
from deepthink.report.figures.chance_lines import chance_lines
from deepthink.report.figures.style import (
    LOOKS,
    Picture,
    Thing,
    bars,
    draws_of,
    legend,
    look,
    not_run,
    panels,
)
from deepthink.report.layouts import TASKS
from deepthink.report.measurements import Measured, Subject, average, paired, shared
from deepthink.report.readings import FIVE, VANILLA
from deepthink.report.runs import Array
from deepthink.report.words import number

_PAIR = (
    (VANILLA, Thing.VANILLA, "vanilla"),
    (FIVE, Thing.THINKING, f"thinking, {FIVE.name}"),
)
"""The two readings of the same runs that the paper compares, their looks and their names."""
_FEWEST = 5
"""Quartiles of fewer draws say nothing, so no box is drawn."""


def counts(subject: Subject) -> Picture | None:
    """Accuracy against the number of demonstrations, as in the paper's Figure 4."""
    swept = overrides.axes("figure4")
    numbers = swept["demonstrations.count"]
    figure, (row,) = panels(1, len(swept["task"]))
    drawn: list[Measured] = []
    words = []
    for axes, task in zip(row, swept["task"], strict=True):
        where = [{"task": task, "demonstrations.count": count} for count in numbers]
        parts = paired(
            {
                (thing, int(of["demonstrations.count"])): subject.measure("figure4", reading, **of)
                for reading, thing, _ in _PAIR
                for of in where
            }
        )
        drawn += parts.values()
        means = {}
        for side, (_, thing, label) in enumerate(_PAIR):
            run = {count: part for (of, count), part in parts.items() if of == thing}
            if run:
                xs = [count * (1.03 if side else 0.97) for count in run]
                bars(axes, xs, [part.outcomes for part in run.values()], label, **look(thing))
                means[thing] = {n: average(part.outcomes).mean for n, part in run.items()}
        if parts:
            chance_lines(axes, chance.of_task(*parts.values()))
        axes.set_xscale("log", base=2)
        axes.set_xticks([int(count) for count in numbers], numbers)
        axes.minorticks_off()
        axes.set_title(TASKS[task])
        axes.set_xlabel("demonstrations")
        if len(means) == len(_PAIR):
            words.append(_of_counts(TASKS[task], means[Thing.VANILLA], means[Thing.THINKING]))
        elif not means:
            not_run(axes, "not run")
    if not drawn:
        return None
    row[0].set_ylabel("accuracy, %")
    legend(figure, row, 2)
    text = (
        f"Marks are means over draws, the same for all marks of a task ({draws_of(drawn)}), bars "
        f"are their 95 % intervals. {' '.join(words)} {paper.shows('figure4')}"
    )
    return Picture(figure, "Accuracy by the number of demonstrations", text)


def _of_counts(task: str, vanilla: dict[int, float], thinking: dict[int, float]) -> str:
    """What a panel shows: the ends of vanilla, and the largest distance of thinking from it."""
    least, most = min(vanilla), max(vanilla)
    both = vanilla.keys() & thinking.keys()
    apart = max((thinking[count] - vanilla[count] for count in sorted(both)), key=abs, default=0.0)
    ends = f"{number(vanilla[least])} with {least} demonstrations"
    if most > least:
        ends += f" and {number(vanilla[most])} with {most}"
    return (
        f"On {task} vanilla has {ends}. The largest difference of thinking from it is "
        f"{number(apart, signed=True)} points."
    )


def spread(subject: Subject) -> Picture | None:
    """The spread of accuracy over draws and over orders, as in the paper's Figure 5."""
    figure, (row,) = panels(1, 2)
    halves = {"figure5_seeds": "draws", "figure5_orders": "orders of one draw"}
    words = []
    for axes, (name, kind) in zip(row, halves.items(), strict=True):
        pair = [subject.measure(name, reading) for reading, _, _ in _PAIR]
        if len(draws := shared(*pair)) > 1:
            before, after = _accuracies(axes, [part.of_draws(draws)[0] for part in pair])
            chance_lines(axes, chance.of_task(*pair))
            axes.set_title(f"{kind}, n = {len(draws)}")
            words.append(f"from {number(before)} to {number(after)} over {kind}")
        else:
            axes.set_axis_off()
            not_run(axes, f"{kind}: not run twice")
    if not row[0].lines and not row[1].lines:
        return None
    (row[0] if row[0].lines else row[1]).set_ylabel("SST2 accuracy, %")
    sd = " and ".join(words)
    moved = f"From vanilla to thinking the standard deviation (SD) goes {sd} points."
    text = (
        "A mark is one draw of demonstrations (left) or one order of the same demonstrations "
        "(right), and a line joins the same demonstrations. Boxes, from five draws on, are "
        "quartiles, and whiskers reach at most 1.5 times as far beyond them. "
        f"{moved} {paper.shows('figure5')}"
    )
    return Picture(figure, "The spread of SST2 accuracy over draws and over orders", text)


def _accuracies(axes: Axes, pair: list[Array]) -> list[float]:
    """One mark for each draw, the same draws joined; outcomes [S, I] of each. Returns the SDs."""
    accuracies = [100 * outcomes.mean(axis=1) for outcomes in pair]
    if len(accuracies[0]) >= _FEWEST:
        boxes = axes.boxplot(accuracies, widths=0.45, showfliers=False, patch_artist=True)
        for box, (_, thing, _) in zip(boxes["boxes"], _PAIR, strict=True):
            box.set(facecolor=LOOKS[thing].color, alpha=0.25)
        for median in boxes["medians"]:
            median.set(color="black")
    for ends in zip(*accuracies, strict=True):
        axes.plot([1.12, 1.88], ends, color="0.5", linewidth=0.6, alpha=0.7)
    for place, values, (_, thing, _) in zip((1.12, 1.88), accuracies, _PAIR, strict=True):
        axes.plot([place] * len(values), values, **look(thing) | {"linestyle": ""}, markersize=3)
    sd = [float(np.std(v, ddof=1)) for v in accuracies]
    names = [f"{label}\nSD {number(s)}" for (_, _, label), s in zip(_PAIR, sd, strict=True)]
    axes.set_xticks([1, 2], names)
    axes.set_xlim(0.6, 2.4)
    axes.grid(axis="x", visible=False)
    return sd
