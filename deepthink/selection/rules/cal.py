"""CAL (Margatina et al. 2021): examples whose neighbours the model judges otherwise."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from deepthink.selection.balance import Arrangement, Balance, Selection, Variant, classes
from deepthink.selection.pool import Center, Pool
from deepthink.selection.rules._ranking import highest


def select(
    pool: Pool,
    count: int,
    rng: np.random.Generator,
    variant: Variant,
    neighbours: Annotated[int, Field(ge=1)],
    scope: Literal["pool", "class"],
    balance: Balance,
    arrangement: Arrangement,
    center: Center,
) -> Selection:
    """Take the highest mean divergence KL(p_neighbour || p) over the nearest neighbours.

    Neighbours are near in hidden states (Euclidean); 10 of them, as in the source and in DeepCore.
    scope: the source looks for them among labelled data, which here is the whole pool; "class" is
    DeepCore's. variant: "reference_library" takes the lowest mean of the symmetrised divergence;
    set scope=class with it. O(n² · d) time in blocks, O(n · neighbours) memory.

    Not measured: variant, neighbours, scope, balance, arrangement, center.
    """
    features, log_p = pool.features(center), np.log(pool.probabilities)
    groups = [np.arange(len(pool))] if scope == "pool" else list(classes(pool.labels).values())
    scores = np.zeros(len(pool))
    for members in groups:
        near = members[nearest(features[members], min(neighbours, len(members) - 1))]
        mine, theirs = log_p[members][:, None], log_p[near]  # [n, 1, C], [n, K, C]
        divergence = (np.exp(theirs) * (theirs - mine)).sum(axis=2)
        if variant == "reference_library":
            reverse = (np.exp(mine) * (mine - theirs)).sum(axis=2)
            divergence = (divergence + reverse) / 2
        if near.shape[1]:
            scores[members] = divergence.mean(axis=1)
    if variant == "reference_library":
        scores = -scores
    return highest(pool, count, rng, balance, arrangement, scores)


def nearest(vectors: np.ndarray, neighbours: int) -> np.ndarray:
    """[n, neighbours]: for each vector the indices of the nearest others, itself left out."""
    from sklearn.neighbors import NearestNeighbors  # slow to import, and only needed here

    if not neighbours:
        return np.empty((len(vectors), 0), dtype=int)
    search = NearestNeighbors(n_neighbors=neighbours + 1, algorithm="brute").fit(vectors)
    indices = search.kneighbors(vectors, return_distance=False)
    itself = indices == np.arange(len(vectors))[:, None]
    # among more duplicates than neighbours it may be absent; then the farthest is left out
    itself[~itself.any(axis=1), -1] = True
    others: np.ndarray = indices[~itself].reshape(len(vectors), neighbours)
    return others
