"""Similarities ½ + ½ cosine between examples, in [0, 1], and their sums without n² of them."""

from typing import Literal

import numpy as np

from deepthink.selection.outer import Outer
from deepthink.selection.pool import Center, Pool

Features = Literal["gradient", "embedding"]


def unit_features(pool: Pool, features: Features, center: Center) -> Outer:
    """Last-layer gradients, as DeepCore compares, or hidden states, at length one.

    With two labels, the gradients of one class are positive multiples of the states (with their
    appended 1), so that the two hardly differ.
    """
    if features == "gradient":
        return pool.gradients(center).unit()
    return Outer.of(pool.features(center)).unit()


def similarity(units: Outer, columns: np.ndarray) -> np.ndarray:
    """[n, len(columns)]: the similarity of every example to those at these indices."""
    return 0.5 + 0.5 * units.inner(columns)


def column_sums(units: Outer) -> np.ndarray:
    """[n] float64: each example's summed similarity to all, from the sum of the unit vectors."""
    return len(units) / 2 + units.against(units.total()) / 2
