"""What a task gives without learning: a uniform guess, and always the most frequent answer."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from deepthink.report.measurements import Measured, average
from deepthink.report.runs import Array, Run
from deepthink.store import scores


@dataclass(frozen=True)
class Levels:
    """The accuracies, in per cent, of two ways to answer without a model.

    chance: of a uniform guess among the candidates; None where their number is not known.
    majority: of the most frequent gold answer of the test rows that were scored, for every row.
    """

    chance: float | None
    majority: float

    @property
    def bar(self) -> float:
        """The larger of the two.

        >>> Levels(50.0, 62.5).bar, Levels(None, 30.0).bar
        (62.5, 30.0)
        """
        return self.majority if self.chance is None else max(self.chance, self.majority)


NAMES = {"Chance": "chance", "Majority": "majority"}
"""What tables call the levels, and their fields."""


def uniform(counts: Sequence[int]) -> float:
    """The accuracy of a uniform guess, as a fraction, from the number of candidates of each row.

    >>> uniform([2, 4])
    0.375
    """
    return sum(1 / count for count in counts) / len(counts)


def most_frequent(gold: Sequence[str]) -> float:
    """The share of the most frequent gold answer.

    >>> most_frequent(["0", "1", "1", "2"])
    0.5
    """
    return max(Counter(gold).values()) / len(gold)


def of_run(run: Run) -> Levels:
    """The levels of the test rows of one run, in per cent."""
    counts = _candidates(run)
    chance = 100 * uniform(counts) if counts else None
    return Levels(chance, 100 * most_frequent(run.record.gold.of("test")))


def mean(levels: Sequence[Levels], weights: Sequence[float] | None = None) -> Levels:
    """The weighted mean over tasks; None weighs all the same.

    >>> mean([Levels(50.0, 60.0), Levels(25.0, 40.0)], [3, 1])
    Levels(chance=43.75, majority=55.0)
    """
    weighed = weights or [1.0] * len(levels)
    total = sum(weighed)
    chances = [
        None if level.chance is None else weight * level.chance
        for level, weight in zip(levels, weighed, strict=True)
    ]
    known = [chance for chance in chances if chance is not None]
    majority = sum(w * level.majority for level, w in zip(levels, weighed, strict=True)) / total
    return Levels(sum(known) / total if len(known) == len(chances) else None, majority)


def of_members(runs: Iterable[Sequence[Run]]) -> list[Levels]:
    """The levels of a task, or of each member of a suite; runs: those of each draw.

    All draws have the same test rows, so one of them tells. It is empty without a draw.
    """
    return [of_run(run) for run in next(iter(runs), ())]


def of_parts(parts: Sequence[Measured]) -> list[Levels]:
    """The levels of every task or member of what was measured; empty if a part has no run."""
    found = [of_members(part.runs.values()) for part in parts]
    return [level for levels in found for level in levels] if all(found) else []


def of_task(*parts: Measured) -> Levels | None:
    """Chance and majority of a task, from the first of these parts that has a run."""
    found = (of_parts([part]) for part in parts)
    return next((mean(levels) for levels in found if levels), None)


def above(outcomes: Sequence[Array], levels: Sequence[Levels]) -> int:
    """How many tasks are above chance: the lower end of the 95 % interval is above both levels.

    outcomes: of each task, int8 [S, I], 1 where draw s is right on example i.
    """
    pairs = zip(outcomes, levels, strict=True)
    return sum(average([task]).low > level.bar for task, level in pairs)


def _candidates(run: Run) -> Sequence[int]:
    """The number of candidates of each test row; empty if it is not known.

    Label words are the same for all rows. Else the stored scores tell. Without them it is known of
    suites alone, whose questions have one number of options: the highest that is an answer.
    """
    key = run.record.identity.task
    if key.labels:
        return [len(key.labels)]
    if run.folder is not None and run.record.scores:
        counts = _scored(run.folder / run.path, run.record.scores)
        if counts:
            return counts
    if run.task == run.suite:
        return ()
    points = (point.predicted.split() for point in run.record.curve if point.split == "test")
    answers = {answer for point in points for answer in point}.union(run.record.gold.of("test"))
    return [1 + max(map(int, answers))]


@lru_cache
def _scored(path: Path, digest: str) -> tuple[int, ...]:
    """The number of candidates of each test row in a file of scores; empty if it is missing."""
    table = scores.read(path, digest)
    if table is None:
        return ()
    test = table[table["split"] == "test"]
    first = test[test["step"] == test["step"].min()]
    return tuple(int(count) for count in first.groupby("query").size())
