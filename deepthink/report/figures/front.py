"""Accuracy against price, and the front of what nothing cheaper beats."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter

from deepthink.report import rivals
from deepthink.report.comparisons import RIVALS
from deepthink.report.figures import labels
from deepthink.report.figures.chance_lines import chance_lines
from deepthink.report.figures.labels import Label
from deepthink.report.figures.style import (
    WIDTH,
    Picture,
    Thing,
    ink,
    legend,
    look,
    panels,
)
from deepthink.report.layout import Line
from deepthink.report.layouts import RULES, TASKS
from deepthink.report.measurements import Subject
from deepthink.report.readings import VANILLA
from deepthink.report.rival_lines import METHODS
from deepthink.report.rivals import ANSWERS, Standings
from deepthink.report.words import number

_THINGS = {
    "deepthink_curve": Thing.THINKING,
    "authors": Thing.AUTHORS,
    "aligned": Thing.ALIGNED,
    "rotated": Thing.ROTATED,
    "repeat": Thing.REPETITION,
    "permutations": Thing.PERMUTATIONS,
    "kv_tuning": Thing.GRADIENT,
    **dict.fromkeys([*RULES, "lens", "best_random"], Thing.SELECTION),
}
_AXIS = f"operations for {ANSWERS} answers"


def thing_of(line: Line) -> Thing:
    """What a line of rivals is drawn as."""
    if line.axes["method"] == "deepthink_curve" and line.reading == VANILLA:
        return Thing.VANILLA
    return _THINGS.get(line.axes["method"], Thing.OTHER)


def prices(subject: Subject) -> Picture | None:
    """Mean accuracy over tasks against the operations of a hundred answers, for every rival.

    One panel for raw and one for calibrated scores. Thinking and whatever is on a front are named
    at their marks; a number names any other method.
    """
    of = rivals.standings(subject)
    if len(of.entries) < 2:
        return None
    sides = {
        title: replace(of, entries=kept)
        for title, calibrated in (("raw scores", False), ("scores calibrated from dev", True))
        if (kept := tuple(each for each in of.entries if each.calibrated == calibrated))
    }
    figure, (row,) = panels(1, len(sides), 4.6, sharex=True, sharey=True)
    figure.set_figwidth(WIDTH)
    for axes, (title, side) in zip(row, sides.items(), strict=True):
        axes.set_title(title)
        axes.set_xlabel(_AXIS)
        _marks(axes, side)
    row[0].set_ylabel("accuracy, %")
    at_front = {entry.line.label for side in sides.values() for entry in side.front}
    others = dict.fromkeys(
        entry.line.label for entry in of.entries if thing_of(entry.line) == Thing.OTHER
    )
    hidden = [label for label in others if label not in at_front]
    numbers = {label: str(place) for place, label in enumerate(hidden, 1)}
    for label, place in numbers.items():
        row[0].plot([], [], label=f"{place}  {label}", **_mark(Thing.OTHER, False))
    legend(figure, row, 3, fontsize=6)
    most = _most(of)
    for axes, side in zip(row, sides.values(), strict=True):
        names = {entry.line.label: _name(entry.line) for entry in side.entries} | numbers
        _write(axes, side, _with_draws(names, side, most))
    fronts = " ".join(
        f"With {title} these are on it: {'; '.join(entry.line.label for entry in side.front)}."
        for title, side in sides.items()
    )
    text = (
        f"{_means(of)} The line is the front: nothing cheaper in its panel has a higher mean. "
        f"{fronts} Means may differ by chance, and the table has their intervals."
    )
    return Picture(figure, "Accuracy against the price of an answer", text)


def choices(subject: Subject) -> Picture | None:
    """As `prices`, for the ways to choose demonstrations, and thinking over random ones."""
    of = ways(subject)
    if len(of.entries) < 2:
        return None
    figure, ((axes,),) = panels(1, 1, 3.4)
    figure.set_figwidth(WIDTH)
    axes.set_xlabel(_AXIS)
    axes.set_ylabel("accuracy, %")
    _marks(axes, of)
    names = {entry.line.label: _way(entry.line) for entry in of.entries}
    _write(axes, of, _with_draws(names, of, _most(of)))
    chosen = [entry for entry in of.entries if thing_of(entry.line) == Thing.SELECTION]
    seen = ""
    if (plain := of.find(METHODS[0], False)) and chosen:
        above = sum(entry.estimate.mean > plain.estimate.mean for entry in chosen)
        times = [entry.price.of(ANSWERS) / plain.price.of(ANSWERS) for entry in chosen]
        seen = (
            f" Of {len(chosen)} ways to choose demonstrations, {above} have a higher mean than "
            f"random ones; they cost {number(min(times))} to {number(max(times))} times as much."
        )
    text = f"{_means(of)} The line is the front: nothing cheaper has a higher mean.{seen}"
    return Picture(figure, "Accuracy against the price of choosing demonstrations", text)


def ways(subject: Subject) -> Standings:
    """Vanilla and thinking over random demonstrations, repetition, and every rule that chooses."""
    ways = [(RIVALS["vanilla"][0], line) for line in METHODS[:3]]
    ways += [
        (experiment, Line(label, axes, VANILLA))
        for label, (experiment, axes) in RIVALS.items()
        if label != "vanilla"
    ]
    tasks = rivals.tasks_of(subject)
    found = (rivals.entry(subject, name, line, line.reading, tasks) for name, line in ways)
    return Standings(subject, tasks, tuple(entry for entry in found if entry is not None))


def _means(of: Standings) -> str:
    """The sentence on what the marks are means over."""
    counts = [entry.estimate.seeds for entry in of.entries]
    tasks = ", ".join(TASKS[task] for task in of.tasks)
    fewer = " unless its name says another" if min(counts) < max(counts) else ""
    return (
        f"Marks are means over draws (n = {max(counts)}{fewer}) on {tasks}; hollow ones are of raw "
        "scores."
    )


def _name(line: Line) -> str:
    """A line's name beside its mark, whose colour says the rest where a thing has two readings."""
    thing = thing_of(line)
    if thing == Thing.OTHER:
        return line.label
    alone = sum(thing_of(other) == thing for other in METHODS) == 1
    return str(thing) if alone else line.label.rpartition(", ")[2]


