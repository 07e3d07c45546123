"""Figures over the iterations t: step sizes, positions, and the drift of the memory."""

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from deepthink.config import overrides
from deepthink.report import chance
from deepthink.report.figures.levels import levels
from deepthink.report.figures.style import (
    LOOKS,
    curve,
    draws_of,
    legend,
    line,
    not_run,
    panels,
    title,
)
from deepthink.report.layouts import PAPERS_STEP_SIZE, POSITIONS, STEP_SIZES, TASKS
from deepthink.report.measurements import Measured, Subject
from deepthink.report.readings import LAST


def step_sizes(subject: Subject) -> Figure | None:
    """Step sizes over t, and dev beside test at the paper's η, as in the paper's Figure 6."""
    figure, (row,) = panels(1, 2)
    by_size, by_split = row
    drawn: list[Measured] = []
    sizes = sorted(overrides.axes("figure6")["method.step_size"], key=float)
    for size, look in zip(sizes, LOOKS, strict=False):
        part = subject.measure("figure6", LAST, **{"method.step_size": size})
        if not part.runs:
            continue
        drawn.append(part)
        line(by_size, *curve(part), f"η = {size} (n = {len(part.runs)})", **look)
        if size == PAPERS_STEP_SIZE:
            for split, look_of_split in (("test", LOOKS[0]), ("dev", LOOKS[2])):
                line(by_split, *curve(part, split), split, **look_of_split)
    if not drawn:
        return None
    by_size.set_ylabel("SST2 accuracy, %")
    by_size.set_title("step size")
    by_split.set_title(f"η = {PAPERS_STEP_SIZE}: dev and test")
    for axes in row:
        levels(axes, chance.of_task(*drawn))
        axes.set_xlabel("iterations t")
        legend(axes)
    title(figure, "Step size η and iterations t", subject)
    return figure


def positions(subject: Subject) -> Figure | None:
    """Accuracy over t with aligned and continued positions, for all tasks and two step sizes."""
    figure, grid = panels(len(STEP_SIZES), len(TASKS), 1.7, sharex=True)
    figure.set_figwidth(9)
    drawn: list[Measured] = []
    for row, size in zip(grid, STEP_SIZES, strict=True):
        for axes, task in zip(row, TASKS, strict=True):
            before = len(drawn)
            for name, look in zip(POSITIONS, LOOKS, strict=False):
                where = {"task": task, "method.step_size": size, "method.positions": name}
                part = subject.measure("positions", LAST, **where)
                if part.runs:
                    drawn.append(part)
                    line(axes, *curve(part), name, **look)
            levels(axes, chance.of_task(*drawn[before:]))
            axes.set_title(f"{TASKS[task]}, η = {size}")
            if len(drawn) == before:
                axes.set_yticks([])
                not_run(axes, "not run")
        row[0].set_ylabel("accuracy, %")
    if not drawn:
        return None
    for axes in grid[-1]:
        axes.set_xlabel("iterations t")
    most = max(grid.flat, key=lambda axes: len(axes.lines))
    figure.legend(*most.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    title(figure, f"Where present tokens stand at t ≥ 2, {draws_of(drawn)} draws", subject)
    return figure


def drift(subject: Subject) -> Figure | None:
    """How far the keys and values of each layer have moved from t = 1, on SST2 at η = 0.1."""
    task, size = "sst2", STEP_SIZES[-1]
    figure, grid = panels(2, 2, 2.0, sharex=True, sharey="row")
    drawn = False
    for column, name in enumerate(POSITIONS):
        where = {"task": task, "method.step_size": size, "method.positions": name}
        part = subject.measure("positions", LAST, **where)
        if not part.runs:
            continue
        drawn = True
        moves = [run.record.drift for (run,) in part.runs.values()]
        shades = matplotlib.colormaps["viridis"](np.linspace(0.9, 0.05, len(moves[0])))
        for row, (which, symbol) in enumerate((("keys", "K̃"), ("values", "Ṽ"))):
            axes = grid[row][column]
            for place, shade in enumerate(shades):
                moved = np.mean([getattr(drift[place], which) for drift in moves], axis=0)
                axes.plot(range(1, len(moved) + 1), moved, color=shade,
                          label=f"t = {moves[0][place].step}")  # fmt: skip
            axes.set_title(f"{symbol}, {name} (n = {len(moves)})")
    if not drawn:
        return None
    for axes in grid[:, 0]:
        axes.set_ylabel("relative distance from t = 1")
    for axes in grid[1]:
        axes.set_xlabel("layer")
    legend(grid[0][1], fontsize=6, ncols=2)
    title(figure, f"Drift of the memory, {TASKS[task]}, η = {size}", subject)
    return figure
