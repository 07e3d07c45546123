"""Intervals of what is one number for each draw of demonstrations, such as a label bias.

An accuracy is a mean over test examples too, and has the intervals of `statistics`. The numbers
here are no such means, so they are samples of draws alone: their intervals say what other
demonstrations would give on the same test rows.
"""

from collections.abc import Callable
from math import sqrt

import numpy as np
from scipy import stats

from deepthink.report.statistics import FEWEST, LEVEL, Array, Estimate

OfTwo = Callable[[Array, Array], float]
"""A statistic of two arrays of one shape, such as a correlation."""

RESAMPLES = 2000
"""How often the bootstrap draws the draws again."""


def mean(values: Array, examples: int, level: float = LEVEL) -> Estimate | None:
    """The mean over draws [S] with Student's interval; None with one draw, which has no interval.

    examples: the number of test rows behind each value. There is no p with fewer than `FEWEST`
    draws.

    >>> found = mean(np.array([1.0, 2.0, 3.0]), examples=100)
    >>> found.mean, round(found.low, 2), round(found.high, 2), found.p
    (2.0, -0.48, 4.48, None)
    """
    seeds = len(values)
    if seeds < 2:
        return None
    centre, error = float(values.mean()), float(values.std(ddof=1)) / sqrt(seeds)
    reach = error * float(stats.t.ppf((1 + level) / 2, seeds - 1))
    p = None
    if seeds >= FEWEST:
        p = 1.0 if abs(centre) < 1e-12 else 0.0
        if error > 0:
            p = float(2 * stats.t.sf(abs(centre) / error, seeds - 1))
    return Estimate(centre, centre - reach, centre + reach, seeds, examples, p)


def bootstrap(
    statistic: Callable[[Array], float], seeds: int, examples: int, level: float = LEVEL
) -> Estimate | None:
    """A statistic of the draws with the percentile interval of their bootstrap (Efron 1979).

    statistic: from the places of draws, [S] int with repeats, to a number. It is NaN where it is
    not defined, and such resamples are left out. The resamples are the same at every call. None
    with fewer than `FEWEST` draws, or if the statistic is not defined of the draws themselves.

    >>> values = np.arange(10.0)
    >>> found = bootstrap(lambda draws: values[draws].mean(), seeds=10, examples=1)
    >>> found.mean, found.low > 2, found.high < 7
    (4.5, True, True)
    """
    whole = statistic(np.arange(seeds))
    if seeds < FEWEST or np.isnan(whole):
        return None
    places = np.random.default_rng(0).integers(seeds, size=(RESAMPLES, seeds))
    found = np.array([statistic(draws) for draws in places])
    low, high = np.nanquantile(found, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(float(whole), float(low), float(high), seeds, examples)


def correlation(first: Array, second: Array) -> float:
    """Pearson's r of two arrays of one shape; NaN if either has no spread.

    >>> round(correlation(np.array([1.0, 2.0, 3.0]), np.array([6.0, 4.0, 2.0])), 6)
    -1.0
    """
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


def slope(first: Array, second: Array) -> float:
    """The slope of the least-squares line of the second on the first; NaN if that has no spread.

    >>> slope(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 6.0]))
    2.0
    """
    if np.ptp(first) == 0:
        return float("nan")
    x = (first - first.mean()).ravel()
    return float((x * second.ravel()).sum() / (x * x).sum())
