"""The look that all figures share: one colour, mark and dash for one thing, and parts of drawings.

A hollow mark is of scores as the model gave them, a filled one of calibrated scores.
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import matplotlib.colors
import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from deepthink.report.measurements import Measured, average
from deepthink.report.runs import Array
from deepthink.report.statistics import Estimate


class Thing(StrEnum):
    """What has a look of its own, with the name that a legend gives it."""

    VANILLA = "vanilla"
    THINKING = "thinking, the paper's setting"
    ALIGNED = "thinking, aligned positions"
    ROTATED = "thinking, rotated back"
    AUTHORS = "thinking, the authors' program"
    REPETITION = "repetition"
    PERMUTATIONS = "five orders averaged"
    GRADIENT = "gradient descent (CT-KV)"
    SELECTION = "a rule that chooses demonstrations"
    OTHER = "another method"
    DEV = "dev"
    LIKELIHOOD = "dev log-likelihood"
    LEFT_OUT = "leave-one-out"
    ORACLE = "oracle (upper bound)"


@dataclass(frozen=True)
class Look:
    """A colour, a matplotlib mark and a matplotlib dash."""

    color: str
    marker: str
    linestyle: str | tuple[int, tuple[int, ...]]


# Colours of Okabe and Ito and of Paul Tol, which are readable with any colour vision. The first six
# that share panels also differ in lightness; marks and dashes differ everywhere.
LOOKS: dict[Thing, Look] = {
    Thing.VANILLA: Look("#000000", "o", "--"),
    Thing.THINKING: Look("#D55E00", "s", "-"),
    Thing.ALIGNED: Look("#004488", "^", "-."),
    Thing.ROTATED: Look("#7CC8F5", "v", (0, (6, 1, 1, 1, 1, 1))),
    Thing.AUTHORS: Look("#D68AB3", "D", ":"),
    Thing.DEV: Look("#117733", "d", (0, (4, 1))),
    Thing.REPETITION: Look("#E69F00", "P", (0, (8, 2))),
    Thing.PERMUTATIONS: Look("#009E73", "X", (0, (2, 1))),
    Thing.GRADIENT: Look("#882255", "*", (0, (8, 2, 2, 2))),
    Thing.SELECTION: Look("#777777", "h", (0, (1, 3))),
    Thing.OTHER: Look("#999999", "p", (0, (1, 5))),
    Thing.LIKELIHOOD: Look("#999933", ">", (0, (3, 3))),
    Thing.LEFT_OUT: Look("#332288", "<", (0, (5, 2, 1, 2))),
    Thing.ORACLE: Look("#555555", "x", (0, (1, 1))),
}
_MARKS = "osD^vPX*hd"
_DASHES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)))
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
    "lines.linewidth": 1.3,
    "lines.markersize": 4,
    "pdf.fonttype": 42,
}
_BANDS_FROM = 3
WIDTH = 7.2
"""The widest figure in inches: the text of a page."""


@dataclass(frozen=True)
class Picture:
    """What a drawing function gives: the drawing, what it shows in a few words, and its caption.

    text: whole sentences on marks, bands and what there is to see. It does not name the model.
    """

    figure: Figure
    title: str
    text: str


def style() -> AbstractContextManager[None]:
    """Matplotlib's settings for all figures, whatever the user's own settings are."""
    return matplotlib.style.context(_STYLE, after_reset=True)


def look(thing: Thing, calibrated: bool = False) -> dict[str, Any]:
    """A thing's look as matplotlib takes it: filled if the scores are calibrated, else hollow."""
    of = LOOKS[thing]
    return {
        "color": of.color,
        "marker": of.marker,
        "linestyle": of.linestyle,
        "markerfacecolor": of.color if calibrated else "white",
    }


def ink(thing: Thing) -> Any:
    """The colour of a thing's name: its own, but dark enough to be read as text."""
    return tuple(0.65 * part for part in matplotlib.colors.to_rgb(LOOKS[thing].color))


