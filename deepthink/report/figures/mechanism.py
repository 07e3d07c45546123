"""Why thinking changes accuracy: the label bias over t, and raw and calibrated accuracy below."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from matplotlib.axes import Axes

from deepthink.report import mechanism
from deepthink.report.figures.style import (
    WIDTH,
    Picture,
    Thing,
    look,
    not_run,
    over_iterations,
    panels,
)
from deepthink.report.measurements import Subject
from deepthink.report.mechanism import SETTINGS, Curves
from deepthink.report.statistics import Estimate

_THINGS = (Thing.THINKING, Thing.ALIGNED, Thing.ROTATED)
_COLUMNS = dict(zip([*SETTINGS][1:], _THINGS, strict=True))
"""The settings at one step size, and what each is drawn as."""


def label_bias(subject: Subject) -> Picture | None:
    """A column for each of continued, aligned and rotated positions; None if none has scores.

    In the lower row filled marks on whole lines are calibrated, hollow marks on broken ones raw.
    """
    found = {name: mechanism.measured(subject, name) for name in _COLUMNS}
    if not any(found.values()):
        return None
    figure, grid = panels(2, len(_COLUMNS), 1.9, sharex=True, sharey="row")
    figure.set_figwidth(WIDTH)
    for above, below, (name, thing) in zip(*grid, _COLUMNS.items(), strict=True):
        above.set_title(name)
        if (each := found[name]) is None:
            for axes in (above, below):
                not_run(axes, "not run")
            continue
        plain = look(thing) | {"linestyle": "-"}
        _curve(above, each, each.bias.mean(axis=(0, 1)), each.bias_at, None, plain)
        for tasks, label, style in (
            (each.raw, "raw", look(thing) | {"linestyle": "--"}),
            (each.calibrated, "calibrated from dev", look(thing, True) | {"linestyle": "-"}),
        ):
            means = [each.accuracy_at(tasks, t).mean for t in each.steps]
            _curve(below, each, means, partial(each.accuracy_at, tasks), label, style)
        below.legend()
    for axes in grid[1]:
        over_iterations(axes)
    grid[0][0].set_ylabel("label bias, points")
    grid[1][0].set_ylabel("accuracy, %")
    return Picture(figure, "Label bias and accuracy over t", _text([*filter(None, found.values())]))


def _text(found: Sequence[Curves]) -> str:
    """The caption: what a mark is, and how bias and accuracies move from the first t to t = 5."""
    counts = "; ".join(f"{e.setting}: {len(e.tasks)} tasks, n = {e.seeds}" for e in found)
    return (
        f"Lines are means over tasks and draws ({counts}). Bands are 95 % intervals, from three "
        "draws on. The label bias is the part of the predictions, in points, that has to change "
        "its label so that every label is predicted as often as it is gold."
    )


def _curve(
    axes: Axes,
    each: Curves,
    means: Sequence[float],
    estimate: Callable[[int], Estimate | None],
    label: str | None,
    look: dict[str, Any],
) -> None:
    """A line over t, and its band above two draws."""
    axes.plot(each.steps, means, label=label, **look)
    bands = [e for e in map(estimate, each.steps) if e is not None and e.seeds > 2]
    if bands:
        low, high = [e.low for e in bands], [e.high for e in bands]
        axes.fill_between(each.steps, low, high, alpha=0.15, linewidth=0, color=look["color"])
