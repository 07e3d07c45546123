"""Why thinking changes accuracy: the label bias over t, and raw and calibrated accuracy below."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from deepthink.report import mechanism
from deepthink.report.figures.style import LOOKS, not_run, panels, title
from deepthink.report.measurements import Subject
from deepthink.report.mechanism import SETTINGS, Curves
from deepthink.report.statistics import Estimate

_COLUMNS = dict(zip([*SETTINGS][1:], LOOKS, strict=False))
"""The settings at one step size, and the colour and mark of each."""


def label_bias(subject: Subject) -> Figure | None:
    """A column for each of continued, aligned and rotated positions; None if none has scores.

    In the lower row filled marks on whole lines are calibrated, hollow marks on broken ones raw.
    """
    found = {name: mechanism.measured(subject, name) for name in _COLUMNS}
    if not any(found.values()):
        return None
    figure, grid = panels(2, len(_COLUMNS), 1.9, sharex=True, sharey="row")
    for above, below, (name, look) in zip(*grid, _COLUMNS.items(), strict=True):
        each = found[name]
        if each is None:
            for axes in (above, below):
                not_run(axes, "not run")
            above.set_title(name)
            continue
        above.set_title(f"{name}\ntasks: {len(each.tasks)}, draws: {each.seeds}")
        _curve(
            above, each, each.bias.mean(axis=(0, 1)), each.bias_at, None, {**look, "linestyle": "-"}
        )
        for tasks, label, style in (
            (each.raw, "raw", {"linestyle": "--", "markerfacecolor": "white"}),
            (each.calibrated, "calibrated from dev", {"linestyle": "-"}),
        ):
            means = [each.accuracy_at(tasks, t).mean for t in each.steps]
            ends = partial(each.accuracy_at, tasks)
            _curve(below, each, means, ends, label, {**look, **style})
        below.legend()
        below.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in grid[1]:
        axes.set_xlabel("iterations t")
    grid[0][0].set_ylabel("label bias, points")
    grid[1][0].set_ylabel("accuracy, %")
    title(figure, "Label bias and accuracy over t, means over tasks", subject)
    return figure


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
