"""From scores to predictions, with one rule for all who compare candidates.

The candidate with the highest score is predicted. Where different candidates have it (a tie), one
of them is drawn by lot. The lot is a hash of the example's text and the candidate's, so it is the
same for every step, seed and method, and does not depend on the order of the candidates. A few
questions list two candidates with the same text: they are one answer, and the first stands for it.
"""

import hashlib
from collections.abc import Sequence
from math import inf

from deepthink.structures import Example


def predictions(examples: Sequence[Example], scores: Sequence[Sequence[float]]) -> list[int]:
    """The index of the predicted candidate of each example, from one row of scores for each.

    >>> predictions([Example("so dull", ("bad", "good"), 0)], [[-0.2, -1.7]])
    [0]
    """
    return [_predicted(example, row) for example, row in zip(examples, scores, strict=True)]


def ties(examples: Sequence[Example], scores: Sequence[Sequence[float]]) -> int:
    """How many examples have a tie: different candidates with the highest score."""
    return sum(len(_best(e, row)) > 1 for e, row in zip(examples, scores, strict=True))


def gold(example: Example) -> int:
    """The index that a right prediction of the example has: of equal texts, the first."""
    return example.candidates.index(example.candidates[example.label])


def hits(examples: Sequence[Example], predicted: Sequence[int]) -> int:
    """How many predictions are the gold answer."""
    return sum(gold(e) == index for e, index in zip(examples, predicted, strict=True))


def different(example: Example, scores: Sequence[float]) -> list[float]:
    """The scores, with -inf for a candidate whose text an earlier one has: they are one answer.

    >>> different(Example("which?", ("red", "blue", "red"), 2), [-0.5, -1.0, -0.5])
    [-0.5, -1.0, -inf]
    """
    words = example.candidates
    pairs = zip(words, scores, strict=True)
    return [-inf if word in words[:place] else score for place, (word, score) in enumerate(pairs)]


def _predicted(example: Example, scores: Sequence[float]) -> int:
    best = _best(example, scores)
    drawn = best[0] if len(best) == 1 else min(best, key=lambda word: _lot(example.text, word))
    return example.candidates.index(drawn)


def _best(example: Example, scores: Sequence[float]) -> list[str]:
    """The different candidates with the highest score."""
    top = max(scores)
    pairs = zip(example.candidates, scores, strict=True)
    return list(dict.fromkeys(word for word, score in pairs if score == top))


def _lot(text: str, candidate: str) -> bytes:
    return hashlib.sha256(f"{text}\x1f{candidate}".encode()).digest()
