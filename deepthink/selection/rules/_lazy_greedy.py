"""Greedy maximisation of a submodular function without evaluating every gain at every step."""

from collections.abc import Callable

import numpy as np

_BLOCK = 256
"""Gains evaluated together: enough for a matrix product to run at full speed."""

_SLACK = 1e-5
"""How far below the best gain, as a share of it, a bound still counts: both are rounded."""

_TIE = 1e-6
"""Gains that differ by less, as a share of the best, are equal: two examples that cover each other
have the same gain, and rounding should not choose between them."""


def lazy_greedy(
    count: int,
    bounds: np.ndarray,
    gains: Callable[[np.ndarray], np.ndarray],
    add: Callable[[int], object],
) -> tuple[list[int], list[float]]:
    """Pick `count` elements, each of the largest gain, the lowest index of equals (Minoux 1978).

    A gain never grows as elements are added, so an old one bounds the new one from above: at each
    step the elements of the highest bounds are evaluated, a block at a time, until no bound left
    reaches the best gain found. The result is that of evaluating all.

    bounds: [n] upper bounds of the first gains; gains: of these elements, now; add: picks one.
    Returns the picks and the gain of each.
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
