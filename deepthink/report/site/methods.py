"""The methods of the page, the ways to read t, and the calibrations that a reader can choose."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from deepthink.report import calibrated, experiments
from deepthink.report.layout import Line
from deepthink.report.layouts import LAYOUTS
from deepthink.report.readings import (
    BY_DEV,
    BY_LEFT_OUT,
    BY_LIKELIHOOD,
    FIVE,
    ORACLE,
    VANILLA,
    Calibration,
    Reading,
    at,
)
from deepthink.report.runs import Run

GROUPS = {
    "rivals": "What a frozen model can do with its demonstrations",
    "table1": "Ways to choose the demonstrations",
    "positions": "Thinking at other step sizes and positions",
}
"""The experiments whose methods are shown, and the heading of each."""

OWN = "own"
"""The choice of the t that a method's first row in the tables has."""

READINGS = (VANILLA, FIVE, at(7), BY_DEV, BY_LIKELIHOOD, BY_LEFT_OUT, ORACLE)
"""The other choices of t."""


def slug(text: str) -> str:
    """A name as a word of an address.

    >>> slug("Thinking, aligned, η = 0.1")
    'thinking-aligned-0-1'
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


@dataclass(frozen=True)
class Method:
    """A row of the page's table.

    experiment, axes: its runs. own: the reading of its first row in the tables. steps: whether it
    has a t to choose. chooses: as in `Line`.
    """

    label: str
    experiment: str
    axes: dict[str, str]
    own: Reading
    steps: bool
    chooses: bool

    @property
    def key(self) -> str:
        """The name in the page's address."""
        return slug(self.label)

    @property
    def readings(self) -> dict[str, Reading]:
        """The reading behind each choice of t, by the choice's key.

        A method that reads its demonstrations once has one reading under every choice. A fixed t
        after the first is no choice where a row of the tables has none, as where t counts the
        values of a gain.
        """
        if not self.steps:
            return dict.fromkeys([OWN, *(slug(each.name) for each in READINGS)], VANILLA)
        fixed = self.own.fixed is not None
        found = {slug(each.name): each for each in READINGS if fixed or each.fixed in (None, 1)}
        return {OWN: self.own, **found}


def methods() -> tuple[Method, ...]:
    """Every method of the experiments in `GROUPS`, each set of runs once."""
    found: dict[object, Method] = {}
    for layout in (layout for name in GROUPS for layout in LAYOUTS if layout.name == name):
        for title, lines in layout.sections.items():
            for name, own in _grouped(title, lines):
                axes = own.axes
                (first, *_) = (
                    setting
                    for setting in experiments.settings(layout.name)
                    if axes.items() <= setting.axes.items()
                )
                steps = own.reading != VANILLA
                family = first.families[0]
                chooses = own.chooses or layout.name == "table1"
                method = Method(name, layout.name, axes, own.reading, steps, chooses)
                found.setdefault(family if steps else family.plain, method)
    return tuple(found.values())


def _grouped(title: str, lines: Sequence[Line]) -> Iterator[tuple[str, Line]]:
    """The first line of each method, and the method's name, without the reading of t in it."""
    seen = set()
    for line in lines:
        steps = line.reading != VANILLA
        place = (*line.axes.items(), steps)
        if line.reading.calibration is None and place not in seen:
            seen.add(place)
            name = line.label.rpartition(", ")[0] if steps and ", " in line.label else line.label
            yield (f"{name}, {title}" if "η" in title else name), line


def calibrations() -> dict[str, Calibration | None]:
    """Every calibration of stored scores by its key, and none of them first.

    Each corrects the scores of a run once, however many readings look at it.
    """
    named = {name: _once(calibrated.reading(name)) for name in calibrated.NAMES}
    return {"none": None, **named}


def _once(calibration: Calibration) -> Calibration:
    """The same calibration, which remembers what it made of each run."""
    known: dict[object, Run | None] = {}

    def apply(run: Run) -> Run | None:
        place = (run.folder, run.path)
        if place not in known:
            known[place] = calibration.apply(run)
        return known[place]

    return replace(calibration, apply=apply)
