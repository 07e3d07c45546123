"""Margin (Coleman et al. 2019): examples whose two best labels are closest."""

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
    """Take the smallest difference of the two highest zero-shot label probabilities.

    variant: "reference_library" takes the largest without balance. With two labels the order is
    that of entropy and least_confidence. values: the difference, negated.

    Not measured: variant, balance, arrangement.
    """
    ordered = np.sort(pool.probabilities, axis=1)
    scores = ordered[:, -2] - ordered[:, -1]
    return highest(pool, count, rng, balance, arrangement, turned(scores, variant, balance))
