"""Single test rows of one run: the scores of their candidates after every scored t."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from deepthink.report.measurements import Measured
from deepthink.report.runs import Run
from deepthink.store import scores

ROWS = 24
"""How many test rows of a run are shown: the first ones."""


@dataclass(frozen=True)
class Shown:
    """The first test rows of one run.

    labels: the candidates' words. gold: of each row. steps: the scored t. scores: of each row,
    after each t, of each candidate, as the model gave it.
    """

    record: str
    draw: tuple[int, int]
    labels: tuple[str, ...]
    gold: tuple[int, ...]
    steps: tuple[int, ...]
    scores: tuple[tuple[tuple[float, ...], ...], ...]


def of(part: Measured) -> Shown | None:
    """The rows of the first draw; None where no scores are stored or the rows differ in candidates.

    The row at place i is the i-th of the task's test rows as the job drew them.
    """
    (run,) = next(iter(part.runs.values()), (None,))
    if run is None or run.folder is None or not run.record.scores:
        return None
    table = scores.read(run.folder / run.path, run.record.scores)
    labels = run.record.identity.task.labels
    if table is None or not labels:
        return None
    return _shown(run, table[table["split"] == "test"], tuple(labels))


def _shown(run: Run, table: pd.DataFrame, labels: tuple[str, ...]) -> Shown:
    gold = [int(label) for label in run.record.gold.of("test")[:ROWS]]
    first = table[table["query"] < len(gold)].sort_values(["query", "step", "candidate"])
    steps = tuple(int(step) for step in sorted(first["step"].unique()))
    numbers = first["score"].to_numpy().reshape(len(gold), len(steps), len(labels))
    return Shown(
        run.path.as_posix(), run.draw, labels, tuple(gold), steps, tuple(_rounded(numbers.tolist()))
    )


def _rounded(numbers: list[list[list[float]]]) -> Iterator[tuple[tuple[float, ...], ...]]:
    """Scores to three decimals."""
    for row in numbers:
        yield tuple(tuple(round(score, 3) for score in step) for step in row)
