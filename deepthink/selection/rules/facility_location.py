"""Facility location (Iyer and Bilmes 2013): every example has someone like it among the picks."""

import numpy as np

from deepthink.selection.balance import Arrangement, Balance, Selection, by_class
from deepthink.selection.outer import Outer, column_blocks
from deepthink.selection.pool import Center, Pool
from deepthink.selection.rules._lazy_greedy import lazy_greedy
from deepthink.selection.rules._similarity import Features, column_sums, similarity, unit_features


def select(
    pool: Pool,
    count: int,
    rng: np.random.Generator,
    features: Features,
    balance: Balance,
    arrangement: Arrangement,
    center: Center,
) -> Selection:
    """Greedily maximise Σ_i max_{j picked} s_ij.

    features: last-layer gradients as in DeepCore, or hidden states ("embedding"). values: the gain
    of each pick. O(n² · d) time in blocks, O(n · d) memory; the first pick takes O(n · C · d).

    Not measured: features, balance, arrangement, center.
    """
    units = unit_features(pool, features, center)

    def pick(
        members: np.ndarray, share: int, _: np.random.Generator
    ) -> tuple[list[int], list[float]]:
        return locate(units.take(members), share)

    return by_class(pool, count, rng, balance, arrangement, pick)


def locate(units: Outer, count: int) -> tuple[list[int], list[float]]:
    """The greedy picks among unit vectors and their gains."""
    nearest = np.zeros(len(units), dtype=np.float32)  # the similarity to the nearest pick

    def gains(columns: np.ndarray) -> np.ndarray:
        return np.concatenate(
            [
                np.maximum(similarity(units, part) - nearest[:, None], 0).sum(
                    axis=0, dtype=np.float64
                )
                for part in column_blocks(columns, len(units))
            ]
        )

    def add(index: int) -> None:
        np.maximum(nearest, similarity(units, np.array([index]))[:, 0], out=nearest)

    return lazy_greedy(count, column_sums(units), gains, add)
