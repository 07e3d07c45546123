"""What a selector sees of the examples that it chooses from: arrays, and no model and no files.

n  examples of the pool    C  label words    d  width of the hidden states    S  sets    Q  queries
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from time import perf_counter
from typing import Literal, Protocol

import numpy as np
from scipy.special import softmax

from deepthink.errors import UserError
from deepthink.progress import Watcher
from deepthink.selection.outer import Array, Outer
from deepthink.structures import Example

Progress = Callable[[int], object]
Center = Literal["none", "mean", "zscore"]


@dataclass
class Usage:
    """What a reader has done so far.

    read: prompts that the model scored, each with all label words; kept: prompts that were answered
    from stored files; forwards: calls of the model, each with many prompts; tokens: how many the
    model read for all of these answers, now or when they were stored; shortened: sets that lost
    demonstrations to the limit of the context.
    """

    read: int = 0
    kept: int = 0
    forwards: int = 0
    tokens: int = 0
    shortened: int = 0


class Reader(Protocol):
    """Says what the model makes of examples: `signals.ModelReader`, or a stub in tests."""

    usage: Usage

    @property
    def answer_score(self) -> str:
        """The kind of the label scores: "sum", "mean" or "probability", as in `scoring.score`."""

    @property
    def answer_tokens(self) -> Sequence[int]:
        """How many tokens each label word has."""

    def zero_shot(self, examples: Sequence[Example], progress: Progress) -> tuple[Array, Array]:
        """Hidden states [n, d] and label scores [n, C] of prompts without demonstrations."""

    def after(
        self, sets: Sequence[Sequence[Example]], queries: Sequence[Example], progress: Progress
    ) -> Array:
        """Label scores [S, Q, C] of every query after each set of demonstrations, in its order."""


@dataclass(frozen=True)
class Stage:
    """One part of a selection, and what it used.

    predicted: how many prompts it was expected to take, or, if `bound`, the most it might take.
    seconds: its wall-clock time. per_query: whether it serves single queries, so that each further
    query takes one like it. The rest is as in `Usage`.
    """

    name: str
    predicted: int
    bound: bool
    read: int
    kept: int
    forwards: int
    tokens: int
    shortened: int
    seconds: float
    per_query: bool = False


class Pool:
    """The examples that demonstrations are chosen from, and their signals, each read on first use.

    The arrays cannot be written into.

    examples: n of them. Where a signal is used, all must have the same candidates.
    dev: examples to try demonstrations on, disjoint from the pool.
    queries: the texts of the examples that will be scored, without their labels.
    stages: what has been read so far.

    >>> words = ("bad", "good")
    >>> pool = Pool([Example("so dull", words, 0), Example("what fun", words, 1)])
    >>> len(pool), pool.labels.tolist()
    (2, [0, 1])
    """

    def __init__(
        self,
        examples: Sequence[Example],
        dev: Sequence[Example] = (),
        reader: Reader | None = None,
        watch: Watcher | None = None,
        queries: Sequence[str] = (),
    ) -> None:
        self.examples = tuple(examples)
        self.queries = tuple(queries)
        self.dev = tuple(dev)
        self.labels: Array = _fixed(np.array([example.label for example in examples]))
        self.stages: list[Stage] = []
        self._reader = reader
        self._watch = watch or Watcher()
        self._progress: Progress = lambda _: None
        self._counting = False

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def hidden(self) -> Array:
        """[n, d] float32: the input of the output layer at the zero-shot prompt's last token."""
        return self._zero_shot[0]

    @cached_property
    def query_hidden(self) -> Array:
        """[Q, d] float32: the same of every query, read without its label."""
        candidates = self.examples[0].candidates
        asked = [Example(text, candidates, 0) for text in self.queries]
        reader = self._labelled()
        with self.stage("zero-shot states of the queries", len(asked), per_query=True):
            hidden, _ = reader.zero_shot(asked, self._progress)
        return _fixed(hidden)

    @property
    def scores(self) -> Array:
        """[n, C] float32: each label word's zero-shot score, of the kind that the job uses."""
        return self._zero_shot[1]

    @cached_property
    def probabilities(self) -> Array:
        """[n, C] float64: the scores as probabilities among the label words, 1e-12 at least."""
        return _fixed(self.label_probabilities(self.scores))

    def label_probabilities(self, scores: Array) -> Array:
        """Label scores [..., C] as probabilities among the label words, float64, 1e-12 at least.

        They are equal where every word's probability was too small to differ from zero.
        """
        wide, least = scores.astype(np.float64), np.finfo(np.float32).tiny
        if self._labelled().answer_score == "probability":
            wide = np.maximum(wide, least)
            normalised = wide / wide.sum(axis=-1, keepdims=True)
        else:
            normalised = softmax(np.maximum(wide, np.finfo(np.float32).min), axis=-1)
        clipped: Array = np.clip(normalised, 1e-12, None)
        return clipped

    def losses(self, scores: Array) -> Array:
        """Label scores [..., C] as losses in nats per token of the label word, float64."""
        reader, wide = self._labelled(), scores.astype(np.float64)
        if reader.answer_score != "mean":
            wide = wide / np.array(reader.answer_tokens)
        if reader.answer_score == "probability":
            return -np.log(np.maximum(wide, np.finfo(np.float32).tiny))
        return -wide

    def features(self, center: Center) -> Array:
        """[n, d] float32: the hidden states as they are, less their mean, or standardised."""
        return self._centered(self.hidden, center)

    def query_features(self, center: Center) -> Array:
        """[Q, d] float32: those of the queries, by the mean and the deviation of the pool."""
        return self._centered(self.query_hidden, center)

    def _centered(self, hidden: Array, center: Center) -> Array:
        if center == "none":
            return hidden
        pool = self.hidden.astype(np.float64)
        wide: Array = hidden - pool.mean(axis=0)
        if center == "zscore":
            deviation = pool.std(axis=0)
            wide /= np.where(deviation > 0, deviation, 1)
        return np.asarray(wide, np.float32)

    def gradients(self, center: Center) -> Outer:
        """Gradients of the gold label's cross-entropy at a C-way linear layer over [1; h].

        Each is (p - onehot(y)) ⊗ [1; h], which is not multiplied out.
        """
        residuals = self.probabilities.copy()
        residuals[np.arange(len(self)), self.labels] -= 1
        features = self.features(center)
        ones = np.ones((len(self), 1), features.dtype)
        return Outer(residuals, np.concatenate([ones, features], axis=1))

    def after(self, sets: Sequence[Sequence[int]], queries: Sequence[Example]) -> Array:
        """Label scores [S, Q, C] of the queries after each set of demonstrations.

        sets: indices into the pool, in reading order. An empty set gives the zero-shot scores.
        Outside a `stage` this is one by itself, so that nothing is read that is not counted.
        """
        if not self._counting:
            with self.stage("sets that were tried", len(sets) * len(queries)):
                return self.after(sets, queries)
        shown = [[self.examples[i] for i in indices] for indices in sets]
        return self._labelled().after(shown, queries, self._progress)

    @contextmanager
    def stage(
        self, name: str, predicted: int, bound: bool = False, per_query: bool = False
    ) -> Iterator[None]:
        """Count everything that is read inside as one stage, and show its progress.

        predicted: how many prompts it will take, or, if `bound`, the most that it may take.
        per_query: as in `Stage`.
        """
        usage = self._labelled().usage
        before, begin = replace(usage), perf_counter()
        with self._watch.aside(name, predicted) as self._progress:
            outside, self._counting = self._counting, True
            yield
        self._counting = outside
        spent = {key: now - asdict(before)[key] for key, now in asdict(usage).items()}
        seconds = round(perf_counter() - begin, 3)
        self.stages.append(
            Stage(name, predicted, bound, **spent, seconds=seconds, per_query=per_query)
        )

    @cached_property
    def _zero_shot(self) -> tuple[Array, Array]:
        with self.stage("zero-shot signals", len(self)):
            hidden, scores = self._labelled().zero_shot(self.examples, self._progress)
        return _fixed(hidden), _fixed(scores)

    @cached_property
    def _alike(self) -> bool:
        return len({example.candidates for example in self.examples}) == 1

    def _labelled(self) -> Reader:
        """The reader; UserError if there is none, or no label words that all examples share."""
        if self._reader is None:
            raise UserError("this selector needs a model's signals, and there is no model to ask")
        if not self._alike:
            raise UserError(
                "this selector compares label words, but here every example has options of its "
                "own: use method=vanilla or method=deepthink"
            )
        return self._reader


def _fixed(array: Array) -> Array:
    """The array, which can no longer be written into: it is read more than once."""
    array.setflags(write=False)
    return array
