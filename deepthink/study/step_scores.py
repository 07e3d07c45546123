"""The scores of all queries after one step, as the groups of a job give them."""

from collections.abc import Sequence
from itertools import islice

import numpy as np
import pandas as pd

from deepthink.structures import Example, Splits
from deepthink.study.calibrating import Array, Calibration
from deepthink.study.prompting import Prompts
from deepthink.tasks.prediction import gold


class StepScores:
    """The scores of all queries after one step, as the groups give them."""

    def __init__(self, splits: Splits, calibration: Calibration) -> None:
        self.splits = splits
        self.calibration = calibration
        self._examples = [example for _, part in splits.scored() for example in part]
        self._rows: list[list[float]] = [[]] * len(self._examples)
        self._asked: list[list[list[float]]] = [[]] * len(self._examples)

    def add(self, group: Prompts, rows: list[list[float]]) -> None:
        """A group's scores: of its queries, then of the texts that the calibration asks about."""
        asked = rows[len(group.queries) :]
        for place, row in zip(group.queries, rows, strict=False):
            self._rows[place] = row
            self._asked[place] = asked

    @property
    def complete(self) -> bool:
        """Whether every query has its scores."""
        return all(self._rows)

    def by_split(self) -> dict[str, list[list[float]]]:
        """The scores as the model gave them."""
        rest = iter(self._rows)
        return {name: list(islice(rest, len(part))) for name, part in self.splits.scored()}

    def corrected(self) -> dict[str, list[list[float]]]:
        """The scores as the calibration corrects them."""
        rest = iter(self._asked)
        asked = self.splits.scored() if self.calibration.texts else ()
        answers: dict[str, Array] = {
            name: np.array(list(islice(rest, len(part)))) for name, part in asked
        }
        common = len({example.candidates for example in self._examples}) == 1
        return self.calibration.corrected(self.by_split(), common, answers)

    def tables(self, step: int) -> list[pd.DataFrame]:
        """Every candidate's score as the model gave it, split by split."""
        rows = self.by_split()
        return [_table(step, name, part, rows[name]) for name, part in self.splits.scored()]


def _table(
    step: int, split: str, examples: Sequence[Example], scores: list[list[float]]
) -> pd.DataFrame:
    """Long form: one row per query and candidate."""
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
