"""Similarities between examples in [0, 1], ½ + ½ cosine, and what follows without n² of them."""

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
    """[n, len(columns)] of every example to these."""
    return 0.5 + 0.5 * units.inner(columns)


def column_sums(units: Outer) -> np.ndarray:
    """[n] float64: each example's similarity to all, from the sum of all unit vectors."""
    return len(units) / 2 + units.against(units.total()) / 2
