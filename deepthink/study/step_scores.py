"""The scores of all queries after one step, collected from the groups of a job."""

from collections.abc import Mapping, Sequence
from itertools import islice

import numpy as np
import pandas as pd
from scipy.special import log_softmax, logsumexp

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

    common: whether all queries have the same candidates. orders: P, the number of groups that a
    query belongs to, which are added one after the other. Of several, `mixed` makes one row.
    """

    def __init__(self, splits: Splits, readings: Readings, orders: int = 1) -> None:
        self.splits = splits
        self.readings = readings
        self._orders = orders
        self._examples = [example for _, part in splits.scored() for example in part]
        self.common = common_candidates(self._examples)
        self._rows: list[list[list[float]]] = [[] for _ in self._examples]
        self._choice = [0] * len(self._examples)
        self._answers: list[Mapping[Text, list[float]]] = []

    def add(
        self, group: Prompts, rows: list[list[float]], answers: Sequence[list[float]] = ()
    ) -> None:
        """Add a group's scores.

        answers: those of the texts of all calibrations, first of those behind the demonstrations,
        then of those that stand alone.
        """
        for place, row in zip(group.queries, rows, strict=True):
            self._rows[place].append(row)
            self._choice[place] = len(self._answers) // self._orders
        texts = (*self.readings.behind, *self.readings.alone)
        self._answers.append(dict(zip(texts, answers, strict=True)))

    @property
    def complete(self) -> bool:
        """Whether every query has its scores in every order."""
        return all(len(rows) == self._orders for rows in self._rows)

    def by_split(self) -> dict[str, list[list[float]]]:
        """Split → the scores of its queries, as the model gave them, mixed over the orders."""
        rest = map(mixed, self._rows)
        return {name: list(islice(rest, len(part))) for name, part in self.splits.scored()}

    def corrected(self) -> dict[str, list[list[float]]]:
        """Split → the corrected scores of its queries; UserError as `Calibration.corrected`."""
        calibration = self.readings.calibration
        answers: dict[str, Array] = {}
        if calibration.texts:
            of_choice, choices = self._of_texts(calibration.texts), iter(self._choice)
            answers = {
                name: of_choice[list(islice(choices, len(part)))]
                for name, part in self.splits.scored()
            }
        return calibration.corrected(self.by_split(), self.common, answers)

    def _of_texts(self, texts: Sequence[Text]) -> Array:
        """[G, n, C] float64, the scores of these texts behind each choice of demonstrations."""
        every, size = self._answers, self._orders
        choices = [every[begin : begin + size] for begin in range(0, len(every), size)]
        return np.array(
            [[mixed([order[text] for order in orders]) for text in texts] for orders in choices]
        )

    def tables(self, step: int) -> list[pd.DataFrame]:
        """The tables of each split and of each calibration's texts; see `deepthink.store.scores`.

        Every candidate has its score as `by_split` has it.
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


def mixed(rows: Sequence[Sequence[float]]) -> list[float]:
    """The scores of one query in P orders, [P, C], as one row: the log of the mean probability.

        log( 1/P Σ_o p_oy ),  p_o the softmax of the scores in order o over the candidates

    Of one order the scores stay as they are.

    >>> [round(float(np.exp(nats)), 3) for nats in mixed([[0.0, 0.0], [-5.0, -5.0 - np.log(3)]])]
    [0.625, 0.375]
    """
    if len(rows) == 1:
        return list(rows[0])
    logs = log_softmax(np.array(rows), axis=1)
    return list((logsumexp(logs, axis=0) - np.log(len(rows))).tolist())


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
