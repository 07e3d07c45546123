"""Thinking and scoring: a curve over t, the drift of the memory, and every score."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd

from deepthink.config.job import Config
from deepthink.engine.demonstrations import Demonstrations
from deepthink.engine.scoring import Scorer
from deepthink.engine.thinking import refined
from deepthink.engine.token_budget import TokenBudget
from deepthink.errors import UserError
from deepthink.models import loading
from deepthink.plugins import REFINEMENTS
from deepthink.progress import Watcher
from deepthink.structures import Example, Splits
from deepthink.study import provenance
from deepthink.study.calibrating import Calibration
from deepthink.study.prompting import Prompts
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
    thinking: operations of each iteration, of several groups their sum.
    scores: one row per step, split, query and candidate, as the model gave them.
    """

    curve: list[dict[str, Any]]
    drift: list[dict[str, Any]]
    thinking: list[int]
    scores: pd.DataFrame


def evaluate(
    lm: loading.LM,
    groups: Sequence[Prompts],
    splits: Splits,
    config: Config,
    calibration: Calibration,
    budget: TokenBudget,
    clock: provenance.Clock,
    watch: Watcher,
) -> Evaluated:
    """Think over each group's demonstrations, and score its queries after every scored step.

    The points of a step follow when all groups have been scored after it.
    """
    scores = {step: _Scores(splits, calibration) for step in config.method.steps}
    curve: list[dict[str, Any]] = []
    drifts: dict[int, list[dict[str, list[float]]]] = {}
    thinking = [0] * config.method.iterations
    refine = REFINEMENTS.load(config.method.refining(config.plugins), config.plugins)
    scorer = Scorer(lm.model, config.answer_score, budget, watch.advance)
    for group in groups:
        encoded, origin, before = group.encoded, None, 0
        shown = Demonstrations(
            lm.model, encoded.demonstrations, encoded.spans, encoded.answers, config.draw
        )
        for memory in refined(shown, refine, config.method.iterations):
            thinking[memory.step - 1] += shown.operations - before
            before = shown.operations
            origin = origin or memory
            if (step := memory.step) not in scores:
                continue
            clock.lap("think")
            rows = scorer.score(memory, encoded.queries, encoded.candidates)
            clock.lap("score")
            if any(math.isnan(number) for row in rows for number in row):
                raise UserError(
                    f"{config.model.name} gives scores that are no numbers (NaN) at t = {step}: "
                    "use model.dtype=float32, or look at its weights"
                )
            if step > 1:
                drifts.setdefault(step, []).append(memory.drift(origin))
            scores[step].add(group, rows)
            if scores[step].complete:
                for point in _points(step, scores[step], config):
                    curve.append(point)
                    watch.step(point)
    drift = [{"step": step, **_mean_drift(parts)} for step, parts in drifts.items()]
    tables = [table for step, found in scores.items() for table in found.tables(step)]
    return Evaluated(curve, drift, thinking, pd.concat(tables, ignore_index=True))


class _Scores:
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
        answers = {
            name: dict(
                zip(
                    self.calibration.texts,
                    np.array(list(islice(rest, len(part)))).swapaxes(0, 1),
                    strict=True,
                )
            )
            for name, part in (self.splits.scored() if self.calibration.texts else ())
        }
        common = len({example.candidates for example in self._examples}) == 1
        return self.calibration.corrected(self.by_split(), common, answers)

    def tables(self, step: int) -> list[pd.DataFrame]:
        """Every candidate's score as the model gave it, split by split."""
        rows = self.by_split()
        return [_table(step, name, part, rows[name]) for name, part in self.splits.scored()]


def _points(step: int, scores: _Scores, config: Config) -> Iterator[dict[str, Any]]:
    """The points of a curve after one step, one for each split."""
    corrected = scores.corrected()
    for split, examples in scores.splits.scored():
        rows = corrected[split]
        predicted = predictions(examples, rows)
        point = {
            "step": step,
            "split": split,
            **accuracy(examples, predicted),
            "predicted": in_words(predicted),
            "ties": ties(examples, rows),
        }
        if config.demonstrations.labels == "flipped":
            turned = [flipped(example) for example in examples]
            point["followed"] = accuracy(turned, predicted)["correct"]
        yield point


def _mean_drift(parts: Sequence[Mapping[str, list[float]]]) -> dict[str, list[float]]:
    """The drift of every layer, averaged over the groups."""
    return {name: _rounded(np.mean([part[name] for part in parts], axis=0)) for name in parts[0]}


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
