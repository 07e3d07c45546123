"""Curves over t of whatever methods were run on a task: those of one's own sweeps."""

import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from deepthink.report.figures.chance_lines import chance_lines
from deepthink.report.figures.style import (
    WIDTH,
    Picture,
    Thing,
    legend,
    line,
    look,
    over_iterations,
    panels,
    ramp,
    reach,
)
from deepthink.report.further import FurtherRow, shown
from deepthink.report.further_tables import SYMBOLS
from deepthink.report.measurements import average
from deepthink.report.runs import Array
from deepthink.store import curves as points

Lines = Mapping[str, FurtherRow]
"""The rows of one task by the method's name."""

_MOST_WORDS = 4
_MOST_LINES = 8


def parts(lines: Lines) -> list[Lines]:
    """The lines that have runs, in parts of no more than can be told apart."""
    run = [(name, row) for name, row in lines.items() if row.runs]
    size = _MOST_LINES
    return [dict(run[begin : begin + size]) for begin in range(0, len(run), size)]


def curves(task: str, rows: Lines) -> Picture:
    """Accuracy over t on test, and on dev where there is a dev set, of rows that have runs.

    A method with T = 1 is a level line. Where no method has more, each is a point.
    """
    title = f"{task}: {'; '.join(_told(rows)) or next(iter(rows))}"
    if all(row.iterations == 1 for row in rows.values()):
        return _points(title, rows)
    splits = [split for split in ("test", "dev") if any(_steps(r, split) for r in rows.values())]
    figure, (panel,) = panels(1, len(splits), 2.6)
    figure.set_figwidth(WIDTH if len(splits) > 1 else 5)
    looks = _looks(rows)
    for axes, split in zip(panel, splits, strict=True):
        for name, row in rows.items():
            if steps := _steps(row, split):
                _line(axes, row, split, steps, f"{name} (n = {len(row.runs)})", looks[name])
        chance_lines(axes, next(iter(rows.values())).levels if split == "test" else None)
        axes.set_title(split)
        over_iterations(axes)
    panel[0].set_ylabel("accuracy, %")
    legend(figure, panel, len(splits), fontsize=6)
    text = (
        "Marks are means over n draws. Bands are their 95 % intervals, from three draws on. A "
        "method that reads its demonstrations once is a level line."
    )
    return Picture(figure, title, text)


def _looks(rows: Lines) -> dict[str, dict[str, Any]]:
    """A look for each method: vanilla's own, and a step of one scale for every other."""
    others = [name for name, row in rows.items() if row.label != Thing.VANILLA]
    looks = dict(zip(others, ramp(len(others)), strict=True))
    return {name: looks.get(name) or look(Thing.VANILLA) for name in rows}


def _line(
    axes: Axes, row: FurtherRow, split: str, steps: list[int], label: str, look: Mapping[str, Any]
) -> None:
    outcomes = [_outcomes(row, split, step) for step in steps]
    if len(steps) > 1:
        line(axes, steps, outcomes, label, **look)
        return
    level = average(outcomes[0]).mean
    axes.axhline(level, label=label, color=look["color"], linestyle=look["linestyle"], alpha=0.8)


def _points(title: str, rows: Lines) -> Picture:
    """The accuracy of methods that read their demonstrations once, one below the other."""
    figure, ((axes,),) = panels(1, 1, 0.5 + 0.22 * len(rows))
    figure.set_figwidth(5)
    looks = _looks(rows)
    for place, (name, row) in enumerate(rows.items()):
        estimate = average(_outcomes(row, "test", 1))
        axes.errorbar(estimate.mean, -place, xerr=reach(estimate), capsize=2, **looks[name])
    chance_lines(axes, next(iter(rows.values())).levels, horizontal=False)
    names = [f"{name} (n = {len(row.runs)})" for name, row in rows.items()]
    axes.set_yticks([-place for place in range(len(rows))], names)
    axes.set_xlabel("test accuracy, %")
    axes.margins(y=0.3)
    text = "Marks are means over n draws on test, bars are their 95 % intervals."
    return Picture(figure, title, text)


def _steps(row: FurtherRow, split: str) -> list[int]:
    """The t after which a split was scored in every run."""
    scored = [
        {point.step for point in points.of_split(run.record.curve, split)}
        for members in row.runs.values()
        for run in members
    ]
    return sorted(set.intersection(*scored))


def _outcomes(row: FurtherRow, split: str, step: int) -> list[Array]:
    """Of the task or of each member: int8 [S, I], 1 where draw s is right on example i."""
    members = zip(*row.runs.values(), strict=True)
    return [np.stack([run.correct(step, split) for run in draws]) for draws in members]


def _values(lines: Lines) -> dict[str, list[str]]:
    """The settings in which methods differ, with their values in order; labels are "method"."""
    settings = [{"method": row.label, "T": row.iterations, **row.common} for row in lines.values()]
    names = dict.fromkeys(name for each in settings for name in each)
    told: dict[str, list[str]] = {}
    for name in names:
        if name.endswith((".name", ".source")) and "method" in told:
            continue  # the labels say it
        values = [each[name] for each in settings if name in each]
        if len({json.dumps(value) for value in values}) > 1:
            numbers = all(isinstance(value, int | float) for value in values)
            told[name] = list(dict.fromkeys(map(shown, sorted(values) if numbers else values)))
    return told


def _told(lines: Lines) -> list[str]:
    """What was swept, in words for a title, such as "η 0.01 and 0.1"."""
    words = []
    for name, values in _values(lines).items():
        some = ", ".join(values[:4]) + (", …" if len(values) > 4 else "")
        known = "" if name == "method" else f"{SYMBOLS.get(name, name.rpartition('.')[2])} "
        words.append(f"{known}{some}")
    more = len(words) - _MOST_WORDS
    return words if more <= 0 else [*words[:_MOST_WORDS], f"and {more} settings more"]


def swept(lines: Lines) -> list[str]:
    """What was swept, in words for the name of a file, such as ["method", "step_size"]."""
    short = {"demonstrations": "k"}
    names = (short.get(name, name.rpartition(".")[2]) for name in _values(lines))
    words = [*dict.fromkeys(re.sub(r"\W", "-", name) for name in names)]
    return words if len(words) <= _MOST_WORDS else [*words[:_MOST_WORDS], "more"]
