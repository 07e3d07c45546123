"""Intervals of what is one number for each draw of demonstrations, such as a label bias.

An accuracy is a mean over test examples too, and has the intervals of `statistics`. The numbers
here are no such means, so they are samples of draws alone: their intervals say what other
demonstrations would give on the same test rows.
"""

from collections.abc import Callable
from dataclasses import replace
from math import sqrt

import numpy as np
from scipy import stats

from deepthink.report.statistics import FEWEST, LEVEL, Array, Estimate, over_draws

OfTwo = Callable[[Array, Array], Array]
"""A statistic over the last two axes of two arrays [..., S, K], such as a correlation."""

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
    found = replace(over_draws(values, level), examples=examples)
    if seeds < FEWEST:
        return found
    p = 1.0 if abs(found.mean) < 1e-12 else 0.0
    if (error := float(values.std(ddof=1)) / sqrt(seeds)) > 0:
        p = float(2 * stats.t.sf(abs(found.mean) / error, seeds - 1))
    return replace(found, p=p)


def bootstrap(
    statistic: OfTwo, first: Array, second: Array, examples: int, level: float = LEVEL
) -> Estimate | None:
    """A statistic of two arrays [S, K] with the percentile interval of a bootstrap (Efron 1979).

    The S draws are drawn again, each with its K tasks; the resamples are the same at every call.
    Where the statistic of a resample is NaN, not defined, the resample is left out. None with fewer
    than `FEWEST` draws, or if the statistic of the arrays themselves is not defined.

    >>> values = np.arange(10.0)[:, None]
    >>> found = bootstrap(lost, 1 + values, 0 * values, examples=1)
    >>> found.mean, found.low, found.high
    (1.0, 1.0, 1.0)
    """
    seeds = len(first)
    whole = float(statistic(first, second))
    if seeds < FEWEST or np.isnan(whole):
        return None
    draws = np.random.default_rng(0).integers(seeds, size=(RESAMPLES, seeds))
    found = statistic(first[draws], second[draws])
    low, high = np.nanquantile(found, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(whole, float(low), float(high), seeds, examples)


def correlation(first: Array, second: Array) -> Array:
    """Pearson's r over draws and tasks of arrays [..., S, K]; NaN where either has no spread.

    >>> float(correlation(np.array([[1.0], [2.0], [3.0]]), np.array([[6.0], [4.0], [2.0]])))
    -1.0
    """
    x, y = _centred(first), _centred(second)
    spread = np.sqrt((x * x).sum(axis=_BOTH) * (y * y).sum(axis=_BOTH))
    return _ratio((x * y).sum(axis=_BOTH), spread)


def slope(first: Array, second: Array) -> Array:
    """The slope of the least-squares line of the second on the first; NaN if that has no spread.

    >>> float(slope(np.array([[1.0], [2.0], [3.0]]), np.array([[2.0], [4.0], [6.0]])))
    2.0
    """
    x = _centred(first)
    return _ratio((x * second).sum(axis=_BOTH), (x * x).sum(axis=_BOTH))


def lost(first: Array, second: Array) -> Array:
    """The part of the first's mean that the second's lacks; NaN where the first's is zero.

    >>> float(lost(np.array([[4.0]]), np.array([[1.0]])))
    0.75
    """
    whole = first.mean(axis=_BOTH)
    return _ratio(whole - second.mean(axis=_BOTH), whole)


_BOTH = (-2, -1)


def _centred(values: Array) -> Array:
    centred: Array = values - values.mean(axis=_BOTH, keepdims=True)
    return centred


def _ratio(above: Array, below: Array) -> Array:
    """NaN where what stands below is zero, but for rounding."""
    zero = np.abs(below) < 1e-9
    return np.where(zero, np.nan, above / np.where(zero, 1.0, below))