def shades(count: int) -> list[Any]:
    """Colours from light to dark for what has an order, which stay in order in grey."""
    return list(matplotlib.colormaps["cividis"](np.linspace(0.85, 0.0, count)))


def ramp(count: int) -> list[dict[str, Any]]:
    """Looks for series without a name of their own, such as step sizes, from light to dark."""
    return [
        {
            "color": shade,
            "marker": _MARKS[place % len(_MARKS)],
            "linestyle": _DASHES[place % len(_DASHES)],
            "markerfacecolor": "white",
        }
        for place, shade in enumerate(shades(count))
    ]


def panels(rows: int, columns: int, height: float = 2.1, **more: Any) -> tuple[Figure, Array]:
    """A figure and its axes [rows, columns]. height: of a row, in inches."""
    figure = Figure(figsize=(min(WIDTH, 1.0 + 2.6 * columns), 0.3 + height * rows))
    return figure, figure.subplots(rows, columns, squeeze=False, **more)


def legend(figure: Figure, places: Iterable[Axes], columns: int, **more: Any) -> None:
    """One legend below the panels, which names each label of theirs once."""
    handles: dict[str, Any] = {}
    for axes in places:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    if handles:
        names = [*handles]
        figure.legend(
            [handles[name] for name in names], names,
            loc="outside lower center", ncols=columns, **more,
        )  # fmt: skip


def not_run(axes: Axes, text: str) -> None:
    """Write in an empty panel that nothing was run."""
    axes.text(0.5, 0.5, text, ha="center", transform=axes.transAxes)


def draws_of(parts: Sequence[Measured]) -> str:
    """The numbers of draws, such as "n = 10" or "n = 7–10"; empty if there are none."""
    counts = {len(part.runs) for part in parts if part.runs}
    return f"n = {'–'.join(map(str, sorted({min(counts), max(counts)})))}" if counts else ""


def means_of(parts: Sequence[Measured]) -> str:
    """The sentence on curves that `line` drew of these parts."""
    bands = "Bands are drawn from three draws on."
    if max(len(part.runs) for part in parts) >= _BANDS_FROM:
        bands = "Bands are their 95 % intervals."
    return f"Marks are means over draws ({draws_of(parts)}). {bands}"


def over_iterations(axes: Axes) -> None:
    """Let the x axis be the iterations t, which are whole."""
    axes.set_xlabel("iterations t")
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))


def reach(estimate: Estimate) -> list[list[float]]:
    """The distances from a mean to the ends of its interval, as error bars take them."""
    return [[estimate.mean - estimate.low], [estimate.high - estimate.mean]]


def line(
    axes: Axes, xs: Sequence[float], outcomes: Sequence[list[Array]], label: str, **look: Any
) -> None:
    """The means of outcomes over x. Bands are their intervals, drawn from three draws on."""
    estimates = [average(each) for each in outcomes]
    axes.plot(xs, [e.mean for e in estimates], label=label, **look)
    if max(e.seeds for e in estimates) >= _BANDS_FROM:
        axes.fill_between(
            xs,
            [e.low for e in estimates],
            [e.high for e in estimates],
            alpha=0.15,
            linewidth=0,
            color=look.get("color"),
        )


def bars(
    axes: Axes, xs: Sequence[float], outcomes: Sequence[list[Array]], label: str, **look: Any
) -> None:
    """The means of outcomes over x, each with its interval as a bar."""
    estimates = [average(each) for each in outcomes]
    axes.errorbar(
        xs, [e.mean for e in estimates], yerr=np.hstack([reach(e) for e in estimates]),
        label=label, capsize=2, elinewidth=0.8, **look,
    )  # fmt: skip


def curve(measured: Measured, split: str = "test") -> tuple[list[int], list[list[Array]]]:
    """The t after which every run was scored, and the outcomes of a split after each."""
    runs = [run for (run,) in measured.runs.values()]
    steps = sorted(set.intersection(*(set(run.steps) for run in runs)))
    return steps, [[np.stack([run.correct(step, split) for run in runs])] for step in steps]
