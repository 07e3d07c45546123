"""When to stop: accuracy over t, and below it how often each rule chooses which t."""

from collections import Counter

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from deepthink.report import chance
from deepthink.report.figures.levels import levels
from deepthink.report.figures.style import BLUE, curve, draws_of, line, not_run, panels, title
from deepthink.report.layouts import STOPPING_SETTINGS, TASKS
from deepthink.report.measurements import Measured, Subject
from deepthink.report.readings import BY_DEV, BY_LEFT_OUT, BY_LIKELIHOOD, LAST, ORACLE

RULES = {
    BY_DEV: ("dev accuracy", "o"),
    BY_LIKELIHOOD: ("dev log-likelihood", "s"),
    BY_LEFT_OUT: ("leave-one-out", "^"),
    ORACLE: ("oracle", "x"),
}
"""The rules that choose t run by run, from the top row to the lowest: their names and marks."""

LARGEST = 120.0
"""The area of a mark that stands for all draws, in square points."""


def chosen(subject: Subject) -> Figure | None:
    """Accuracy over t, and below it a mark at each t that a rule chose; None without leave-one-out.

    A mark's area is the part of the draws in which this t was chosen.
    """
    settings = {
        name: axes
        for name, axes in STOPPING_SETTINGS.items()
        if any(part.runs for part in subject.measure_tasks("stopping", BY_LEFT_OUT, TASKS, **axes))
    }
    if not settings:
        return None
    heights = [1.6, 0.8] * len(settings)
    figure, grid = panels(len(heights), len(TASKS), 1.2, sharex=True, height_ratios=heights)
    figure.set_figwidth(9)
    drawn: list[Measured] = []
    for place, (name, axes) in enumerate(settings.items()):
        for above, below, task in zip(grid[2 * place], grid[2 * place + 1], TASKS, strict=True):
            drawn.append(_panel(above, below, subject, task, axes))
            above.set_title(TASKS[task])
        grid[2 * place][0].set_ylabel(f"{name}\naccuracy, %")
        names = [name for name, _ in RULES.values()]
        grid[2 * place + 1][0].set_yticks([-row for row in range(len(RULES))], names)
    for axes in grid[-1]:
        axes.set_xlabel("iterations t")
    title(figure, f"The t that each rule chooses, {draws_of(drawn)} draws", subject)
    return figure


def _panel(
    above: Axes, below: Axes, subject: Subject, task: str, where: dict[str, str]
) -> Measured:
    """One task in one setting; returns the runs of its curve."""
    part = subject.measure("stopping", LAST, task=task, **where)
    levels(above, chance.of_task(part))
    if part.runs:
        line(above, *curve(part), "accuracy", color=BLUE, marker="o")
    else:
        above.set_yticks([])
        not_run(above, "not run")
    for row, (rule, (_, mark)) in enumerate(RULES.items()):
        found = subject.measure("stopping", rule, task=task, **where)
        counts = Counter(rule.step(run) for (run,) in found.runs.values())
        areas = [LARGEST * count / counts.total() for count in counts.values()]
        below.scatter([*counts], [-row] * len(counts), areas, color="black", marker=mark)
    below.set_yticks([-row for row in range(len(RULES))], [""] * len(RULES))
    below.set_ylim(0.6 - len(RULES), 0.6)
    below.xaxis.set_major_locator(MaxNLocator(integer=True))
    return part
