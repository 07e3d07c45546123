"""Comparisons of two methods on the same test examples: the difference and how sure it is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from deepthink.report import statistics
from deepthink.report.layouts import PAPERS_STEP_SIZE, RULES, TASKS
from deepthink.report.measurements import Measured, Subject, percent, shared
from deepthink.report.readings import TESTED, VANILLA, Reading
from deepthink.report.runs import Array
from deepthink.report.statistics import FEWEST, Estimate


@dataclass(frozen=True)
class Comparison:
    """How far a first method is ahead of a second, in points.

    tasks: each task, then "average" if there are several.
    estimates: one for each of `tasks`; None if one of the two methods was not run there.
    adjusted: p-values, one for each of `tasks`, corrected over the tests of one question, see
        `question`; straight from `compare` over its own tests. None if nothing is tested: under an
        upper bound, or with fewer than `FEWEST` draws although the experiment asks for more.
    """

    label: str
    tasks: tuple[str, ...]
    estimates: tuple[Estimate | None, ...]
    adjusted: tuple[float | None, ...]

    @property
    def average(self) -> Estimate | None:
        """The difference over all tasks."""
        return self.estimates[-1]

    @property
    def ahead_overall(self) -> int:
        """As `ahead`, for the difference over all tasks."""
        return self.ahead(self.tasks[-1])

    def told(self, task: str) -> int | None:
        """As `ahead`, None where nothing is tested."""
        return None if self.adjusted[self.tasks.index(task)] is None else self.ahead(task)

    def ahead(self, task: str) -> int:
        """1 or -1 where the difference is significant after correction, else 0."""
        place = self.tasks.index(task)
        estimate, p = self.estimates[place], self.adjusted[place]
        if estimate is None or p is None or p >= 1 - statistics.LEVEL:
            return 0
        return 1 if estimate.mean > 0 else -1


def compare(
    label: str,
    firsts: Sequence[Measured],
    seconds: Sequence[Measured],
    tested: bool,
    paired: bool = True,
) -> Comparison:
    """Compare two methods task by task, then on average.

    A task is compared over the draws that both methods have of it, and the average over the draws
    that both have of every task. paired: whether the same seed means the same demonstrations.
    """
    tasks = [part.setting.configs[0].task.name.partition("/")[0] for part in firsts]
    pairs = [_paired(a, b) for a, b in zip(firsts, seconds, strict=True)]
    testable = [
        tested and pair is not None and len(pair[0][0]) >= min(FEWEST, len(part.wanted))
        for pair, part in zip(pairs, firsts, strict=True)
    ]
    estimates: list[Estimate | None] = [
        _difference(*pair, tested=sure, paired=paired) if pair else None
        for pair, sure in zip(pairs, testable, strict=True)
    ]
    if len(pairs) > 1:
        tasks.append("average")
        draws = shared(*firsts, *seconds)
        a, b = (
            [outcomes for part in side for outcomes in part.of_draws(draws)]
            for side in (firsts, seconds)
        )
        average = _difference(a, b, tested=all(testable), paired=paired) if draws else None
        estimates.append(average)
    (own,) = corrected([Comparison(label, tuple(tasks), tuple(estimates), ())])
    return own


def corrected(comparisons: Sequence[Comparison], tests: int = 0) -> list[Comparison]:
    """The comparisons with p corrected by Holm's method over all their tasks and averages together.

    What was not tested counts as a test that is undecided. tests: how many tests the question has,
    if that is more than the comparisons have places.
    """
    raw = [None if e is None else e.p for each in comparisons for e in each.estimates]
    undecided = [1.0] * (tests - len(raw))
    adjusted = iter(statistics.holm([*(1.0 if p is None else p for p in raw), *undecided]))
    return [
        replace(
            each,
            adjusted=tuple(
                None if e is None or e.p is None else p
                for e, p in zip(each.estimates, adjusted, strict=False)
            ),
        )
        for each in comparisons
    ]


def question(
    reading: Reading, of: Callable[[Reading], Comparison], family: Sequence[Reading] = TESTED
) -> Comparison:
    """A comparison under one reading, corrected over all tests of its question.

    The question is whether the first method is ahead of the second. Its tests are those of every
    task and of the average, under each reading of the family. A reading outside the family is a
    question of its own. All that the page says of the two methods rests on these p-values.

    of: the comparison under a reading. family: the readings that are tested together.
    """
    readings = family if reading in family else (reading,)
    return corrected([of(each) for each in readings])[readings.index(reading)]


def _difference(
    first: Sequence[Array], second: Sequence[Array], tested: bool, paired: bool
) -> Estimate:
    """The mean difference over tasks, in points; without p if nothing is tested."""
    estimate = percent(statistics.average_difference(first, second, paired=paired))
    return estimate if tested else replace(estimate, p=None)


def _paired(first: Measured, second: Measured) -> tuple[list[Array], list[Array]] | None:
    """Outcomes of both over the draws that both have. Both are of one scale, so of one test set."""
    draws = shared(first, second)
    return (first.of_draws(draws), second.of_draws(draws)) if draws else None


RIVALS = {
    "vanilla": ("table1", {"method": "deepthink_curve"}),
    "repetition": ("repetition", {"method": "repeat"}),
    **{
        label: ("table1", {"method": method})
        for method, label in {**RULES, "lens": "LENS", "best_random": "Random ♣"}.items()
    },
}
"""The ways that read their demonstrations once: the experiment and axes of the runs of each."""
SAME_DEMONSTRATIONS = ("vanilla", "repetition")
"""Rivals that use the same demonstrations as thinking at each seed. The others select their own."""


def thinking(subject: Subject, reading: Reading) -> dict[str, Comparison]:
    """Thinking over random demonstrations (η = 0.01, continued) against each of `RIVALS`.

    Thinking is paired by seed with vanilla and repetition, and not with selection rules.
    """

    def against(label: str, reading: Reading) -> Comparison:
        experiment, axes = RIVALS[label]
        return compare(
            label,
            subject.measure_tasks("table1", reading, TASKS, method="deepthink_curve"),
            subject.measure_tasks(experiment, VANILLA, TASKS, **axes),
            tested=not reading.upper_bound,
            paired=label in SAME_DEMONSTRATIONS,
        )

    return {label: question(reading, partial(against, label)) for label in RIVALS}


def measure_positions(
    subject: Subject, step_size: str, positions: str, reading: Reading
) -> list[Measured]:
    """Thinking with these positions and this η, on every task."""
    axes = {"method.step_size": step_size, "method.positions": positions}
    return subject.measure_tasks("positions", reading, TASKS, **axes)


def positions(subject: Subject, step_size: str, reading: Reading) -> list[Comparison]:
    """Aligned against continued positions at one η, each against vanilla, and the paper's η too."""
    vanilla = VANILLA.name
    sides = {
        "aligned − continued": ("aligned", "continued", step_size),
        "aligned − vanilla": ("aligned", vanilla, step_size),
        "continued − vanilla": ("continued", vanilla, step_size),
    }
    if step_size != PAPERS_STEP_SIZE:
        label = f"aligned − continued at η = {PAPERS_STEP_SIZE}"
        sides[label] = ("aligned", "continued", PAPERS_STEP_SIZE)

    def pair(label: str, reading: Reading) -> Comparison:
        first, second, size = sides[label]
        ours = measure_positions(subject, step_size, first, reading)
        theirs = (
            measure_positions(subject, step_size, first, VANILLA)
            if second == vanilla
            else measure_positions(subject, size, second, reading)
        )
        return compare(label, ours, theirs, tested=not reading.upper_bound)

    return [question(reading, partial(pair, label)) for label in sides]
