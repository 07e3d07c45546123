"""What a selector sees of the examples it chooses from. Arrays only: no model, no files.

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

    read: prompts scored, each with all its label words; kept: answered from what was stored;
    forwards: calls of the model, which carry many prompts each; tokens: what all these answers
    took or had taken to read; shortened: sets that lost demonstrations to the context's limit.
    """

    read: int = 0
    kept: int = 0
    forwards: int = 0
    tokens: int = 0
    shortened: int = 0


class Reader(Protocol):
    """Whoever can say what the model makes of examples: `signals.ModelReader`, or a stand-in."""

    usage: Usage

    @property
    def answer_score(self) -> str:
        """What a label score is: the "sum", "mean" or "probability" of `scoring.score`."""

    @property
    def answer_tokens(self) -> Sequence[int]:
        """Tokens of each label word."""

    def zero_shot(self, examples: Sequence[Example], progress: Progress) -> tuple[Array, Array]:
        """Hidden states [n, d] and label scores [n, C] of prompts without demonstrations."""

    def after(
        self, sets: Sequence[Sequence[Example]], queries: Sequence[Example], progress: Progress
    ) -> Array:
        """Label scores [S, Q, C] of every query after each set of demonstrations, in its order."""


@dataclass(frozen=True)
class Stage:
    """One part of a selection: what it was foreseen to read, at most if `bound`, and its usage."""

    name: str
    predicted: int
    bound: bool
    read: int
    kept: int
    forwards: int
    tokens: int
    shortened: int
    seconds: float


class Pool:
    """The examples demonstrations are chosen from, and their signals, each read on first use.

    examples: n, all with the same candidates wherever a signal is asked for; dev: a set to try
    demonstrations on, disjoint from the examples; stages: what has been read so far.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        dev: Sequence[Example] = (),
        reader: Reader | None = None,
        watch: Watcher | None = None,
    ) -> None:
        self.examples = tuple(examples)
        self.dev = tuple(dev)
        self.labels: Array = np.array([example.label for example in examples])
        self.stages: list[Stage] = []
        self._reader = reader
        self._watch = watch or Watcher()
        self._progress: Progress = lambda _: None

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def hidden(self) -> Array:
        """[n, d] float32: the input of the output layer at the zero-shot prompt's last token."""
        return self._zero_shot[0]

    @property
    def scores(self) -> Array:
        """[n, C] float32: each label word's zero-shot score, as the job scores answers."""
        return self._zero_shot[1]

    @cached_property
    def probabilities(self) -> Array:
        """[n, C] float64: the scores as probabilities among the label words, 1e-12 at least."""
        return self.shared_out(self.scores)

    def shared_out(self, scores: Array) -> Array:
        """Label scores [..., C] as probabilities among the label words, float64, 1e-12 at least.

        They are alike where a probability was too small to be told from zero for every word.
        """
        wide, least = scores.astype(np.float64), np.finfo(np.float32).tiny
        if self._asked().answer_score == "probability":
            wide = np.maximum(wide, least)
            found = wide / wide.sum(axis=-1, keepdims=True)
        else:
            found = softmax(np.maximum(wide, np.finfo(np.float32).min), axis=-1)
        return np.clip(found, 1e-12, None)

    def losses(self, scores: Array) -> Array:
        """Label scores [..., C] as losses in nats per token of the label word, float64."""
        reader, wide = self._asked(), scores.astype(np.float64)
        if reader.answer_score != "mean":
            wide = wide / np.array(reader.answer_tokens)
        if reader.answer_score == "probability":
            return -np.log(np.maximum(wide, np.finfo(np.float32).tiny))
        return -wide

    def features(self, center: Center) -> Array:
        """The hidden states as they are, less their mean, or standardised per dimension."""
        if center == "none":
            return self.hidden
        wide = self.hidden.astype(np.float64)
        wide -= wide.mean(axis=0)
        if center == "zscore":
            deviation = wide.std(axis=0)
            wide /= np.where(deviation > 0, deviation, 1)
        return wide.astype(np.float32)

    def gradients(self, center: Center) -> Outer:
        """Gradients of the gold label's cross-entropy at a C-way linear layer over [1; h].

        r = p - onehot(y) times [1; h], never multiplied out.
        """
        residuals = self.probabilities.copy()
        residuals[np.arange(len(self)), self.labels] -= 1
        features = self.features(center)
        ones = np.ones((len(self), 1), features.dtype)
        return Outer(residuals, np.concatenate([ones, features], axis=1))

    def after(self, sets: Sequence[Sequence[int]], queries: Sequence[Example]) -> Array:
        """Label scores [S, Q, C] of the queries after each set of the pool's indices, as read.

        An empty set asks for the zero-shot scores.
        """
        shown = [[self.examples[i] for i in indices] for indices in sets]
        return self._asked().after(shown, queries, self._progress)

    @contextmanager
    def stage(self, name: str, predicted: int, bound: bool = False) -> Iterator[None]:
        """Everything read inside belongs to a stage that was foreseen to take `predicted` prompts.

        bound: the number is the most it may take.
        """
        usage = self._asked().usage
        before, begin = replace(usage), perf_counter()
        with self._watch.aside(name, predicted) as self._progress:
            yield
        spent = {key: now - asdict(before)[key] for key, now in asdict(usage).items()}
        seconds = round(perf_counter() - begin, 3)
        self.stages.append(Stage(name, predicted, bound, **spent, seconds=seconds))

    @cached_property
    def _zero_shot(self) -> tuple[Array, Array]:
        with self.stage("zero-shot signals", len(self)):
            return self._asked().zero_shot(self.examples, self._progress)

    @cached_property
    def _alike(self) -> bool:
        return len({example.candidates for example in self.examples}) == 1

    def _asked(self) -> Reader:
        if self._reader is None:
            raise UserError("this selector needs a model's signals, and there is no model to ask")
        if not self._alike:
            raise UserError(
                "this selector compares label words, but here every example has options of its "
                "own: use method=vanilla or method=deepthink"
            )
        return self._reader
