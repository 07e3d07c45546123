"""Entropy (Coleman et al. 2019): examples whose label the model is least sure of."""

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
    """Take the highest entropy -Σ p ln p of the zero-shot label probabilities.

    The probabilities are uncalibrated and share out among the label words; the gold label serves
    balance alone. variant: "reference_library" adds 1e-6 inside the logarithm and, without
    balance, takes the lowest. With two labels the order is that of least_confidence and margin.

    Not measured: variant, balance, arrangement.
    """
    p = pool.probabilities
    inside = p + 1e-6 if variant == "reference_library" else p
    scores = -(p * np.log(inside)).sum(axis=1)
    return highest(pool, count, rng, balance, arrangement, turned(scores, variant, balance))
