"""Less what the label words get for one word of the pool."""

from collections.abc import Sequence

import numpy as np

from deepthink.study.calibrating import Array, Ask


def texts(pool: Sequence[str], rng: np.random.Generator) -> list[str]:
    """The longest text of the pool, cut to its first word."""
    return [max(pool, key=len).split()[0]]


def calibrate(scores: Array, ask: Ask, strength: float = 1.0) -> Array:
    """Scores less `strength` times the scores of the one text that was asked about."""
    (text,) = ask.answers
    return scores - strength * ask([text])[:, 0]
