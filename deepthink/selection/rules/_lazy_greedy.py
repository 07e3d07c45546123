"""Greedy maximisation of a submodular function without evaluating every gain at every step."""

from collections.abc import Callable

import numpy as np

_BLOCK = 256
"""How many gains are evaluated together, enough for a matrix product at full speed."""

_SLACK = 1e-5
"""How far below the best gain, as a fraction of it, a bound still counts; both are rounded."""

_TIE = 1e-6
"""Gains that differ by less, as a fraction of the best, are equal. Two examples that cover each
other have the same gain, and rounding should not choose between them."""


def lazy_greedy(
    count: int,
    bounds: np.ndarray,
    gains: Callable[[np.ndarray], np.ndarray],
    add: Callable[[int], object],
) -> tuple[list[int], list[float]]:
    """Pick `count` elements, each with the largest gain; of equal ones, the first (Minoux 1978).

    A gain never grows as elements are added, so an old one bounds the new one from above. At each
    step the elements with the highest bounds are evaluated, a block at a time, until no other bound
    reaches the best gain. The result is the same as if all were evaluated.

    bounds: [n], upper bounds of the first gains.
    gains: the gains of these elements now.
    add: called with each pick.

    >>> worth = np.array([3.0, 1.0, 2.0])
    >>> lazy_greedy(2, worth, gains=lambda indices: worth[indices], add=lambda pick: None)
    ([0, 2], [3.0, 2.0])

    Returns:
        The picks in order, and the gain of each when it was picked.
    """
    bounds = bounds.astype(np.float64)
    free = np.ones(len(bounds), dtype=bool)
    chosen, values = [], []
    for _ in range(count):
        fresh = np.zeros(len(bounds), dtype=bool)
        best = float(np.finfo(float).min)
        while True:
            reach = best - _SLACK * abs(best)
            stale = np.flatnonzero(free & ~fresh & (bounds >= reach))
            if not len(stale):
                break
            if len(stale) > _BLOCK:
                stale = stale[np.argpartition(-bounds[stale], _BLOCK)[:_BLOCK]]
            bounds[stale] = gains(stale)
            fresh[stale] = True
            best = max(best, float(bounds[stale].max()))
        pick = int(np.flatnonzero(fresh & (bounds >= best - _TIE * abs(best)))[0])
        free[pick] = False
        add(pick)
        chosen.append(pick)
        values.append(float(bounds[pick]))
    return chosen, values
