"""From encoded prompts to scores: a curve over t, the drift of the memory, and every score."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from deepthink.config.job import Config
from deepthink.engine.demonstrations import Demonstrations
from deepthink.engine.memory import Memory
from deepthink.engine.scoring import Progress
from deepthink.engine.thinking import refined
from deepthink.engine.token_budget import TokenBudget
from deepthink.errors import UserError
from deepthink.models import loading
from deepthink.plugins import REFINEMENTS
from deepthink.progress import Watcher
from deepthink.store.curves import LeftOut, Point
from deepthink.store.open_points import OpenPoint
from deepthink.store.schema import Drift
from deepthink.structures import Splits
from deepthink.study import provenance
from deepthink.study.asking import scored
from deepthink.study.left_out import OwnAnswers
from deepthink.study.open_scores import OpenScores
from deepthink.study.points import point, rounded
from deepthink.study.prompting import Prompts
from deepthink.study.reading import Readings
from deepthink.study.reading_out import Readout, Spent
from deepthink.study.reuse import PlainReading, Scores
from deepthink.study.step_scores import StepScores
from deepthink.study.writing import answers
from deepthink.tasks.labels import flipped
from deepthink.tasks.prediction import different, gold, hits, predictions, ties
from deepthink.tasks.prompts import Encoded


@dataclass(frozen=True)
class Evaluated:
    """The results of thinking and scoring.

    thinking: operations of each iteration, summed over the groups.
    reused: what an earlier job of this process had scored at t = 1.
    spent: operations of what the readout asked at each scored step.
    notes: those of the readout, of every scored step and group.
    scores: the table of `deepthink.store.scores`.
    open: the points of an open task, whose curve is empty.
    left_out: one for each scored step, see `left_out.OwnAnswers`. asking: operations of each.
    """

    curve: tuple[Point, ...]
    drift: tuple[Drift, ...]
    thinking: tuple[int, ...]
    reused: tuple[Encoded, ...]
    spent: Spent
    notes: tuple[dict[str, Any], ...]
    scores: pd.DataFrame
    open: tuple[OpenPoint, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    asking: int = 0


def evaluate(
    lm: loading.LM,
    groups: Sequence[Prompts],
    splits: Splits,
    config: Config,
    readings: Readings,
    budget: TokenBudget,
    clock: provenance.Clock,
    watch: Watcher,
    keep: Callable[[Memory, int], object] | None = None,
) -> Evaluated:
    """Refine the memory of each group, and score the group's queries after every scored step.

    The points of a step are made as soon as all groups have been scored after it. Scores at t = 1
    that an earlier job of this process had computed are not computed again, unless config.force.
    keep: called with each memory that is scored, and the index of its group.

    Raises:
        UserError: scores are NaN, or a refinement or calibration cannot be used.
        torch.OutOfMemoryError: the memory or a forward pass does not fit.
    """
    steps = _Steps(lm, splits, config, readings, watch)
    drifts: dict[int, list[dict[str, list[float]]]] = {}
    thinking = [0] * config.method.iterations
    refine = REFINEMENTS.load(config.method.refining(config.plugins), config.plugins)
    scoring = _Scoring(lm, config, budget, watch)
    readout = Readout(lm, splits, config, budget, clock.lap, watch.advance)
    own = OwnAnswers.of(lm.model, groups, config)
    for number, group in enumerate(groups):
        shown, origin, before = _shown(lm, group, config), None, 0
        for memory in refined(shown, refine, config.method.iterations):
            thinking[memory.step - 1] += shown.operations - before
            before = shown.operations
            origin = origin or memory
            if (step := memory.step) not in steps.scores:
                continue
            clock.lap("think")
            if keep is not None:
                keep(memory, number)
                clock.lap("keep")
            rows = readout.rows(memory, group, partial(scoring.rows, memory, group))
            check_numbers(rows, config.model.name, step)
            steps.add(memory, group, rows, partial(scoring.texts, memory, group))
            clock.lap("score")
            if own:
                own.ask(memory)
                clock.lap("left_out")
            if step > 1:
                drifts.setdefault(step, []).append(memory.drift(origin))
            steps.close(step)
    return Evaluated(
        curve=tuple(steps.points.curve),
        drift=tuple(_mean_drift(step, parts) for step, parts in drifts.items()),
        thinking=tuple(thinking),
        reused=tuple(scoring.reused),
        spent=readout.spent.each(len(steps.scores)),
        notes=tuple(readout.notes),
        scores=_table(steps.scores),
        open=tuple(steps.points.open),
        left_out=own.all if own else (),
        asking=own.operations if own else 0,
    )


def _shown(lm: loading.LM, group: Prompts, config: Config) -> Demonstrations:
    """A group's demonstrations as a refinement reads them."""
    encoded = group.encoded
    return Demonstrations(
        lm.model,
        encoded.demonstrations,
        encoded.spans,
        encoded.answers,
        config.draw,
        encoded.sequences,
    )


