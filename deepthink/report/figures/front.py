"""Accuracy against price: every rival, and the front of those that nothing cheaper beats."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from deepthink.report import rivals
from deepthink.report.figures.levels import levels
from deepthink.report.figures.style import BLUE, RED, panels, title
from deepthink.report.layouts import TASKS
from deepthink.report.measurements import Subject
from deepthink.report.rival_lines import METHODS
from deepthink.report.rivals import ANSWERS, Entry, Standings

_GREY = "0.45"


def prices(subject: Subject) -> Figure | None:
    """Mean accuracy over tasks against the operations of a hundred answers.

    Filled marks are calibrated from dev, hollow ones are raw. A number names the method.
    """
    of = rivals.standings(subject)
    if len(of.entries) < 2:
        return None
    figure, ((axes, names),) = panels(1, 2, 3.6, width_ratios=(3, 2))
    figure.set_figwidth(7.2)
    lines = [line for line in METHODS if of.find(line, False) or of.find(line, True)]
    for entry in of.entries:
        _point(axes, entry, lines.index(entry.line) + 1)
    _front(axes, of)
    levels(axes, of.entries[0].levels)
    axes.set_xscale("log")
    axes.set_xlabel(f"operations for {ANSWERS} answers, all that comes before them included")
    axes.set_ylabel("accuracy, %")
    names.set_axis_off()
    names.text(
        0, 1, "\n".join(f"{number}  {line.label}" for number, line in enumerate(lines, 1)),
        va="top", fontsize=6, linespacing=1.35, transform=names.transAxes,
    )  # fmt: skip
    tasks = ", ".join(TASKS[task] for task in of.tasks)
    title(figure, f"Accuracy against price, {_means(of.tasks)}{tasks}", subject)
    return figure


def _means(tasks: Sequence[str]) -> str:
    return "mean of " if len(tasks) > 1 else ""


def _point(axes: Axes, entry: Entry, number: int) -> None:
    """A mark with its number: thinking in red squares, everything else in circles."""
    ours = entry.line.label.startswith("Thinking")
    vanilla = entry.line == METHODS[0]
    colour = RED if ours else "black" if vanilla else _GREY
    x, y = entry.price.of(ANSWERS), entry.estimate.mean
    axes.plot(
        x, y, linestyle="", marker="s" if ours else "D" if vanilla else "o", markersize=4,
        color=colour, markerfacecolor=colour if entry.calibrated else "white",
    )  # fmt: skip
    axes.annotate(
        str(number), (x, y), xytext=(3, 2), textcoords="offset points", fontsize=5, color=colour
    )


def _front(axes: Axes, of: Standings) -> None:
    """A staircase through the entries that nothing cheaper beats."""
    front = of.front
    dearest = max(entry.price.of(ANSWERS) for entry in of.entries)
    xs = [*(entry.price.of(ANSWERS) for entry in front), dearest]
    ys = [*(entry.estimate.mean for entry in front), front[-1].estimate.mean]
    axes.step(xs, ys, where="post", color=BLUE, linewidth=1, zorder=0)
