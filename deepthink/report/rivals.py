"""Every rival beside thinking: accuracy, raw and calibrated, and its price, as means over tasks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial

import numpy as np

from deepthink.report import calibrated, chance, costs
from deepthink.report.chance import Levels
from deepthink.report.comparisons import Comparison, compare, corrected
from deepthink.report.costs import Price
from deepthink.report.layout import Line
from deepthink.report.layouts import TASKS
from deepthink.report.measurements import Measured, Subject, average, shared
from deepthink.report.readings import VANILLA, Reading
from deepthink.report.rival_lines import METHODS
from deepthink.report.runs import Array
from deepthink.report.statistics import Estimate

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
        return average(self._outcomes)

    @cached_property
    def _outcomes(self) -> list[Array]:
        """Of each task [S, I], over the draws that all tasks have."""
        draws = shared(*self.parts)
        return [task for part in self.parts for task in part.of_draws(draws)]

    @cached_property
    def levels(self) -> Levels:
        """Chance and majority, as means over tasks."""
        return chance.mean(chance.of_parts(self.parts))

    @property
    def above(self) -> tuple[int, int] | None:
        """How many tasks are above chance, and of how many; None for a single one."""
        of_tasks = chance.of_parts(self.parts)
        above = chance.above(self._outcomes, of_tasks)
        return (above, len(of_tasks)) if len(of_tasks) > 1 else None

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
        """How far this is ahead of another entry, on the same test examples.

        Its p-values are those of this pair alone: the page shows those of `less`.
        """
        paired = not (self.line.chooses or other.line.chooses)
        return compare(self.line.label, self.parts, other.parts, tested=True, paired=paired)


def less(
    first: Entry,
    second: Entry,
    find: Callable[[Line, bool], Entry | None],
    compared: Callable[[Entry, Entry], Comparison] = Entry.less,
) -> Comparison:
    """How far a first entry is ahead of a second, corrected over all tests of their question.

    The question is whether the first's method is ahead of the second's, each with its treatment of
    scores. Its tests are those of each task and of the average, under all their readings of t; what
    was not run counts as undecided. With vanilla as the second these are the tests of
    `comparisons.question`.

    find: the entry of a line with raw or calibrated scores; None without a number.
    """
    pairs = [(a, b) for a in _readings(first.line) for b in _readings(second.line)]
    found = [(find(a, first.calibrated), find(b, second.calibrated)) for a, b in pairs]
    there = [(a, b) for a, b in found if a is not None and b is not None]
    place = next(
        i for i, (a, b) in enumerate(there) if a.line == first.line and b.line == second.line
    )
    return corrected([compared(a, b) for a, b in there], len(pairs) * (len(TASKS) + 1))[place]


def _readings(line: Line) -> list[Line]:
    """The lines of the same method with every reading of t. Vanilla is a method of its own."""
    if line == METHODS[0]:
        return [line]
    return [each for each in METHODS[1:] if each.axes == line.axes]


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

    def less(self, first: Entry, second: Entry) -> Comparison:
        """As the function `less`, for two of the entries."""
        return less(first, second, self.find, self._compared)

    @cached_property
    def _compared(self) -> Callable[[Entry, Entry], Comparison]:
        """`Entry.less` of each pair, computed once."""
        of = {id(entry): entry for entry in self.entries}
        compared = cache(lambda first, second: of[first].less(of[second]))
        return lambda first, second: compared(id(first), id(second))

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
    "behind" if any of them is significantly ahead of it, else "undecided". Significance is that of
    the mean over tasks, see `less`.
    better: those that are significantly ahead, with how far. worse: how many it is ahead of, of
    `cheaper`.
    """

    standing: str
    better: tuple[tuple[Entry, Estimate], ...]
    worse: int
    cheaper: int


def place(entry: Entry, of: Standings) -> Place | None:
    """Where an entry stands among others that cost no more; None if nothing can be tested."""
    limit = entry.price.of(ANSWERS)
    cheaper = [e for e in of.entries if e is not entry and e.price.of(ANSWERS) <= limit]
    compared = [(other, of.less(other, entry)) for other in cheaper]
    tested = [(other, c, e) for other, c in compared if (e := c.average) and e.p is not None]
    if not tested:
        return None
    better = tuple((other, e) for other, c, e in tested if c.ahead_overall > 0)
    worse = sum(c.ahead_overall < 0 for _, c, _ in tested)
    standing = BEHIND if better else AHEAD if worse == len(cheaper) else OPEN
    return Place(standing, better, worse, len(cheaper))
