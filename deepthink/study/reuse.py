"""Scores of the plain reading that an earlier job of this process has computed.

At t = 1 the memory is the plain reading of the demonstrations, whatever refines it afterwards. So
`vanilla`, `deepthink` with any step size, and all rules that choose the same demonstrations in the
same order score the same queries against the same memory. They are scored once.
"""

import hashlib
from array import array
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain, islice
from weakref import WeakKeyDictionary

import torch
from transformers import PreTrainedModel

from deepthink.engine.support import state
from deepthink.engine.token_budget import TokenBudget
from deepthink.tasks.prompts import Encoded

Scores = list[list[float]]
"""One row for each query, with one number for each of its candidates."""

LIMIT = 1 << 22
"""The most scores that are kept for a model: 32 MiB."""


class KeptScores:
    """Scores by the digest of what they are a function of, `limit` numbers at most.

    Those that were used longest ago are forgotten first. They are kept as float64, which is what
    they are, so that they come back to the bit.

    >>> kept = KeptScores(limit=3)
    >>> kept.keep("a", [[-1.0, -2.0]])
    >>> kept.keep("b", [[-3.0], [-4.0]])
    >>> kept.find("a"), kept.find("b")
    (None, [-3.0, -4.0])
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._size = 0
        self._scores: OrderedDict[str, array[float]] = OrderedDict()

    def find(self, digest: str) -> list[float] | None:
        """All rows in one, or None if they were never kept or are forgotten."""
        if digest not in self._scores:
            return None
        self._scores.move_to_end(digest)
        return self._scores[digest].tolist()

    def keep(self, digest: str, rows: Scores) -> None:
        """Keep rows under a digest under which none are kept."""
        self._scores[digest] = array("d", chain.from_iterable(rows))
        self._size += len(self._scores[digest])
        while self._size > self._limit:
            _, forgotten = self._scores.popitem(last=False)
            self._size -= len(forgotten)


_kept: WeakKeyDictionary[PreTrainedModel, KeptScores] = WeakKeyDictionary()
"""Those of each loaded model. They are forgotten with it."""


@dataclass(frozen=True)
class PlainReading:
    """Everything that the scores after a plain reading are a function of.

    model: in eval mode, with the weights that it has at this moment.
    encoded: the token ids of the demonstrations, of the queries and of their candidates.
    answer_score, budget: the scorer's, see `deepthink.engine.scoring.Scorer`.
    """

    model: PreTrainedModel
    encoded: Encoded
    answer_score: str
    budget: TokenBudget

    def scores(self, score: Callable[[], Scores]) -> tuple[Scores, bool]:
        """The rows of scores, and whether an earlier call had computed them.

        score: computes them. They are kept only if neither the weights nor the budget have changed
        meanwhile.
        """
        kept = _kept.setdefault(self.model, KeptScores())
        asked = self.encoded.demonstrations, self.encoded.queries, self.encoded.candidates
        tokens, how = _digest(asked), self._how()
        digest = _digest((tokens, how))
        if (numbers := kept.find(digest)) is not None:
            rest = iter(numbers)
            return [list(islice(rest, len(row))) for row in self.encoded.candidates], True
        rows = score()
        if self._how() == how:
            kept.keep(digest, rows)
        return rows, False

    def _how(self) -> tuple[object, ...]:
        """What else decides the scores, down to how PyTorch rounds a sum."""
        rounding = torch.get_num_threads(), torch.get_float32_matmul_precision()
        return self.answer_score, self.budget.tokens, rounding, state(self.model)


def _digest(value: object) -> str:
    """SHA-256 of what Python writes for lists, tuples, numbers and strings."""
    return hashlib.sha256(repr(value).encode()).hexdigest()
