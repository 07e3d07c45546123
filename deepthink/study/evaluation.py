"""Thinking and scoring: a curve over t, the drift of the memory, and every score."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd

from deepthink.config.job import Config
from deepthink.engine.demonstrations import Demonstrations
from deepthink.engine.refinements import iterate
from deepthink.engine.scoring import Scorer
from deepthink.engine.thinking import refined
from deepthink.engine.token_budget import TokenBudget
from deepthink.errors import UserError
from deepthink.models import loading
from deepthink.progress import Watcher
from deepthink.structures import Example, Splits
from deepthink.study import provenance
from deepthink.tasks import prompts
from deepthink.tasks.labels import flipped
from deepthink.tasks.prediction import accuracy, gold, predictions, ties


@dataclass(frozen=True)
class Evaluated:
    """What thinking and scoring gave.

    curve: points of step, split, correct, count and `predicted`, every example's predicted label in
        order, in words; `ties`, of how many the highest score was shared;
        where the demonstrations show flipped labels, also how many predictions `followed` them:
        are the flipped label of the example.
    drift: how far K̃_t, Ṽ_t of every layer are from t = 1, see `Memory.drift`, four digits each.
    thinking: operations of each iteration.
    scores: one row per step, split, query and candidate.
    """

    curve: list[dict[str, Any]]
    drift: list[dict[str, Any]]
    thinking: list[int]
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
    curve: list[dict[str, Any]] = []
    drift: list[dict[str, Any]] = []
    tables: list[pd.DataFrame] = []
    thinking: list[int] = []
    options = config.method.thinking
    iterations = options.pop("iterations")
    shown = Demonstrations(lm.model, encoded.demonstrations)
    scorer = Scorer(lm.model, config.answer_score, budget, watch.advance)
    origin = None
    for memory in refined(shown, partial(iterate.refine, **options), iterations):
        thinking.append(shown.operations - sum(thinking))
        origin = origin or memory
        if memory.step not in config.method.steps:
            continue
        clock.lap("think")
        scores = scorer.score(memory, encoded.queries, encoded.candidates)
        clock.lap("score")
        if any(math.isnan(one) for row in scores for one in row):
            raise UserError(
                f"{config.model.name} gives scores that are no numbers (NaN) at t = {memory.step}: "
                "use model.dtype=float32, or look at its weights"
            )
        if memory.step > 1:
            moved = {name: _rounded(far) for name, far in memory.drift(origin).items()}
            drift.append({"step": memory.step, **moved})
        rest = iter(scores)
        for split, examples in splits.scored():
            rows = list(islice(rest, len(examples)))
            predicted = predictions(examples, rows)
            point = {
                "step": memory.step,
                "split": split,
                **accuracy(examples, predicted),
                "predicted": in_words(predicted),
                "ties": ties(examples, rows),
            }
            if config.demonstrations.labels == "flipped":
                turned = [flipped(example) for example in examples]
                point["followed"] = accuracy(turned, predicted)["correct"]
            curve.append(point)
            tables.append(_table(memory.step, split, examples, rows))
            watch.step(point)
    return Evaluated(curve, drift, thinking, pd.concat(tables, ignore_index=True))


def in_words(labels: Iterable[int]) -> str:
    """Labels in one line, as records keep them."""
    return " ".join(map(str, labels))


def _rounded(values: Iterable[float]) -> list[float]:
    return [float(f"{value:.4g}") for value in values]


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
