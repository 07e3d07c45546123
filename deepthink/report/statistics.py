"""Intervals and tests where the same examples are judged under several draws of demonstrations.

S  seeds (draws, or orders)        I  test examples, the same for every seed

An experiment's outcomes form a matrix [S, I], one row per seed: correct or not, or the difference
of two methods on the same demonstrations and examples (-1, 0 or 1). Both could have been others, so
the mean is taken as

    outcome[s, i] = μ + seed_s + example_i + rest[s, i]        (all independent, two-way random)

and its variance as (MS_seeds + MS_examples - MS_rest) / (S·I), never below what either factor alone
gives; Satterthwaite's degrees of freedom and Student's t make it an interval. This is the quasi-F
of Clark (1973, "The language-as-fixed-effect fallacy"), which asks whether an effect would be seen
again with other draws *and* other examples. With one seed only the examples vary, and the result
speaks of these demonstrations alone. Assumed: examples are a random sample, seeds are exchangeable,
the mean is near normal. By simulation (in the tests) ten seeds give what they promise; with five up
to 7 % of true zeros come out significant at 5 %, with three 8 % and with two 12 %.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
from scipy import stats

from deepthink import readings

Array = np.ndarray
LEVEL = 0.95
FEWEST = 4
"""Draws below which nothing is tested, unless the experiment asks for no more."""


@dataclass(frozen=True)
class Estimate:
    """A mean with its interval, and how many seeds and examples it rests on.

    p: two-sided, against a mean of zero; None where nothing is compared.
    effect: the mean difference over its standard deviation across seeds (Cohen's d_z with Hedges'
        correction); None below three seeds or where no seed differs from another.
    wins, losses: seeds in which the difference is above, and below, zero.
    """

    mean: float
    low: float
    high: float
    seeds: int
    examples: int
    p: float | None = None
    effect: float | None = None
    wins: int | None = None
    losses: int | None = None


def accuracy(correct: Array, level: float = LEVEL) -> Estimate:
    """The mean accuracy of outcomes [S, I], 0 or 1. Of one seed with Wilson's interval."""
    seeds, examples = correct.shape
    if seeds == 1:
        share, low, high = readings.wilson(float(correct.mean()), examples, level)
        return Estimate(share, low, high, seeds, examples)
    mean, error, freedom = _two_way(correct)
    reach = error * _quantile(freedom, level)
    return Estimate(mean, max(0.0, mean - reach), min(1.0, mean + reach), seeds, examples)


def difference(first: Array, second: Array, level: float = LEVEL) -> Estimate:
    """How much more often `first` is right than `second`, both [S, I], paired at both levels."""
    return _tested([first.astype(float) - second.astype(float)], level)


def average_difference(
    firsts: Sequence[Array], seconds: Sequence[Array], level: float = LEVEL
) -> Estimate:
    """The mean over tasks of their differences, every task weighing the same.

    Tasks are taken as they are, not as a sample of tasks. Where all have the same number of seeds,
    a seed is one unit over all of them, since what it decides may be alike in each (the order in
    which a rule's choice is read is); `wins` and `losses` then count seeds by their mean over
    tasks. Otherwise the tasks' seeds are taken as independent.
    """
    pairs = zip(firsts, seconds, strict=True)
    return _tested([a.astype(float) - b.astype(float) for a, b in pairs], level)


def average_accuracy(corrects: Sequence[Array], level: float = LEVEL) -> Estimate:
    """The mean over tasks of their accuracies, every task weighing the same.

    As `readings.macro` where each has one seed.
    """
    if all(len(correct) == 1 for correct in corrects):
        points = [{"correct": int(c.sum()), "count": c.shape[1]} for c in corrects]
        share, low, high = readings.macro(points, level)
        return Estimate(share, low, high, 1, sum(c.shape[1] for c in corrects))
    found = _averaged(corrects, level)
    return Estimate(
        found.mean, max(0.0, found.low), min(1.0, found.high), found.seeds, found.examples
    )


