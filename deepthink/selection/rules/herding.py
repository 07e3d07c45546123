"""Herding (Welling 2009; Chen et al. 2010): examples whose mean follows the pool's mean."""

import numpy as np

from deepthink.selection.balance import Arrangement, Balance, Selection, Variant, by_class
from deepthink.selection.outer import blocks
from deepthink.selection.pool import Center, Pool


def select(
    pool: Pool,
    count: int,
    rng: np.random.Generator,
    variant: Variant,
    balance: Balance,
    arrangement: Arrangement,
    center: Center,
) -> Selection:
    """Pick, at step t, the example nearest to t·μ minus the sum of those picked so far.

    μ is the mean hidden state. variant: "reference_library" takes the farthest one, as DeepCore
    does. values: the distance at which each was picked. O(count · n · d).

    Not measured: variant, balance, arrangement, center.
    """
    features = pool.features(center)

    def pick(
        members: np.ndarray, share: int, _: np.random.Generator
    ) -> tuple[list[int], list[float]]:
        points = features[members]
        mean = points.mean(axis=0, dtype=np.float64)
        total = np.zeros_like(mean)  # of the picked ones, each less the mean
        free = np.ones(len(members), dtype=bool)
        chosen, distances = [], []
        for _step in range(share):
            # t·μ - Σ h_s - h_i = -(Σ (h_s - μ) + h_i - μ)
            distance = np.concatenate(
                [np.linalg.norm(points[at] - mean + total, axis=1) for at in blocks(len(points))]
            )
            if variant == "paper":
                best = int(np.where(free, distance, np.inf).argmin())
            else:
                best = int(np.where(free, distance, -np.inf).argmax())
            free[best] = False
            total += points[best] - mean
            chosen.append(best)
            distances.append(float(distance[best]))
        return chosen, distances

    return by_class(pool, count, rng, balance, arrangement, pick)
