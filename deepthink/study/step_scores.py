"""The scores of all queries after one step, collected from the groups of a job."""

from collections.abc import Sequence
from itertools import islice

import numpy as np
import pandas as pd

from deepthink.structures import Example, Splits
from deepthink.study.calibrating import Array, Calibration, common_candidates
from deepthink.study.prompting import Prompts
from deepthink.tasks.prediction import gold


class StepScores:
    """The scores of all queries after one step. Each group adds those of its queries.

    common: whether all queries have the same candidates.
    """

    def __init__(self, splits: Splits, calibration: Calibration) -> None:
        self.splits = splits
        self.calibration = calibration
        self._examples = [example for _, part in splits.scored() for example in part]
        self.common = common_candidates(self._examples)
        self._rows: list[list[float]] = [[]] * len(self._examples)
        self._answers: list[list[list[float]]] = [[]] * len(self._examples)

    def add(self, group: Prompts, rows: list[list[float]]) -> None:
        """Add a group's scores, which are those of its queries, then of the calibration's texts."""
        answers = rows[len(group.queries) :]
        for place, row in zip(group.queries, rows, strict=False):
            self._rows[place] = row
            self._answers[place] = answers

    @property
    def complete(self) -> bool:
        """Whether every query has its scores."""
        return all(self._rows)

    def by_split(self) -> dict[str, list[list[float]]]:
        """Split → the scores of its queries, as the model gave them."""
        rest = iter(self._rows)
        return {name: list(islice(rest, len(part))) for name, part in self.splits.scored()}

    def corrected(self) -> dict[str, list[list[float]]]:
        """Split → the corrected scores of its queries; UserError as `Calibration.corrected`."""
        rest = iter(self._answers)
        splits = self.splits.scored() if self.calibration.texts else ()
        answers: dict[str, Array] = {
            name: np.array(list(islice(rest, len(part)))) for name, part in splits
        }
        return self.calibration.corrected(self.by_split(), self.common, answers)

    def tables(self, step: int) -> list[pd.DataFrame]:
        """A table for each split with every candidate's score, as the model gave it."""
        rows = self.by_split()
        return [_table(step, name, part, rows[name]) for name, part in self.splits.scored()]


def _table(
    step: int, split: str, examples: Sequence[Example], scores: list[list[float]]
) -> pd.DataFrame:
    """One row per query and candidate."""
    numbers = [len(row) for row in scores]
    return pd.DataFrame(
        {
            "step": np.int16(step),
            "split": pd.Categorical([split] * sum(numbers), categories=["dev", "test"]),
            "query": np.repeat(np.arange(len(scores), dtype=np.int32), numbers),
            "candidate": np.concatenate([np.arange(n, dtype=np.int16) for n in numbers]),
            "label": np.repeat([*map(gold, examples)], numbers).astype(np.int16),
            "score": np.concatenate(scores),
        }
    )
