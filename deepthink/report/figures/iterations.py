"""Figures over the iterations t: step sizes, positions, and the drift of the memory."""

import numpy as np
from matplotlib.ticker import MaxNLocator

from deepthink.config import overrides
from deepthink.report import chance, paper
from deepthink.report.figures.chance_lines import chance_lines
from deepthink.report.figures.style import (
    WIDTH,
    Picture,
    Thing,
    curve,
    draws_of,
    legend,
    line,
    look,
    means_of,
    not_run,
    over_iterations,
    panels,
    ramp,
    shades,
)
from deepthink.report.layouts import PAPERS_STEP_SIZE, POSITIONS, STEP_SIZES, TASKS
from deepthink.report.measurements import Measured, Subject, average, paired
from deepthink.report.readings import FIVE, LAST
from deepthink.report.words import number

LOOK_OF = {"continued": Thing.THINKING, "aligned": Thing.ALIGNED}
"""What thinking with these positions looks like."""


def step_sizes(subject: Subject) -> Picture | None:
    """Step sizes over t, and dev beside test at the paper's η, as in the paper's Figure 6."""
    figure, (row,) = panels(1, 2)
    by_size, by_split = row
    sizes = sorted(overrides.axes("figure6")["method.step_size"], key=float)
    moves = []
    parts = paired(
        {size: subject.measure("figure6", LAST, **{"method.step_size": size}) for size in sizes}
    )
    drawn = [*parts.values()]
    for size, other in zip(sizes, ramp(len(sizes)), strict=True):
        if size not in parts:
            continue
        part = parts[size]
        papers = size == PAPERS_STEP_SIZE
        of = look(Thing.THINKING) if papers else other
        steps, outcomes = curve(part)
        line(by_size, steps, outcomes, f"test, η = {size}", **of)
        moved = average(outcomes[-1]).mean - average(outcomes[0]).mean
        moves.append(f"{number(moved, signed=True)} at η = {size}")
        if papers:
            line(by_split, steps, outcomes, f"test, η = {size}", **of)
            if all(run.has_dev for (run,) in part.runs.values()):
                line(by_split, *curve(part, "dev"), f"dev, η = {size}", **look(Thing.DEV))
    if not drawn:
        return None
    by_size.set_ylabel("SST2 accuracy, %")
    by_size.set_title("test, by step size")
    by_split.set_title(f"η = {PAPERS_STEP_SIZE}: dev and test")
    for axes in row:
        over_iterations(axes)
        if axes.lines:
            chance_lines(axes, chance.of_task(*drawn))
        else:
            not_run(axes, "not run")
    legend(figure, row, 3)
    text = (
        f"{means_of(drawn)} t = 1 is vanilla. From the first t to the last, the mean on test "
        f"changes by {', '.join(moves)} (points). {paper.shows('figure6')}"
    )
    return Picture(figure, "SST2 accuracy over t by step size η, and on dev and test", text)


def positions(subject: Subject) -> Picture | None:
    """Accuracy over t with aligned and continued positions, for all tasks and two step sizes."""
    figure, grid = panels(len(STEP_SIZES), len(TASKS), 1.7, sharex=True)
    drawn: list[Measured] = []
    ahead: dict[str, list[bool]] = {size: [] for size in STEP_SIZES}
    for row, size in zip(grid, STEP_SIZES, strict=True):
        for axes, task in zip(row, TASKS, strict=True):
            means = {}
            where = {"task": task, "method.step_size": size}
            parts = paired(
                {
                    name: subject.measure("positions", LAST, **where, **{"method.positions": name})
                    for name in POSITIONS
                }
            )
            drawn += parts.values()
            for name, part in parts.items():
                steps, outcomes = curve(part)
                line(axes, steps, outcomes, name, **look(LOOK_OF[name]))
                if FIVE.fixed in steps:
                    means[name] = average(outcomes[steps.index(FIVE.fixed)]).mean
            if len(means) == len(POSITIONS):
                ahead[size].append(means["aligned"] > means["continued"])
            if axes.lines:
                chance_lines(axes, chance.of_task(*parts.values()))
            else:
                axes.set_yticks([])
                not_run(axes, "not run")
        row[0].set_ylabel(f"η = {size}\naccuracy, %")
    if not drawn:
        return None
    for axes, task in zip(grid[0], TASKS.values(), strict=True):
        axes.set_title(task)
    for axes in grid[-1]:
        over_iterations(axes)
    figure.set_figwidth(WIDTH)
    legend(figure, grid.flat, 2)
    counted = " and ".join(
        f"{sum(tasks)} of {len(tasks)} tasks at η = {size}"
        for size, tasks in ahead.items()
        if tasks
    )
    seen = f" At {FIVE.name} aligned positions have the higher mean on {counted}." * bool(counted)
    text = f"{means_of(drawn)} t = 1 is vanilla.{seen}"
    return Picture(figure, "Accuracy over t with continued and with aligned positions", text)


def drift(subject: Subject) -> Picture | None:
    """How far the keys and values of each layer have moved from t = 1, on SST2 at η = 0.1."""
    task, size = "sst2", STEP_SIZES[-1]
    figure, grid = panels(2, 2, 1.9, sharex=True, sharey="row")
    drawn: list[Measured] = []
    last = []
    for column, name in enumerate(POSITIONS):
        where = {"task": task, "method.step_size": size, "method.positions": name}
        part = subject.measure("positions", LAST, **where)
        moves = [run.record.drift for (run,) in part.runs.values()]
        if not any(moves):
            not_run(grid[0][column], f"{name}: not run")
            not_run(grid[1][column], f"{name}: not run")
            continue
        drawn.append(part)
        ends = []
        for row, (which, symbol) in enumerate((("keys", "K̃"), ("values", "Ṽ"))):
            axes = grid[row][column]
            for place, shade in enumerate(shades(len(moves[0]))):
                moved = np.mean([getattr(drift[place], which) for drift in moves], axis=0)
                axes.plot(range(1, len(moved) + 1), moved, color=shade,
                          label=f"t = {moves[0][place].step}")  # fmt: skip
            axes.set_title(f"{symbol}, {name}")
            ends.append(number(float(moved.mean()), digits=2))
        last.append(f"{ends[0]} (keys) and {ends[1]} (values) with {name} positions")
    if not drawn:
        return None
    for axes in grid[:, 0]:
        axes.set_ylabel("distance from t = 1")
    for axes in grid[1]:
        axes.set_xlabel("layer")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend(figure, grid.flat, 7)
    text = (
        f"Lines are means over draws ({draws_of(drawn)}) of the distance from t = 1, relative to "
        f"the size at t = 1, in each layer. After the last t, its mean over layers is "
        f"{'; '.join(last)}."
    )
    return Picture(figure, f"How far keys and values move, {TASKS[task]}, η = {size}", text)