def _tested(differences: Sequence[Array], level: float) -> Estimate:
    found = _averaged(differences, level)
    effect = wins = losses = None
    if len({len(one) for one in differences}) == 1:
        by_seed = np.mean([one.mean(axis=1) for one in differences], axis=0)
        wins, losses = int((by_seed > 0).sum()), int((by_seed < 0).sum())
        if len(by_seed) > 2 and (spread := by_seed.std(ddof=1)) > 0:
            correction = 1 - 3 / (4 * (len(by_seed) - 1) - 1)
            effect = float(by_seed.mean() / spread * correction)
    return replace(found, effect=effect, wins=wins, losses=losses)


def _averaged(outcomes: Sequence[Array], level: float) -> Estimate:
    """Mean, interval and p of the unweighted mean over tasks of outcomes [S, I] each."""
    many, *others = {len(one) for one in outcomes}
    parts = (
        [_two_way(_joined(outcomes))] if many > 1 and not others else list(map(_two_way, outcomes))
    )
    mean = float(np.mean([part[0] for part in parts]))
    variances = [part[1] ** 2 for part in parts]
    error = sqrt(sum(variances)) / len(parts)
    if error > 0:
        freedom = sum(variances) ** 2 / sum(
            v**2 / part[2] for v, part in zip(variances, parts, strict=True)
        )
        p = float(2 * stats.t.sf(abs(mean) / error, freedom))
        reach = error * _quantile(freedom, level)
    else:
        p, reach = (1.0 if mean == 0 else 0.0), 0.0
    seeds = min(len(one) for one in outcomes)
    examples = sum(one.shape[1] for one in outcomes)
    return Estimate(mean, mean - reach, mean + reach, seeds, examples, p)


def _joined(outcomes: Sequence[Array]) -> Array:
    """Tasks side by side, [S, ΣI], each weighing the same and moved to their common mean."""
    total = sum(one.shape[1] for one in outcomes)
    common = float(np.mean([one.mean() for one in outcomes]))
    return np.concatenate(
        [
            common + (one - one.mean()) * (total / (len(outcomes) * one.shape[1]))
            for one in outcomes
        ],
        axis=1,
    )


def _two_way(outcomes: Array) -> tuple[float, float, float]:
    """Mean of [S, I], its standard error, and the degrees of freedom of that error."""
    seeds, examples = outcomes.shape
    mean = float(outcomes.mean())
    if seeds == 1:
        return mean, float(outcomes.std(ddof=1)) / sqrt(examples), examples - 1
    rows, columns = outcomes.mean(axis=1), outcomes.mean(axis=0)
    rest = outcomes - rows[:, None] - columns[None, :] + mean
    of_seeds = examples * float(rows.var(ddof=1))
    of_examples = seeds * float(columns.var(ddof=1))
    of_rest = float((rest**2).sum()) / ((seeds - 1) * (examples - 1))
    both = of_seeds + of_examples - of_rest
    if both >= max(of_seeds, of_examples) > 0:
        freedom = both**2 / (
            of_seeds**2 / (seeds - 1)
            + of_examples**2 / (examples - 1)
            + of_rest**2 / ((seeds - 1) * (examples - 1))
        )
        square = both
    elif of_seeds >= of_examples:
        square, freedom = of_seeds, float(seeds - 1)
    else:
        square, freedom = of_examples, float(examples - 1)
    return mean, sqrt(square / (seeds * examples)), freedom


def _quantile(freedom: float, level: float) -> float:
    return float(stats.t.ppf((1 + level) / 2, freedom))


def pitman_morgan(first: Array, second: Array) -> float:
    """Two-sided p that two paired samples have one variance (Pitman 1939, Morgan 1939).

    1 where it cannot be told: too few pairs, or no spread.
    """
    total, apart = first + second, first - second
    if len(first) < FEWEST or np.ptp(total) == 0 or np.ptp(apart) == 0:
        return 1.0
    return float(stats.pearsonr(total, apart).pvalue)


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's (1979) step-down correction: the adjusted p of each, in the order given."""
    adjusted = [0.0] * len(ps)
    largest = 0.0
    for rank, at in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[at]))
        adjusted[at] = largest
    return adjusted
