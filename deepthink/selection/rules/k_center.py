"""K-Center Greedy (Sener and Savarese 2018): cover the pool with the smallest radius."""

from typing import Literal

import numpy as np

from deepthink.selection.balance import Arrangement, Balance, Selection, by_class
from deepthink.selection.outer import blocks
from deepthink.selection.pool import Center, Pool


def select(
    pool: Pool,
    count: int,
    rng: np.random.Generator,
    init: Literal["random", "central"],
    balance: Balance,
    arrangement: Arrangement,
    center: Center,
) -> Selection:
    """Pick, after a first one, whatever is farthest from its nearest pick.

    init: the first is drawn by the seed, as in DeepCore, or nearest to the mean. The radius is at
    most twice the best possible, whatever the first. Seeks outliers by construction. values: the
    distance at which each was picked (0 for the first). O(count · n · d).

    Not measured: init, balance, arrangement, center.
    """
    features = pool.features(center)

    def pick(
        members: np.ndarray, share: int, class_rng: np.random.Generator
    ) -> tuple[list[int], list[float]]:
        points = features[members]
        if init == "random":
            newest = int(class_rng.integers(len(members)))
        else:
            newest = int(_distances(points, points.mean(axis=0, dtype=np.float64)).argmin())
        nearest = np.full(len(members), np.inf)
        chosen, radii = [newest], [0.0]
        while len(chosen) < share:
            nearest = np.minimum(nearest, _distances(points, points[newest]))
            nearest[newest] = -np.inf
            newest = int(nearest.argmax())
            chosen.append(newest)
            radii.append(float(nearest[newest]))
        return chosen, radii

    return by_class(pool, count, rng, balance, arrangement, pick)


def _distances(vectors: np.ndarray, point: np.ndarray) -> np.ndarray:
    """[n] Euclidean distances to a point [d]."""
    wide = point.astype(np.float64)
    return np.concatenate(
        [np.linalg.norm(vectors[at] - wide, axis=1) for at in blocks(len(vectors))]
    )
