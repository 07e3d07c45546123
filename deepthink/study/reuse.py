"""Scores of the plain reading that an earlier job of this process has computed.

At t = 1 the memory is the plain reading of the demonstrations, whatever refines it afterwards. So
`vanilla`, `deepthink` with any step size, and all rules that choose the same demonstrations in the
same order score the same queries against the same memory. They are scored once.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain, islice
from weakref import WeakKeyDictionary

import numpy as np
import torch
from transformers import PreTrainedModel

from deepthink.engine.support import state
from deepthink.engine.token_budget import TokenBudget
from deepthink.kept import Kept
from deepthink.tasks.prompts import Encoded

Scores = list[list[float]]
"""One row for each query, with one number for each of its candidates."""

LIMIT = 1 << 22
"""The most scores that are kept for a model: 32 MiB."""

KEPT: WeakKeyDictionary[PreTrainedModel, Kept[np.ndarray]] = WeakKeyDictionary()
"""The scores of each loaded model, all rows of a reading in one, by the digest of what they are a
function of. They are kept as float64, which is what they are, and forgotten with the model."""


@dataclass(frozen=True)
class PlainReading:
    """Everything that the scores after a plain reading are a function of.

    model: in eval mode, with the weights that it has at this moment.
    encoded: the token ids of the demonstrations, of the queries and of their candidates, into which
        groups the demonstrations fall, and which of queries and candidates are scored.
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
        kept = KEPT.setdefault(self.model, Kept(LIMIT))
        encoded = self.encoded
        asked = (encoded.demonstrations, encoded.sequences, encoded.queries, encoded.candidates)
        tokens, how = _digest((asked, encoded.direction)), self._how()
        digest = _digest((tokens, how))
        if (numbers := kept.find(digest)) is not None:
            rest = iter(numbers.tolist())
            return [list(islice(rest, len(row))) for row in self.encoded.candidates], True
        rows = score()
        if self._how() == how:
            numbers = np.fromiter(chain.from_iterable(rows), np.float64)
            kept.keep(digest, numbers, len(numbers))
        return rows, False

    def _how(self) -> tuple[object, ...]:
        """What else decides the scores, down to how PyTorch rounds a sum."""
        rounding = torch.get_num_threads(), torch.get_float32_matmul_precision()
        return self.answer_score, self.budget.tokens, rounding, state(self.model)


def _digest(value: object) -> str:
    """SHA-256 of what Python writes for lists, tuples, numbers and strings."""
    return hashlib.sha256(repr(value).encode()).hexdigest()
