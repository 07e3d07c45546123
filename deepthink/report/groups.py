"""The runs of one setting on one task, and what they say beside those of another setting."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from deepthink.errors import UserError
from deepthink.report import statistics
from deepthink.report.measurements import outcomes, percent
from deepthink.report.open_answers import Questions, questions
from deepthink.report.readings import BY_DEV, VANILLA, Reading, at
from deepthink.report.runs import Array, Draw, Run
from deepthink.report.statistics import Estimate
from deepthink.store import scores


@dataclass(frozen=True)
class Group:
    """The runs of one setting on one task, or on all members of a suite.

    runs: by draw, one run or one for each member. wanted: the draws that any setting has on this
    task, or was to have.
    """

    runs: Mapping[Draw, tuple[Run, ...]]
    wanted: frozenset[Draw]

    @classmethod
    def of(
        cls, runs: Mapping[Draw, Sequence[Run]], members: int, wanted: frozenset[Draw]
    ) -> "Group":
        """From the runs of each draw. A draw of which a member is missing is missing.

        members: how many tasks there are, 1 where it is no suite.
        """
        whole = {
            draw: tuple(sorted(found, key=lambda run: run.task))
            for draw, found in sorted(runs.items())
            if len(found) == members
        }
        return cls(whole, wanted)

    @cached_property
    def first(self) -> Run:
        """One of the runs; all of them have the same T and the same scored steps."""
        return next(iter(self.runs.values()))[0]

    @property
    def iterations(self) -> int:
        """T, as the memory was refined."""
        return self.first.record.identity.thinking.iterations

    @cached_property
    def examples(self) -> tuple[str, ...]:
        """The data of each member and their answers, as digests."""
        return tuple(run.examples for run in next(iter(self.runs.values())))

    @property
    def open(self) -> bool:
        """Whether the task is open: its numbers are log-probabilities, not accuracies."""
        return bool(self.first.record.open)

    @cached_property
    def questions(self) -> dict[Draw, Questions]:
        """Of an open task, the numbers of each question; UserError if scores are missing."""
        found = {}
        for draw, (run,) in self.runs.items():
            known = questions(run)
            if known is None:
                raise UserError(f"{scores.place(run.path)} is missing")
            found[draw] = known
        return found

    def outcomes(self, draws: Sequence[Draw], reading: Reading) -> list[Array]:
        """Of each member [S, I]: 1 where right, or an open answer's log p per token."""
        if self.open:
            step = reading.step(self.first)
            return [np.stack([self.questions[draw].log_p[step] for draw in draws])]
        return outcomes({draw: self.runs[draw] for draw in draws}, reading)

    @property
    def count(self) -> int:
        """Test examples, of all members together."""
        return sum(len(run.record.gold.of("test")) for run in next(iter(self.runs.values())))


COLUMNS: Mapping[str, Callable[[Group], Reading | None]] = {
    VANILLA.name: lambda _: VANILLA,
    "t = T": lambda group: at(group.iterations),
    BY_DEV.name: lambda group: BY_DEV if group.first.has_dev else None,
}
"""The ways to choose t that a table shows. None: the group has no dev set."""


@dataclass(frozen=True)
class Cell:
    """An accuracy in per cent, and how far it is from that of another setting, in points.

    difference: None if nothing is compared. same: whether every outcome is the other's.
    open: whether both are log-probabilities per token instead, in nats.
    """

    estimate: Estimate
    difference: Estimate | None = None
    same: bool = False
    open: bool = False


def cell(column: str, groups: Sequence[Group], others: Sequence[Group] | None) -> Cell | None:
    """The number of a setting in one of `COLUMNS`, averaged over its tasks; None without a dev set.

    Either all tasks are open or none is.

    groups: one for each task; they have a draw in common. others: those of the setting to compare
        with, which share a draw and the rows of the data with them.
    """
    ours = _outcomes(column, groups, shared(groups))
    if ours is None:
        return None
    weights = [1 / len(members) for members in ours for _ in members]
    is_open = groups[0].open
    estimate = _mean(_flat(ours), weights, is_open)
    both = shared([*groups, *(others or ())])
    theirs = _outcomes(column, others, both) if others else None
    compared = _outcomes(column, groups, both)
    if others is None or theirs is None or compared is None:
        return Cell(estimate, open=is_open)
    difference = statistics.average_difference(
        _flat(compared), _flat(theirs), weights=weights, paired=paired(groups, others)
    )
    pairs = zip(_flat(compared), _flat(theirs), strict=True)
    same = all(bool((a == b).all()) for a, b in pairs)
    return Cell(estimate, difference if is_open else percent(difference), same, is_open)


def _mean(outcomes: Sequence[Array], weights: Sequence[float], is_open: bool) -> Estimate:
    """Accuracy in per cent; of open tasks the mean, with the interval of a difference to zero."""
    if not is_open:
        return percent(statistics.average_accuracy(outcomes, weights=weights))
    nothing = [np.zeros_like(each) for each in outcomes]
    return statistics.average_difference(outcomes, nothing, weights=weights)


def _outcomes(
    column: str, groups: Sequence[Group], draws: Sequence[Draw]
) -> list[list[Array]] | None:
    """Of each task, the outcomes [S, I] of each of its members; None if one has no dev set."""
    found = []
    for group in groups:
        reading = COLUMNS[column](group)
        if reading is None:
            return None
        found.append(group.outcomes(draws, reading))
    return found


def _flat(of_tasks: Sequence[Sequence[Array]]) -> list[Array]:
    return [members for task in of_tasks for members in task]


def shared(groups: Sequence[Group]) -> list[Draw]:
    """The draws that all groups have."""
    return [draw for draw in groups[0].runs if all(draw in one.runs for one in groups)]


def incomparable(groups: Sequence[Group], others: Sequence[Group]) -> str:
    """Why two settings have no difference, each with one group for each task; "" if they have."""
    if not shared(others):
        return "no result of it"
    if not shared([*groups, *others]):
        return "no draw in common"
    if any(a.examples != b.examples for a, b in zip(groups, others, strict=True)):
        return "another set of rows"
    return ""


def paired(groups: Sequence[Group], others: Sequence[Group]) -> bool:
    """Whether the same seed means related demonstrations: those that one rule chose."""
    return all(
        a.first.record.identity.selector == b.first.record.identity.selector
        for a, b in zip(groups, others, strict=True)
    )
