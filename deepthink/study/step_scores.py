"""The scores of all queries after one step, collected from the groups of a job."""

from collections.abc import Sequence
from itertools import islice

import numpy as np
import pandas as pd
from scipy.special import log_softmax, logsumexp

from deepthink.structures import Example, Splits
from deepthink.study.calibrating import Array, Calibration, common_candidates
from deepthink.study.prompting import Prompts
from deepthink.tasks.prediction import gold


class StepScores:
    """The scores of all queries after one step. Each group adds those of its queries.

    orders: P, the number of groups that a query belongs to. Of several, `mixed` makes one row.
    """

    def __init__(self, splits: Splits, calibration: Calibration, orders: int = 1) -> None:
        self.splits = splits
        self.calibration = calibration
        self._orders = orders
        self._examples = [example for _, part in splits.scored() for example in part]
        self._rows: list[list[list[float]]] = [[] for _ in self._examples]
        self._answers: list[list[list[list[float]]]] = [[] for _ in self._examples]

    def add(self, group: Prompts, rows: list[list[float]]) -> None:
        """Add a group's scores, which are those of its queries, then of the calibration's texts."""
        answers = rows[len(group.queries) :]
        for place, row in zip(group.queries, rows, strict=False):
            self._rows[place].append(row)
            self._answers[place].append(answers)

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
        rest = ([*map(mixed, zip(*texts, strict=True))] for texts in self._answers)
        splits = self.splits.scored() if self.calibration.texts else ()
        answers: dict[str, Array] = {
            name: np.array(list(islice(rest, len(part)))) for name, part in splits
        }
        common = common_candidates(self._examples)
        return self.calibration.corrected(self.by_split(), common, answers)

    def tables(self, step: int) -> list[pd.DataFrame]:
        """A table for each split with every candidate's score, as `by_split` has it."""
        rows = self.by_split()
        return [_table(step, name, part, rows[name]) for name, part in self.splits.scored()]


def mixed(rows: Sequence[Sequence[float]]) -> list[float]:
    """The scores of one query in P orders [P][C] as one row: the log of the mean probability.

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
