"""Names beside marks, placed so that they cover no mark and no other name."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import cos, pi, sin
from typing import Any

from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

from deepthink.report.runs import Array

_RADII = (5, 9, 14, 20, 27, 35, 44, 54, 65)
"""How far a name may stand from its mark, in points."""
_TURNS = (0, 8, 1, 15, 7, 9, 2, 14, 6, 10, 4, 12, 3, 13, 5, 11)
"""Directions in sixteenths of a turn: to the right, to the left, then the others."""
_AROUND = 3.0
"""Half the width of the square that a mark is taken for, in points."""
_SIZE = 6
_LINE = 0.5
"""Half the width of a line, in points."""


@dataclass(frozen=True)
class Label:
    """A name for the mark at x and y, in the units of the axes."""

    x: float
    y: float
    text: str
    color: Any


def write(
    axes: Axes,
    labels: Sequence[Label],
    marks: Sequence[tuple[float, float]],
    stairs: Sequence[tuple[float, float]],
) -> None:
    """Write each name at the nearest free place beside its mark, in the order given.

    A name that does not stand right beside its mark is joined to it by a thin line. Where no place
    is free, the one with the least overlap is taken. Afterwards nothing may be drawn in the figure
    that changes its layout.

    Args:
        axes: with its limits set.
        labels: the names.
        marks: every mark of the axes, in their units.
        stairs: the corners of a line of level and upright pieces that names should not cover.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # settles the size of the axes
    point = figure.dpi / 72
    spots, corners = ([axes.transData.transform(xy) for xy in each] for each in (marks, stairs))
    taken = [_around(spot, spot, _AROUND * point) for spot in spots]
    taken += [_around(*ends, _LINE * point) for ends in pairwise(corners)]
    inside = axes.get_window_extent()
    for label in labels:
        mark = axes.transData.transform((label.x, label.y))
        note = axes.annotate(label.text, (label.x, label.y), fontsize=_SIZE)
        size = note.get_window_extent()
        note.remove()
        places = _places(mark, size.width, size.height, point)
        offset, beside, box = min(places, key=lambda place: _covered(place[-1], taken, inside))
        taken.append(box)
        joined = {"arrowstyle": "-", "linewidth": 0.4, "color": label.color, "shrinkA": 0}
        axes.annotate(
            label.text, (label.x, label.y), xytext=offset, textcoords="offset points",
            fontsize=_SIZE, color=label.color, ha="center", va="center", in_layout=False,
            arrowprops=None if beside else joined | {"shrinkB": _AROUND},
        )  # fmt: skip


def _around(a: Array, b: Array, margin: float) -> Bbox:
    """The box around two points in pixels."""
    (left, right), (low, high) = sorted((a[0], b[0])), sorted((a[1], b[1]))
    return Bbox.from_extents(left - margin, low - margin, right + margin, high + margin)


def _places(
    mark: Array, width: float, height: float, point: float
) -> Iterator[tuple[tuple[float, float], bool, Bbox]]:
    """The offset of a name's middle in points, whether it is beside the mark, and its box.

    Nearest first. mark, width, height: in pixels. point: the pixels of a point.
    """
    for radius in _RADII:
        for turn in _TURNS:
            angle = 2 * pi * turn / 16
            right = cos(angle) * (radius * point + width / 2)
            up = sin(angle) * (radius * point + height / 2)
            x, y = mark[0] + right, mark[1] + up
            box = Bbox.from_extents(x - width / 2, y - height / 2, x + width / 2, y + height / 2)
            yield (right / point, up / point), radius == _RADII[0] and turn % 8 == 0, box


def _covered(box: Bbox, taken: Sequence[Bbox], inside: Bbox) -> float:
    """How much of a box is taken or outside the axes, in square pixels."""
    shared = [Bbox.intersection(box, other) for other in taken]
    within = Bbox.intersection(box, inside)
    outside = box.width * box.height - (within.width * within.height if within else 0.0)
    return outside + sum(each.width * each.height for each in shared if each)
