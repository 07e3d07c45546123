"""Figures that set methods beside each other: accuracies by category, and differences."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from deepthink.report import chance, comparisons, experiments, paper
from deepthink.report.comparisons import Comparison
from deepthink.report.figures.chance_lines import chance_lines
from deepthink.report.figures.style import (
    WIDTH,
    Picture,
    Thing,
    legend,
    look,
    panels,
    reach,
)
from deepthink.report.measurements import Subject, average, sizes
from deepthink.report.readings import FIVE, READINGS, VANILLA, Reading
from deepthink.report.tables import categories
from deepthink.report.words import number


def by_category(subject: Subject) -> Picture | None:
    """MMLU by category, vanilla beside thinking, as in the paper's Figure 3."""
    (setting,) = experiments.settings("figure3")
    pair = [subject.measure_setting(setting, reading) for reading in (VANILLA, FIVE)]
    if not all(part.runs for part in pair):
        return None
    places = categories(setting)
    figure, ((axes,),) = panels(1, 1, 2.3)
    figure.set_figwidth(5)
    means = []
    for side, (part, thing, label) in enumerate(
        zip(pair, (Thing.VANILLA, Thing.THINKING), ("vanilla", "thinking, t = 5"), strict=True)
    ):
        estimates = [
            average([part.outcomes[i] for i in members], [sizes(setting)[i] for i in members])
            for members in places.values()
        ]
        xs = np.arange(len(places)) + (side - 0.5) * 0.2
        axes.errorbar(
            xs, [e.mean for e in estimates], yerr=np.hstack([reach(e) for e in estimates]),
            label=label, capsize=2, elinewidth=0.8, **look(thing) | {"linestyle": ""},
        )  # fmt: skip
        means.append([e.mean for e in estimates])
    of_members = chance.of_parts(pair[:1])
    for x, members in enumerate(places.values()):
        weights = [sizes(setting)[i] for i in members]
        found = chance.mean([of_members[i] for i in members], weights)
        chance_lines(axes, found, span=(x - 0.4, x + 0.4))
    axes.set_xticks(range(len(places)), list(places))
    axes.set_xlim(-0.5, len(places) - 0.5)
    axes.set_ylabel("accuracy, %")
    axes.grid(axis="x", visible=False)
    legend(figure, [axes], 2)
    gains = ", ".join(
        f"{category} {number(after - before, signed=True)}"
        for category, before, after in zip(places, *means, strict=True)
    )
    text = (
        "Marks are means over questions, bars are their 95 % intervals. The demonstrations are "
        f"given, so n = 1. Thinking less vanilla: {gains} points. "
        f"{paper.shows('figure3')} {paper.stated_gains()}"
    )
    return Picture(figure, "MMLU accuracy by category", text)


def thinking(subject: Subject) -> Picture | None:
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
    figure.set_figwidth(WIDTH)
    for axes, (reading, rivals) in zip(row, by_reading.items(), strict=True):
        thing = Thing.ORACLE if reading.upper_bound else Thing.THINKING
        _differences(axes, [rivals[name] for name in seeds], look(thing))
        bound = " (upper bound)" if reading.upper_bound else ""
        axes.set_title(f"{reading.name}{bound}")
    row[0].set_yticks([-i for i in range(len(labels))], labels)
    row[0].set_ylim(0.5 - len(labels), 0.5)
    row[0].set_ylabel("thinking less …")
    text = (
        f"Marks are means over tasks and draws (n = {most} unless a name says another), bars are "
        "95 % intervals without a correction for their number. Right of the line thinking is "
        f"ahead. {' '.join(_counted(by_reading, [*seeds]))} The oracle chooses t on test: it is an "
        "upper bound and no result."
    )
    title = "Thinking over random demonstrations (η = 0.01, continued) less every other way"
    return Picture(figure, title, text)


def _counted(
    by_reading: Mapping[Reading, Mapping[str, Comparison]], names: Sequence[str]
) -> list[str]:
    """For each reading that is no upper bound: how many intervals lie on either side of zero."""
    words = []
    for reading, rivals in by_reading.items():
        found = [e for name in names if (e := rivals[name].average) is not None]
        if found and not reading.upper_bound:
            above, below = sum(e.low > 0 for e in found), sum(e.high < 0 for e in found)
            words.append(
                f"With {reading.name}, {above} of {len(found)} intervals lie wholly to the right "
                f"and {below} wholly to the left."
            )
    return words


def _differences(axes: Axes, rows: Sequence[Comparison], look: dict[str, Any]) -> None:
    """The average of each comparison with its interval, one below the other."""
    axes.axvline(0, color="black", linewidth=0.8)
    for place, comparison in enumerate(rows):
        if comparison.average is not None:
            axes.errorbar(
                comparison.average.mean, -place, xerr=reach(comparison.average), capsize=2,
                elinewidth=0.9, **look,
            )  # fmt: skip
    axes.set_xlabel("points, mean of tasks")
    axes.grid(axis="y", visible=False)
