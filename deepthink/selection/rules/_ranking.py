"""Selectors that give every example a score of its own and take the highest."""

import numpy as np

from deepthink.selection.balance import Arrangement, Balance, Selection, by_class
from deepthink.selection.pool import Pool


def highest(
    pool: Pool,
    count: int,
    rng: np.random.Generator,
    balance: Balance,
    arrangement: Arrangement,
    scores: np.ndarray,
) -> Selection:
    """The examples of the highest scores [n], the first of equals; values: the scores."""

    def pick(
        members: np.ndarray, share: int, _: np.random.Generator
    ) -> tuple[list[int], list[float]]:
        own = scores[members]
        best = np.argsort(-own, kind="stable")[:share]
        return best.tolist(), own[best].tolist()

    return by_class(pool, count, rng, balance, arrangement, pick)


def turned(scores: np.ndarray, variant: str, balance: Balance) -> np.ndarray:
    """Uncertainties as the variant ranks them: DeepCore sorts the wrong way without balance."""
    return -scores if variant == "reference_library" and balance == "none" else scores
