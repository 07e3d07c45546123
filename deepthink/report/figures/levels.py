"""The levels of chance and majority, drawn into every figure that shows the accuracy of a task."""

from typing import Any

from matplotlib.axes import Axes

from deepthink.report.chance import NAMES, Levels


def levels(
    axes: Axes,
    found: Levels | None,
    horizontal: bool = True,
    span: tuple[float, float] | None = None,
) -> None:
    """Draw chance as a thin dotted line and majority as a thin dashed one, each with its name.

    found: in per cent; None draws nothing. horizontal: whether accuracy is on the y axis. span:
    where a line begins and ends along the other axis, such as below one pair of bars; None takes
    its whole length and names the line, which a span does not.
    """
    if found is None:
        return
    known = {name: getattr(found, field) for name, field in NAMES.items()}
    drawn: dict[float, list[str]] = {}
    for name, value in known.items():
        if value is not None:
            drawn.setdefault(round(value, 1), []).append(name.lower())
    for value, names in drawn.items():
        look: dict[str, Any] = {
            "color": "0.35",
            "linewidth": 0.7,
            "linestyle": ":" if "chance" in names else "--",
        }
        if span is not None:
            (axes.hlines if horizontal else axes.vlines)(value, *span, zorder=3, **look)
            continue
        label = f"{', '.join(names)} {value:g}"
        if horizontal:
            axes.axhline(value, zorder=1, **look)
            place, angle, across = (0.99, value), 0, axes.get_yaxis_transform()
        else:
            axes.axvline(value, zorder=1, **look)
            place, angle, across = (value, 0.99), 90, axes.get_xaxis_transform()
        axes.text(
            *place, label, transform=across, rotation=angle, fontsize=5, color="0.35",
            ha="right", va="bottom" if horizontal else "top",
        )  # fmt: skip
