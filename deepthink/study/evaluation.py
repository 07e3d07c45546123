"""Thinking and scoring: a curve over t, the drift of the memory, and every score."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import pandas as pd

from deepthink.config.job import Config
from deepthink.engine.scoring import TokenBudget, score
from deepthink.engine.thinking import think
from deepthink.errors import UserError
from deepthink.models import loading
from deepthink.progress import Watcher
from deepthink.store.curves import Point
from deepthink.store.schema import Drift
from deepthink.structures import Example, Splits
from deepthink.study import provenance
from deepthink.tasks import prompts
from deepthink.tasks.labels import flipped
from deepthink.tasks.prediction import gold, hits, predictions, ties


@dataclass(frozen=True)
class Evaluated:
    """What thinking and scoring gave.

    scores: one row per step, split, query and candidate.
    """

    curve: tuple[Point, ...]
    drift: tuple[Drift, ...]
    scores: pd.DataFrame


def evaluate(
    lm: loading.LM,
    encoded: prompts.Encoded,
    splits: Splits,
    config: Config,
    budget: TokenBudget,
    clock: provenance.Clock,
    watch: Watcher,
) -> Evaluated:
    """Think, and score dev and test after every step that is to be scored."""
    curve: list[Point] = []
    drift: list[Drift] = []
    tables: list[pd.DataFrame] = []
    origin = None
    for memory in think(lm.model, encoded.demonstrations, **config.method.thinking):
        origin = origin or memory
        if memory.step not in config.method.steps:
            continue
        clock.lap("think")
        scores = score(
            lm.model,
            memory,
            encoded.queries,
            encoded.candidates,
            config.answer_score,
            budget,
            watch.advance,
        )
        clock.lap("score")
        if any(math.isnan(one) for row in scores for one in row):
            raise UserError(
                f"{config.model.name} gives scores that are no numbers (NaN) at t = {memory.step}: "
                "use model.dtype=float32, or look at its weights"
            )
        if memory.step > 1:
            moved = memory.drift(origin)
            keys, values = (_rounded(moved[name]) for name in ("keys", "values"))
            drift.append(Drift(step=memory.step, keys=keys, values=values))
        rest = iter(scores)
        for split, examples in splits.scored():
            rows = list(islice(rest, len(examples)))
            predicted = predictions(examples, rows)
            followed = config.demonstrations.labels == "flipped"
            point = Point(
                step=memory.step,
                split=split,
                correct=hits(examples, predicted),
                count=len(examples),
                predicted=in_words(predicted),
                ties=ties(examples, rows),
                followed=hits([*map(flipped, examples)], predicted) if followed else None,
            )
            curve.append(point)
            tables.append(_table(memory.step, split, examples, rows))
            watch.step(point.step, split, point.accuracy)
    return Evaluated(tuple(curve), tuple(drift), pd.concat(tables, ignore_index=True))


def in_words(labels: Iterable[int]) -> str:
    """Labels in one line, as records keep them."""
    return " ".join(map(str, labels))


def _rounded(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(float(f"{value:.4g}") for value in values)


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
