"""The scores of all queries after one step, collected from the groups of a job."""

from collections.abc import Mapping, Sequence
from itertools import islice

import numpy as np
import pandas as pd

from deepthink.store.scores import texts_of
from deepthink.structures import Splits
from deepthink.study.calibrating import Array, common_candidates
from deepthink.study.prompting import Prompts
from deepthink.study.reading import Readings
from deepthink.study.texts import Text
from deepthink.tasks.prediction import gold

NO_LABEL = -1
"""The gold label of a text in the table of scores."""


class StepScores:
    """The scores of all queries after one step. Each group adds those of its queries.

    common: whether all queries have the same candidates.
    """

    def __init__(self, splits: Splits, readings: Readings) -> None:
        self.splits = splits
        self.readings = readings
        self._examples = [example for _, part in splits.scored() for example in part]
        self.common = common_candidates(self._examples)
        self._rows: list[list[float]] = [[]] * len(self._examples)
        self._group = [0] * len(self._examples)
        self._answers: list[Mapping[Text, list[float]]] = []

    def add(
        self, group: Prompts, rows: list[list[float]], answers: Sequence[list[float]] = ()
    ) -> None:
        """Add a group's scores.

        answers: those of the texts of all calibrations, first of those behind the demonstrations,
        then of those that stand alone.
        """
        for place, row in zip(group.queries, rows, strict=True):
            self._rows[place] = row
            self._group[place] = len(self._answers)
        texts = (*self.readings.behind, *self.readings.alone)
        self._answers.append(dict(zip(texts, answers, strict=True)))

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
        calibration = self.readings.calibration
        answers: dict[str, Array] = {}
        if calibration.texts:
            of_group, groups = self._of_texts(calibration.texts), iter(self._group)
            answers = {
                name: of_group[list(islice(groups, len(part)))]
                for name, part in self.splits.scored()
            }
        return calibration.corrected(self.by_split(), self.common, answers)

    def _of_texts(self, texts: Sequence[Text]) -> Array:
        """[G, n, C] float64, the scores of these texts in each group."""
        return np.array([[group[text] for text in texts] for group in self._answers])

    def tables(self, step: int) -> list[pd.DataFrame]:
        """The tables of each split and of each calibration's texts; see `deepthink.store.scores`.

        Every candidate has its score as the model gave it.
        """
        parts: dict[str, tuple[list[list[float]], list[int]]] = {}
        for (split, rows), (_, examples) in zip(
            self.by_split().items(), self.splits.scored(), strict=True
        ):
            parts[split] = rows, [*map(gold, examples)]
        for calibration in self.readings.asking:
            of_texts = np.concatenate(self._of_texts(calibration.texts)).tolist()
            parts[texts_of(calibration.name)] = of_texts, [NO_LABEL] * len(of_texts)
        splits = [*dict.fromkeys(("dev", "test", *parts))]
        return [_table(step, split, *part, splits) for split, part in parts.items()]


def _table(
    step: int, split: str, scores: list[list[float]], labels: list[int], splits: list[str]
) -> pd.DataFrame:
    """One row per query and candidate. splits: all names that a table of this file may have."""
    numbers = [len(row) for row in scores]
    return pd.DataFrame(
        {
            "step": np.int16(step),
            "split": pd.Categorical([split] * sum(numbers), categories=splits),
            "query": np.repeat(np.arange(len(scores), dtype=np.int32), numbers),
            "candidate": np.concatenate([np.arange(n, dtype=np.int16) for n in numbers]),
            "label": np.repeat(labels, numbers).astype(np.int16),
            "score": np.concatenate(scores),
        }
    )
