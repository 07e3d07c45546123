"""CRAIG (Mirzasoleiman et al. 2020): medoids of the gradients of the last layer."""

from typing import Literal

import numpy as np

from deepthink.selection.balance import Arrangement, Balance, Selection, Variant, by_class
from deepthink.selection.outer import Outer, column_blocks
from deepthink.selection.pool import Center, Pool
from deepthink.selection.rules._lazy_greedy import lazy_greedy


def select(
    pool: Pool,
    count: int,
    rng: np.random.Generator,
    variant: Variant,
    gradient: Literal["last_layer", "logit"],
    balance: Balance,
    arrangement: Arrangement,
    center: Center,
) -> Selection:
    """Greedily reduce Σ_i min_{j picked} ||g_i - g_j||, beginning with the medoid.

    gradient: of the last layer, as DeepCore takes it, or of the label scores alone (p - y), which
    the source allows for deep networks. variant: they differ without balance only, where in
    "reference_library" an example stands for none of another class (the rows DeepCore skips there
    depend on its batch size, and are not skipped). values: by how much each pick lowers the sum,
    the first from the largest distance. log: `weights`, how many examples each pick stands for,
    which a prompt cannot use. O(n² · d) time in blocks, O(n · d) memory.

    Not measured: variant, gradient, balance, arrangement, center.
    """
    gradients = pool.gradients(center)
    if gradient == "logit":
        gradients = Outer.of(gradients.left)
    apart = variant == "reference_library" and balance == "none"
    weights: dict[int, int] = {}

    def pick(
        members: np.ndarray, share: int, _: np.random.Generator
    ) -> tuple[list[int], list[float]]:
        kinds = pool.labels[members] if apart else np.zeros(len(members), dtype=int)
        cover = _Cover(gradients.take(members), kinds)
        chosen, values = lazy_greedy(share, cover.first_gains, cover.gains, cover.add)
        weights.update((int(members[i]), int((cover.owner == i).sum())) for i in chosen)
        return chosen, values

    selection = by_class(pool, count, rng, balance, arrangement, pick)
    log = {"weights": [weights[index] for index in selection.indices]}
    return Selection(selection.indices, selection.values, log)


class _Cover:
    """Each vector's distance to the nearest pick of its kind, which begins with the largest there.

    kinds: [n]; vectors of different kinds are infinitely far apart.
    first_gains: [n], the gains before anything is picked; owner: [n], the nearest pick of each.
    """

    def __init__(self, vectors: Outer, kinds: np.ndarray) -> None:
        self._vectors = vectors.wide()
        self._squares = self._vectors.squares()
        self._kinds = kinds
        size = len(vectors)
        sums, farthest = np.empty(size), np.empty(size)
        for columns in column_blocks(np.arange(size), size):
            distances = self._to(columns)
            near = np.isfinite(distances)
            sums[columns] = distances.sum(axis=0, where=near)
            farthest[columns] = distances.max(axis=0, where=near, initial=0)
        largest = np.array(
            [farthest[kinds == kind].max(initial=0) for kind in range(kinds.max() + 1)]
        )
        self.nearest = largest[kinds]
        self.first_gains = np.bincount(kinds)[kinds] * self.nearest - sums
        self.owner = np.full(size, -1)

    def gains(self, columns: np.ndarray) -> np.ndarray:
        """By how much each of these would lower the sum of distances."""
        return np.concatenate(
            [
                np.maximum(self.nearest[:, None] - self._to(part), 0).sum(axis=0)
                for part in column_blocks(columns, len(self.nearest))
            ]
        )

    def add(self, index: int) -> None:
        """Pick the vector at this index."""
        distances = self._to(np.array([index]))[:, 0]
        nearer = (distances < self.nearest) | (np.isfinite(distances) & (self.owner < 0))
        self.owner[nearer] = index
        self.nearest = np.minimum(self.nearest, distances)

    def _to(self, columns: np.ndarray) -> np.ndarray:
        """[n, len(columns)] distances, infinite across kinds."""
        square = self._squares[:, None] + self._squares[columns] - 2 * self._vectors.inner(columns)
        distances: np.ndarray = np.sqrt(np.maximum(square, 0))
        distances[columns, np.arange(len(columns))] = 0
        distances[self._kinds[:, None] != self._kinds[columns]] = np.inf
        return distances