class _Steps:
    """What was scored after each scored step, and the points that this makes.

    scores: by step, of all groups. points: those of the steps at which all groups were scored.
    """

    def __init__(
        self, lm: loading.LM, splits: Splits, config: Config, readings: Readings, watch: Watcher
    ) -> None:
        opened, orders = config.task.open, config.method.orders
        self.scores: dict[int, StepScores | OpenScores] = {
            step: OpenScores(splits.test, opened)
            if opened
            else StepScores(splits, readings, orders)
            for step in config.method.steps
        }
        self.points = _Points(config, watch)
        self._written = opened.steps(config.method.steps) if opened else []
        self._lm, self._task, self._watch = lm, config.task, watch

    def add(
        self, memory: Memory, group: Prompts, rows: Scores, texts: Callable[[], Scores]
    ) -> None:
        """Add the scores of a group, and of the texts of calibrations or the answers written."""
        step, opened = memory.step, self._task.open
        measured = self.scores[step]
        if isinstance(measured, StepScores):
            measured.add(group, rows, texts())
            return
        measured.add(group, rows)
        if opened and step in self._written:
            self._watch.stage(f"{self._task.name}: answers after t={step}")
            measured.keep(group, answers(self._lm, opened, memory, group))

    def close(self, step: int) -> None:
        """Make the points of a step, if no group is missing."""
        if self.scores[step].complete:
            self.points.add(step, self.scores[step])


class _Points:
    """The points that are known so far, of a curve or of an open task."""

    def __init__(self, config: Config, watch: Watcher) -> None:
        self.curve: list[Point] = []
        self.open: list[OpenPoint] = []
        self._config, self._watch = config, watch

    def add(self, step: int, scores: StepScores | OpenScores) -> None:
        """Add the points after a step, and show them."""
        if isinstance(scores, OpenScores):
            self.open.append(scores.point(step))
            name = self._config.task.name
            self._watch.stage(f"{name}: t={step} log p {self.open[-1].log_p:.3f} per token")
            return
        for made in _points(step, scores, self._config):
            self.curve.append(made)
            self._watch.step(step, made.split, made.accuracy)


def check_numbers(rows: Scores, model: str, step: int) -> None:
    """Raise UserError if scores after iteration t = `step` are NaN; model: its name."""
    if any(math.isnan(number) for row in rows for number in row):
        raise UserError(
            f"{model} gives scores that are no numbers (NaN) at t = {step}: use "
            "model.dtype=float32, or look at its weights"
        )


class _Scoring:
    """Scores the queries of groups, and the texts of calibrations.

    reused: what an earlier job of this process had scored at t = 1.
    """

    def __init__(self, lm: loading.LM, config: Config, budget: TokenBudget, watch: Watcher) -> None:
        self.reused: list[Encoded] = []
        self._lm, self._config, self._budget, self._watch = lm, config, budget, watch
        self._alone: Scores | None = None

    def rows(self, memory: Memory, group: Prompts) -> Scores:
        """The scores of the candidates of a group's queries (Eq. 1)."""
        rows, known = self._at(memory, group.asked, self._watch.advance)
        if known:
            self.reused.append(group.encoded)
            self._watch.advance(len(rows))
        return rows

    def texts(self, memory: Memory, group: Prompts) -> Scores:
        """The scores of all texts, first of those behind the demonstrations; UserError if NaN."""
        rows: Scores = []
        if group.texts.queries:
            rows, known = self._at(memory, group.texts, _ignored)  # no query of the job
            if known:
                self.reused.append(group.texts)
        if self._alone is None:
            alone = group.alone
            self._alone = self._of(None, alone, _ignored) if alone.queries else []
        rows = [*rows, *self._alone]
        check_numbers(rows, self._config.model.name, memory.step)
        return rows

    def _at(self, memory: Memory, asked: Encoded, progress: Progress) -> tuple[Scores, bool]:
        """The scores, and whether an earlier job had computed them."""
        score = partial(self._of, memory, asked, progress)
        if memory.step > 1 or self._config.force:
            return score(), False
        plain = PlainReading(self._lm.model, asked, self._config.answer_score, self._budget)
        return plain.scores(score)

    def _of(self, memory: Memory | None, asked: Encoded, progress: Progress) -> Scores:
        how = self._config.answer_score, self._budget, progress
        return scored(self._lm.model, memory, asked, *how)


def _ignored(queries: int) -> None:
    """No progress of the job."""


def _points(step: int, scores: StepScores, config: Config) -> Iterator[Point]:
    """The points of a curve after one step, one for each split."""
    corrected = scores.corrected()
    turned = config.demonstrations.labels == "flipped"
    for split, examples in scores.splits.scored():
        rows = corrected[split]
        predicted = predictions(examples, rows)
        yield point(
            step,
            split,
            [*map(different, examples, rows)],
            [*map(gold, examples)],
            predicted,
            ties(examples, rows),
            common=scores.common,
            logs=config.answer_score != "probability",
            followed=hits([*map(flipped, examples)], predicted) if turned else None,
        )


def _table(scores: Mapping[int, StepScores | OpenScores]) -> pd.DataFrame:
    """Every score as the model gave it."""
    tables = [table for step, rows in scores.items() for table in rows.tables(step)]
    return pd.concat(tables, ignore_index=True)


def _mean_drift(step: int, parts: Sequence[Mapping[str, list[float]]]) -> Drift:
    """The drift of every layer, averaged over the groups."""
    keys, values = (
        tuple(rounded(value, 4) for value in np.mean([part[name] for part in parts], axis=0))
        for name in ("keys", "values")
    )
    return Drift(step=step, keys=keys, values=values)
