"""The look that all figures share, and the parts of drawings that several of them use."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from deepthink.report.measurements import Measured, Subject, average
from deepthink.report.runs import Array
from deepthink.report.statistics import Estimate

# The palette of Okabe and Ito, which is readable with any colour vision. Line styles differ too.
BLUE, ORANGE, GREEN, PURPLE, SKY, RED = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#D55E00",
)
LOOKS: tuple[dict[str, Any], ...] = (
    {"color": BLUE, "marker": "o", "linestyle": "-"},
    {"color": RED, "marker": "s", "linestyle": "--"},
    {"color": GREEN, "marker": "^", "linestyle": "-."},
    {"color": PURPLE, "marker": "D", "linestyle": ":"},
)
MORE_LOOKS: tuple[dict[str, Any], ...] = (
    *LOOKS,
    {"color": ORANGE, "marker": "v", "linestyle": "-"},
    {"color": SKY, "marker": "P", "linestyle": "--"},
    {"color": "0.4", "marker": "X", "linestyle": "-."},
    {"color": "black", "marker": "d", "linestyle": ":"},
)
_STYLE: dict[str, Any] = {
    "figure.constrained_layout.use": True,
    "figure.dpi": 150,
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "legend.fontsize": 7,
    "lines.linewidth": 1.4,
    "lines.markersize": 3.5,
    "pdf.fonttype": 42,
}


def style() -> AbstractContextManager[None]:
    """Matplotlib's settings for all figures, whatever the user's own settings are."""
    return matplotlib.style.context(_STYLE, after_reset=True)


def panels(rows: int, columns: int, height: float = 2.1, **more: Any) -> tuple[Figure, Array]:
    """A figure and its axes [rows, columns]. height: of a row, in inches."""
    figure = Figure(figsize=(min(7.2, 1.0 + 2.2 * columns), 0.4 + height * rows))
    return figure, figure.subplots(rows, columns, squeeze=False, **more)


def title(figure: Figure, text: str, subject: Subject) -> None:
    """A title, and below it the model and scale."""
    figure.suptitle(f"{text}\n{subject.model}, {subject.scale}", fontsize=8)


def legend(axes: Axes, **look: Any) -> None:
    """A legend, if there is anything to name."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(**look)


def not_run(axes: Axes, text: str) -> None:
    """Write in an empty panel that nothing was run."""
    axes.text(0.5, 0.5, text, ha="center", transform=axes.transAxes)


def draws_of(parts: Sequence[Measured]) -> str:
    """The numbers of draws, such as "n = 10" or "n = 7–10"; empty if there are none."""
    counts = {len(part.runs) for part in parts if part.runs}
    return f"n = {'–'.join(map(str, sorted({min(counts), max(counts)})))}" if counts else ""


def reach(estimate: Estimate) -> list[list[float]]:
    """The distances from a mean to the ends of its interval, as error bars take them."""
    return [[estimate.mean - estimate.low], [estimate.high - estimate.mean]]


def line(
    axes: Axes, xs: Sequence[float], outcomes: Sequence[list[Array]], label: str, **look: Any
) -> None:
    """The means of outcomes over x. Bands are their intervals, drawn above two draws."""
    estimates = [average(each) for each in outcomes]
    axes.plot(xs, [e.mean for e in estimates], label=label, **look)
    if max(e.seeds for e in estimates) > 2:
        axes.fill_between(
            xs,
            [e.low for e in estimates],
            [e.high for e in estimates],
            alpha=0.15,
            linewidth=0,
            color=look.get("color"),
        )


def curve(measured: Measured, split: str = "test") -> tuple[list[int], list[list[Array]]]:
    """The t after which every run was scored, and the outcomes of a split after each."""
    runs = [run for (run,) in measured.runs.values()]
    steps = sorted(set.intersection(*(set(run.steps) for run in runs)))
    return steps, [[np.stack([run.correct(step, split) for run in runs])] for step in steps]
