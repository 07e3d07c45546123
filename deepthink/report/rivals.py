"""Every rival beside thinking: accuracy, raw and calibrated, and its price, as means over tasks."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from deepthink.report import calibrated, costs
from deepthink.report.comparisons import Comparison, compare
from deepthink.report.costs import Price
from deepthink.report.layout import Line
from deepthink.report.layouts import TASKS
from deepthink.report.measurements import Measured, Subject, average, shared
from deepthink.report.readings import VANILLA, Reading
from deepthink.report.rival_lines import METHODS
from deepthink.report.statistics import Estimate
from deepthink.report.verdicts import significant_signs

EXPERIMENT = "rivals"
ANSWERS = 100
"""How many answers a price is for, where it is one number."""
FROM_DEV = calibrated.reading("batch_dev")


@dataclass(frozen=True)
class Entry:
    """A method under a reading, with raw or calibrated scores.

    parts: what was measured on each of the tasks.
    """

    line: Line
    calibrated: bool
    parts: tuple[Measured, ...]

    @cached_property
    def estimate(self) -> Estimate:
        """The mean accuracy over tasks, in per cent, from the draws that all tasks have."""
        draws = shared(*self.parts)
        return average([task for part in self.parts for task in part.of_draws(draws)])

    @cached_property
    def price(self) -> Price:
        """The operations of an answer, as a mean over tasks and draws."""
        found = _prices(self, seconds=False)
        assert found is not None
        return found

    @cached_property
    def seconds(self) -> Price | None:
        """The seconds of an answer; None if they are not known of any draw of a task."""
        return _prices(self, seconds=True)

    def less(self, other: "Entry") -> Comparison:
        """How far this is ahead of another entry, on the same test examples."""
        paired = not (self.line.chooses or other.line.chooses)
        return compare(self.line.label, self.parts, other.parts, tested=True, paired=paired)


@dataclass(frozen=True)
class Standings:
    """The entries of one subject that have a number on each of the tasks.

    tasks: those that vanilla in-context learning was run on.
    """

    subject: Subject
    tasks: tuple[str, ...]
    entries: tuple[Entry, ...]

    def find(self, line: Line, calibrated: bool) -> Entry | None:
        """The entry of a line; None if it has no number on some task."""
        found = (e for e in self.entries if e.line == line and e.calibrated == calibrated)
        return next(found, None)

    @cached_property
    def front(self) -> tuple[Entry, ...]:
        """The entries that no other beats in accuracy at the same or a lower price."""
        ranked = sorted(self.entries, key=lambda e: (e.price.of(ANSWERS), -e.estimate.mean))
        front: list[Entry] = []
        for entry in ranked:
            if not front or entry.estimate.mean > front[-1].estimate.mean:
                front.append(entry)
        return tuple(front)


def tasks_of(subject: Subject) -> tuple[str, ...]:
    """The tasks that vanilla in-context learning was run on."""
    vanilla = partial(subject.measure, EXPERIMENT, VANILLA, **METHODS[0].axes)
    return tuple(task for task in TASKS if vanilla(task=task).runs)


def entry(
    subject: Subject, experiment: str, line: Line, reading: Reading, tasks: Sequence[str]
) -> Entry | None:
    """A line of an experiment under a reading; None if no draw was run on all of these tasks."""
    parts = tuple(subject.measure_tasks(experiment, reading, tasks, **line.axes))
    if not parts or not shared(*parts):
        return None
    return Entry(line, reading.calibration is not None, parts)


def standings(subject: Subject) -> Standings:
    """Everything that was measured of the rivals on one subject."""
    tasks = tasks_of(subject)
    found = (
        entry(subject, EXPERIMENT, line, reading, tasks)
        for line in METHODS
        for reading in (line.reading, line.reading.after(FROM_DEV))
    )
    return Standings(subject, tasks, tuple(each for each in found if each is not None))


def _prices(entry: Entry, seconds: bool) -> Price | None:
    """The mean price over the draws of each task, then over tasks."""
    by_task = []
    for part in entry.parts:
        prices = []
        for (run,) in part.runs.values():
            spent = costs.seconds(run) if seconds else costs.operations(run)
            if spent is not None:
                prices.append(costs.price(run, part.reading, spent))
        if not prices:
            return None
        by_task.append([np.mean([p.before for p in prices]), np.mean([p.query for p in prices])])
    before, query = np.mean(by_task, axis=0)
    return Price(float(before), float(query))


AHEAD, OPEN, BEHIND = "ahead of all that cost no more", "undecided", "behind"


@dataclass(frozen=True)
class Place:
    """The place of an entry among those that cost no more.

    standing: "ahead of all that cost no more" if it is significantly ahead of each of them,
    "behind" if any of them is significantly ahead of it, else "undecided". Significance is at the
    95 % level of the mean over tasks, after Holm's correction over all of them.
    better: those that are significantly ahead, with how far. worse: how many it is ahead of, of
    `cheaper`.
    """

    standing: str
    better: tuple[tuple[Entry, Estimate], ...]
    worse: int
    cheaper: int


def place(entry: Entry, entries: Sequence[Entry]) -> Place | None:
    """Where an entry stands among others that cost no more; None if nothing can be tested."""
    limit = entry.price.of(ANSWERS)
    cheaper = [e for e in entries if e is not entry and e.price.of(ANSWERS) <= limit]
    averages = [(other, other.less(entry).average) for other in cheaper]
    tested = [(other, e) for other, e in averages if e is not None and e.p is not None]
    if not tested:
        return None
    signs = significant_signs(e for _, e in tested)
    better = tuple(pair for pair, sign in zip(tested, signs, strict=True) if sign > 0)
    worse = signs.count(-1)
    standing = BEHIND if better else AHEAD if worse == len(cheaper) else OPEN
    return Place(standing, better, worse, len(cheaper))
