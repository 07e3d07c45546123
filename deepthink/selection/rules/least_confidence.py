"""Least confidence (Coleman et al. 2019): examples whose best label is least probable."""

import numpy as np

from deepthink.selection.balance import Arrangement, Balance, Selection, Variant
from deepthink.selection.pool import Pool
from deepthink.selection.rules._ranking import highest, turned


def select(
    pool: Pool,
    count: int,
    rng: np.random.Generator,
    variant: Variant,
    balance: Balance,
    arrangement: Arrangement,
) -> Selection:
    """Take the highest 1 - max p of the zero-shot label probabilities.

    variant: "reference_library" takes the lowest best score instead, before any normalisation
    (here the label word's score), and the highest without balance. With two labels the
    paper's order is that of entropy and margin.

    Not measured: variant, balance, arrangement.
    """
    if variant == "paper":
        scores = 1 - pool.probabilities.max(axis=1)
    else:
        scores = -pool.scores.max(axis=1).astype(np.float64)
    return highest(pool, count, rng, balance, arrangement, turned(scores, variant, balance))
