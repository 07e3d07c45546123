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

Where two methods choose their demonstrations each by itself, seed 3 of one has nothing to do with
seed 3 of the other: then examples are paired and seeds are not, and the seeds of both add up,

    (MS_seeds(a) + MS_seeds(b) + MS_examples(a - b) - MS_rest(a) - MS_rest(b)) / (S·I)
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
from scipy import stats

from deepthink.store import curves

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
        All three are None where seeds are not paired.
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
    return average_accuracy([correct], level)


def difference(first: Array, second: Array, level: float = LEVEL) -> Estimate:
    """How much more often `first` is right than `second`, both [S, I], paired at both levels."""
    return average_difference([first], [second], level)


def average_difference(
    firsts: Sequence[Array],
    seconds: Sequence[Array],
    level: float = LEVEL,
    weights: Sequence[float] | None = None,
    paired: bool = True,
) -> Estimate:
    """The mean over tasks of how much more often the first is right; outcomes [S, I] of each task.

    Tasks are taken as they are, not as a sample of tasks, and all have the same seeds: a seed is
    one unit over all of them, since what it decides may be alike in each (the order in which a
    rule's choice is read is), and `wins` and `losses` count seeds by their mean over tasks.

    weights: of the tasks; None: all weigh the same. paired: whether the same seed means the same
    draw for both.
    """
    shares = _shares(firsts, weights)
    first, second = (_joined([x.astype(float) for x in each], shares) for each in (firsts, seconds))
    apart = first - second
    found = _estimated(apart, [apart] if paired else [first, second], level, firsts)
    if not paired:
        return found
    by_seed = apart.mean(axis=1)
    effect = None
    if len(by_seed) > 2 and (spread := by_seed.std(ddof=1)) > 0:
        effect = float(by_seed.mean() / spread * (1 - 3 / (4 * (len(by_seed) - 1) - 1)))
    wins, losses = (int((sign * by_seed > 1e-12).sum()) for sign in (1, -1))
    return replace(found, effect=effect, wins=wins, losses=losses)


def average_accuracy(
    corrects: Sequence[Array], level: float = LEVEL, weights: Sequence[float] | None = None
) -> Estimate:
    """The mean over tasks of their accuracies, with weights as `average_difference`.

    As `readings.macro` where each has one seed.
    """
    if len(corrects[0]) == 1:
        points = [curves.Hits(int(c.sum()), c.shape[1]) for c in corrects]
        share, low, high = curves.macro(points, level, weights)
        return Estimate(share, low, high, 1, sum(c.shape[1] for c in corrects))
    joined = _joined(corrects, _shares(corrects, weights))
    found = _estimated(joined, [joined], level, corrects)
    return replace(found, low=max(0.0, found.low), high=min(1.0, found.high), p=None)


def _shares(tasks: Sequence[Array], weights: Sequence[float] | None) -> Array:
    """The tasks' weights, adding up to one."""
    found = np.ones(len(tasks)) if weights is None else np.asarray(weights, float)
    return found / found.sum()


def _joined(outcomes: Sequence[Array], shares: Array) -> Array:
    """Tasks side by side, [S, ΣI], scaled so that the plain mean is the weighted one.

    Each task is moved to the common mean: tasks are no sample, so their means are no spread.
    """
    total = sum(one.shape[1] for one in outcomes)
    common = float(sum(w * one.mean() for w, one in zip(shares, outcomes, strict=True)))
    return np.concatenate(
        [
            common + (one - one.mean()) * (w * total / one.shape[1])
            for w, one in zip(shares, outcomes, strict=True)
        ],
        axis=1,
    )


def _estimated(
    outcomes: Array, drawn: Sequence[Array], level: float, tasks: Sequence[Array]
) -> Estimate:
    """Mean, interval and p of joined outcomes [S, ΣI].

    drawn: what was drawn by itself, seed by seed: the outcomes, or both sides of a difference.
    """
    mean, examples = float(outcomes.mean()), outcomes.shape[1]
    error, freedom = _error(outcomes, drawn, tasks)
    if error > 0:
        p = float(2 * stats.t.sf(abs(mean) / error, freedom))
        reach = error * float(stats.t.ppf((1 + level) / 2, freedom))
    else:
        p, reach = (1.0 if abs(mean) < 1e-12 else 0.0), 0.0
    return Estimate(mean, mean - reach, mean + reach, len(outcomes), examples, p)


def _error(outcomes: Array, drawn: Sequence[Array], tasks: Sequence[Array]) -> tuple[float, float]:
    """The standard error of the mean of [S, ΣI], and its degrees of freedom."""
    seeds, examples = outcomes.shape
    if seeds == 1:
        return _error_of_one(outcomes[0], [task.shape[1] for task in tasks])
    of_examples = seeds * float(outcomes.mean(axis=0).var(ddof=1))
    of_seeds = [examples * float(one.mean(axis=1).var(ddof=1)) for one in drawn]
    of_rest = [_rest(one) for one in drawn]
    both = sum(of_seeds) + of_examples - sum(of_rest)
    fewer, more, rest = seeds - 1, examples - 1, (seeds - 1) * (examples - 1)
    if both >= max(sum(of_seeds), of_examples) > 0:
        freedom = both**2 / (
            sum(one**2 for one in of_seeds) / fewer
            + of_examples**2 / more
            + sum(one**2 for one in of_rest) / rest
        )
        square = both
    elif sum(of_seeds) >= of_examples:
        square = sum(of_seeds)
        freedom = fewer * square**2 / sum(one**2 for one in of_seeds) if square else 1.0
    else:
        square, freedom = of_examples, float(more)
    return sqrt(square / (seeds * examples)), freedom


def _rest(outcomes: Array) -> float:
    """The mean square of what neither seed nor example explains, of [S, I]."""
    seeds, examples = outcomes.shape
    rows, columns = outcomes.mean(axis=1), outcomes.mean(axis=0)
    rest = outcomes - rows[:, None] - columns[None, :] + outcomes.mean()
    return float((rest**2).sum()) / ((seeds - 1) * (examples - 1))


def _error_of_one(outcomes: Array, sizes: Sequence[int]) -> tuple[float, float]:
    """As `_error` of one seed: over examples alone, drawn in each task by itself."""
    parts = np.split(outcomes, np.cumsum(sizes)[:-1])
    squares = [
        len(one)
        * float(((one - one.mean()) ** 2).sum())
        / max(1, len(one) - 1)
        / len(outcomes) ** 2
        for one in parts
    ]
    spread = sum(
        square**2 / max(1, len(one) - 1) for square, one in zip(squares, parts, strict=True)
    )
    return sqrt(sum(squares)), sum(squares) ** 2 / spread if spread else 1.0


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
