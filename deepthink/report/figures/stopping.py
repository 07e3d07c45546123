"""When to stop: accuracy over t, and below it how often each rule chooses which t."""

from collections import Counter

from matplotlib.axes import Axes

from deepthink.report import chance
from deepthink.report.figures.chance_lines import chance_lines
from deepthink.report.figures.iterations import LOOK_OF
from deepthink.report.figures.style import (
    LOOKS,
    WIDTH,
    Picture,
    Thing,
    curve,
    line,
    look,
    means_of,
    not_run,
    over_iterations,
    panels,
)
from deepthink.report.layouts import STOPPING_SETTINGS, TASKS
from deepthink.report.measurements import Measured, Subject
from deepthink.report.readings import BY_DEV, BY_LEFT_OUT, BY_LIKELIHOOD, LAST, ORACLE

RULES = {
    BY_DEV: ("dev accuracy", Thing.DEV),
    BY_LIKELIHOOD: (str(Thing.LIKELIHOOD), Thing.LIKELIHOOD),
    BY_LEFT_OUT: (str(Thing.LEFT_OUT), Thing.LEFT_OUT),
    ORACLE: ("oracle", Thing.ORACLE),
}
"""The rules that choose t run by run, from the top row to the lowest: their names and looks."""

LARGEST = 70.0
"""The area of a mark that stands for all draws, in square points."""


def chosen(subject: Subject) -> Picture | None:
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
    figure, grid = panels(len(heights), len(TASKS), 1.15, sharex=True, height_ratios=heights)
    figure.set_figwidth(WIDTH)
    drawn: list[Measured] = []
    for place, (name, axes) in enumerate(settings.items()):
        for above, below, task in zip(grid[2 * place], grid[2 * place + 1], TASKS, strict=True):
            drawn.append(_panel(above, below, subject, task, axes))
            if not place:
                above.set_title(TASKS[task])
        grid[2 * place][0].set_ylabel(f"{name}\naccuracy, %")
        names = [name for name, _ in RULES.values()]
        grid[2 * place + 1][0].set_yticks([-row for row in range(len(RULES))], names)
    for axes in grid[-1]:
        over_iterations(axes)
    text = (
        f"{means_of(drawn)} Below the curves a mark stands at each t that a rule chose, and its "
        "area is the part of the draws. The oracle chooses on test: no rule can know its t."
    )
    return Picture(figure, "Accuracy over t, and the t that each rule chooses", text)


def _panel(
    above: Axes, below: Axes, subject: Subject, task: str, where: dict[str, str]
) -> Measured:
    """One task in one setting; returns the runs of its curve."""
    part = subject.measure("stopping", LAST, task=task, **where)
    if part.runs:
        chance_lines(above, chance.of_task(part))
        line(above, *curve(part), "accuracy", **look(LOOK_OF[where["method.positions"]]))
    else:
        above.set_yticks([])
        not_run(above, "not run")
    for row, (rule, (_, thing)) in enumerate(RULES.items()):
        found = subject.measure("stopping", rule, task=task, **where)
        counts = Counter(rule.step(run) for (run,) in found.runs.values())
        areas = [LARGEST * count / counts.total() for count in counts.values()]
        below.scatter([*counts], [-row] * len(counts), areas, color=LOOKS[thing].color,
                      marker=LOOKS[thing].marker)  # fmt: skip
    below.set_yticks([-row for row in range(len(RULES))], [""] * len(RULES))
    below.set_ylim(0.6 - len(RULES), 0.6)
    return part