def _way(line: Line) -> str:
    """A line's name among the ways to choose demonstrations."""
    thing = thing_of(line)
    names = {Thing.VANILLA: str(thing), Thing.THINKING: f"thinking, {line.reading.name}"}
    return names.get(thing, line.label)


def _most(of: Standings) -> int:
    """The largest number of draws of an entry."""
    return max(entry.estimate.seeds for entry in of.entries)


def _with_draws(names: Mapping[str, str], of: Standings, most: int) -> dict[str, str]:
    """The names of entries, those of fewer draws than `most` with their number."""
    draws = {entry.line.label: entry.estimate.seeds for entry in of.entries}
    return {label: names[label] + (f" (n = {n})" if n < most else "") for label, n in draws.items()}


def _mark(thing: Thing, calibrated: bool) -> dict[str, Any]:
    """The look of a mark without a line."""
    return look(thing, calibrated) | {"linestyle": "", "markersize": 5}


def _marks(axes: Axes, of: Standings) -> None:
    """A mark for each entry, and the front as a staircase."""
    for entry in of.entries:
        thing = thing_of(entry.line)
        axes.plot(
            entry.price.of(ANSWERS), entry.estimate.mean, zorder=2 if thing == Thing.OTHER else 3,
            label="_" if thing == Thing.OTHER else str(thing),
            **_mark(thing, entry.calibrated),
        )  # fmt: skip
    chance_lines(axes, of.entries[0].levels)
    axes.plot(*zip(*_stairs(of), strict=True), color="0.75", linewidth=1, zorder=0)
    axes.set_xscale("log")
    axes.margins(0.1)
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 30 * low else (1,)))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _stairs(of: Standings) -> list[tuple[float, float]]:
    """The corners of the front, up to the dearest entry."""
    front = [(entry.price.of(ANSWERS), entry.estimate.mean) for entry in of.front]
    dearest = max(entry.price.of(ANSWERS) for entry in of.entries)
    corners = [front[0]]
    for price, mean in front[1:]:
        corners += [(price, corners[-1][1]), (price, mean)]
    return [*corners, (dearest, corners[-1][1])]


def _write(axes: Axes, of: Standings, names: Mapping[str, str]) -> None:
    """Each entry's name beside its mark, those on the front and those of things first."""
    ranked = sorted(
        of.entries,
        key=lambda entry: (entry not in of.front, thing_of(entry.line) == Thing.OTHER),
    )
    places = {id(entry): (entry.price.of(ANSWERS), entry.estimate.mean) for entry in ranked}
    written = [
        Label(*places[id(entry)], names[entry.line.label], ink(thing_of(entry.line)))
        for entry in ranked
    ]
    labels.write(axes, written, [*places.values()], _stairs(of))
