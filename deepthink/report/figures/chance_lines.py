"""The levels of chance and majority, drawn into every figure that shows the accuracy of a task."""

from typing import Any

from matplotlib.axes import Axes

from deepthink.report.chance import NAMES, Levels

_GREY = "0.35"
_ROOM = 0.08
"""The part of an axis that a name below a line takes."""


def chance_lines(
    axes: Axes,
    found: Levels | None,
    horizontal: bool = True,
    span: tuple[float, float] | None = None,
) -> None:
    """Draw chance as a thin dotted line and majority as a thin dashed one, each with its name.

    found: in per cent; None draws nothing. horizontal: whether accuracy is on the y axis. span:
    where horizontal lines begin and end, such as below one pair of bars; their names then stand in
    the legend. None takes the whole length, with the name and the value beside each line.
    """
    if found is None:
        return
    drawn: dict[float, list[str]] = {}
    for name, field in NAMES.items():
        if (value := getattr(found, field)) is not None:
            drawn.setdefault(round(value, 1), []).append(name.lower())
    for value, names in drawn.items():
        style = ":" if "chance" in names else "--"
        look: dict[str, Any] = {"color": _GREY, "linewidth": 0.7, "linestyle": style}
        label = ", ".join(names)
        if span is not None:
            known = axes.get_legend_handles_labels()[1]
            axes.hlines(value, *span, label="" if label in known else label, zorder=3, **look)
            continue
        (axes.axhline if horizontal else axes.axvline)(value, zorder=1, **look)
        _name(axes, value, f"{label} {value:g}", horizontal, upper=value == max(drawn))


def _name(axes: Axes, value: float, text: str, horizontal: bool, upper: bool) -> None:
    """Write at the end of a line: of the upper one on its outer side, of the lower one below."""
    if horizontal:
        if not upper:
            _make_room(axes, value)
        axes.text(
            0.99, value, text, transform=axes.get_yaxis_transform(), fontsize=5, color=_GREY,
            ha="right", va="bottom" if upper else "top",
        )  # fmt: skip
    else:
        axes.text(
            value, 0.99, text, transform=axes.get_xaxis_transform(), fontsize=5, color=_GREY,
            rotation=90, ha="left" if upper else "right", va="top",
        )  # fmt: skip


def _make_room(axes: Axes, value: float) -> None:
    """Let the y axis begin far enough below a line for the name beneath it."""
    low, high = axes.get_ylim()
    room = _ROOM * (high - low)
    if value - low < room:
        axes.set_ylim(bottom=value - room, auto=None)
