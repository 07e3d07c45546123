"""Demonstrations for each query: those of the pool that are most like it, the most similar last."""

from collections.abc import Iterable

import numpy as np

from deepthink.selection.balance import Selection


def nearest_last(similarities: Iterable[np.ndarray], count: int) -> list[Selection]:
    """The `count` most similar examples of each query, in ascending order, with the similarities.

    similarities: for each query [n], of every example of the pool. Of equal ones the first in the
    pool counts as more similar.

    >>> [chosen] = nearest_last([np.array([0.5, 0.9, 0.5])], count=2)
    >>> chosen.indices, chosen.values
    ([0, 1], [0.5, 0.9])
    """
    selections = []
    for row in similarities:
        best = np.argsort(-row, kind="stable")[:count][::-1]
        selections.append(Selection(best.tolist(), row[best].tolist()))
    return selections
