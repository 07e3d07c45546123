"""Pools with made-up signals, and a reader that counts what it is asked."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from deepthink.config.overrides import compose
from deepthink.plugins import RULES
from deepthink.selection import balance
from deepthink.selection.pool import Pool, Progress, Usage
from deepthink.structures import Example


class Stub:
    """Answers from arrays, and from a function of (shown examples, query) to label scores."""

    def __init__(
        self,
        hidden: np.ndarray,
        scores: np.ndarray,
        after: Callable | None = None,
        answer_tokens: list[int] | None = None,
        answer_score: str = "sum",
    ) -> None:
        self.usage = Usage()
        self.answer_score = answer_score
        self.answer_tokens = answer_tokens or [1] * np.shape(scores)[1]
        self._hidden, self._scores, self._after = hidden, scores, after

    def zero_shot(
        self, examples: Sequence[Example], progress: Progress
    ) -> tuple[np.ndarray, np.ndarray]:
        self.usage.read += len(examples)
        return self._hidden, self._scores

    def after(
        self, sets: Sequence[Sequence[Example]], queries: Sequence[Example], progress: Progress
    ) -> np.ndarray:
        self.usage.read += len(sets) * len(queries)
        return np.array([[self._after(shown, query) for query in queries] for shown in sets])


def stub(examples: Sequence[Example]) -> Stub:
    """A reader to which all these examples are alike."""
    return Stub(np.zeros((len(examples), 1)), np.zeros((len(examples), 2)))


def made(
    labels: Sequence[int] | np.ndarray,
    hidden: ArrayLike | None = None,
    probabilities: ArrayLike | None = None,
    scores: ArrayLike | None = None,
    **kwargs: Callable[..., Any] | Sequence[Example | int] | str,
) -> Pool:
    """A pool whose example i has text "i"."""
    labels = np.asarray(labels)
    classes = int(labels.max()) + 1
    if probabilities is not None:
        scores = np.log(np.asarray(probabilities, dtype=float))
    if scores is None:
        scores = np.zeros((len(labels), max(2, classes)))
    if hidden is None:
        hidden = np.zeros((len(labels), 1))
    names = tuple(f"label {c}" for c in range(np.shape(scores)[1]))
    examples = [Example(str(i), names, int(label)) for i, label in enumerate(labels)]
    hidden, scores = np.asarray(hidden, np.float32), np.asarray(scores, np.float32)
    return Pool(examples, kwargs.pop("dev", ()), Stub(hidden, scores, **kwargs))


@cache
def options_of(name: str) -> dict[str, Any]:
    return compose([f"method={name}"]).method.selector


def select(name: str, pool: Pool, count: int, seed: int = 0, **options: Any) -> balance.Selection:
    """A method's own options, over the whole pool and in the order of choice unless asked."""
    selector = dict(options_of(name))
    plain = {"balance": "none", "arrangement": "picked"}
    selector |= {key: value for key, value in plain.items() if key in selector} | options
    found = RULES.load(selector)(pool, count, np.random.default_rng(seed))
    return found if isinstance(found, balance.Selection) else balance.Selection(found)


def random_pool(n: int = 40, d: int = 6, classes: int = 3, seed: int = 0) -> Pool:
    rng = np.random.default_rng(seed)
    return made(
        rng.permutation(np.arange(n) % classes),
        rng.normal(size=(n, d)),
        scores=rng.normal(size=(n, classes)),
    )


def gradients(pool: Pool) -> np.ndarray:
    """Last-layer gradients written out, [n, C (d + 1)]."""
    residual = pool.probabilities - np.eye(pool.scores.shape[1])[pool.labels]
    ones = np.concatenate([np.ones((len(pool), 1)), pool.hidden.astype(float)], axis=1)
    return np.einsum("nc,nd->ncd", residual, ones).reshape(len(pool), -1)
