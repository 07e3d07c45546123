"""What rules have in common that give every example a score and take the highest."""

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
    """The examples with the highest scores [n]; of equal ones, the first. values: the scores."""

    def pick(
        members: np.ndarray, share: int, _: np.random.Generator
    ) -> tuple[list[int], list[float]]:
        theirs = scores[members]
        best = np.argsort(-theirs, kind="stable")[:share]
        return best.tolist(), theirs[best].tolist()

    return by_class(pool, count, rng, balance, arrangement, pick)


def turned(scores: np.ndarray, variant: str, balance: Balance) -> np.ndarray:
    """Uncertainties with the variant's sign: without balance, DeepCore takes the lowest."""
    return -scores if variant == "reference_library" and balance == "none" else scores
