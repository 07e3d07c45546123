"""The numbers of an open task's questions, from the scores beside a record, and their changes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from deepthink.report import statistics
from deepthink.report.runs import Array, Run
from deepthink.report.statistics import Estimate
from deepthink.store import scores
from deepthink.tasks.written_answers import WAYS


@dataclass(frozen=True)
class Questions:
    """The means over each question's references, after every scored t, for I questions.

    log_p: t → [I] float64, log-probability per token in nats. final: t → [I], of the final answer;
    empty where references have none. correct: for each way to find final answers in written ones,
    t → [I], 1 where it is right; t without written answers are left out.
    """

    log_p: Mapping[int, Array]
    final: Mapping[int, Array]
    correct: Mapping[str, Mapping[int, Array]]

    @classmethod
    def of(cls, scores: pd.DataFrame) -> "Questions":
        """From a table of scores, see `deepthink.store.scores`.

        >>> scores = pd.DataFrame({"step": 1, "query": [0, 0], "score": [-2.0, -6.0], "tokens": 2})
        >>> Questions.of(scores).log_p
        {1: array([-2.])}
        """
        per_token = scores["score"] / scores["tokens"]
        final = scores.get("final")
        right = {way: scores[f"{way}_correct"] for way in WAYS if f"{way}_correct" in scores}
        return cls(
            _by_step(scores, per_token),
            {} if final is None else _by_step(scores, final),
            {way: _by_step(scores, values) for way, values in right.items()},
        )


@lru_cache(maxsize=64)
def _table(path: Path, digest: str) -> pd.DataFrame | None:
    return scores.read(path, digest)


def questions(run: Run) -> Questions | None:
    """The numbers of a run's questions; None if the file of scores is missing."""
    path = (run.folder or Path()) / run.path
    table = _table(path, run.record.scores) if run.record.scores else None
    return None if table is None else Questions.of(table)


def _by_step(scores: pd.DataFrame, values: pd.Series) -> dict[int, Array]:
    known = values.dropna().astype(np.float64)
    means = known.groupby([scores["step"], scores["query"]]).mean()
    steps = means.index.get_level_values(0)
    return {int(step): means[steps == step].to_numpy(np.float64) for step in steps.unique()}


def change(draws: Sequence[Mapping[int, Array]], step: int) -> Estimate:
    """How much higher the numbers are after t = step than after t = 1: the mean, and its interval.

    Questions are paired, and so are draws.

    Args:
        draws: for each draw of demonstrations, t → [I] as in `Questions`, of the same questions.
        step: t.

    >>> draw = {1: np.array([-2.0, -1.0]), 2: np.array([-1.5, -0.5])}
    >>> change([draw], 2).mean
    0.5
    """
    later, first = (np.stack([draw[t] for draw in draws]) for t in (step, 1))
    return statistics.difference(later, first)
