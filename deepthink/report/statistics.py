"""Intervals and tests where the same examples are judged under several draws of demonstrations.

S  seeds (draws, or orders)        I  test examples, the same for every seed

The outcomes of an experiment form a matrix [S, I] with one row per seed. An outcome is 0 or 1
(wrong or right), or the difference of two methods on the same demonstrations and example (-1, 0 or
1). Other seeds and other examples could have been drawn, so the mean is modelled as

    outcome[s, i] = μ + seed_s + example_i + rest[s, i]        (all independent, two-way random)

Its variance is (MS_seeds + MS_examples - MS_rest) / (S·I), and never below what either factor alone
gives. Satterthwaite's degrees of freedom and Student's t make it an interval. This is the quasi-F
of Clark (1973, "The language-as-fixed-effect fallacy"), which asks whether an effect would be seen
again with other draws *and* other examples. With one seed only the examples vary, and the result
holds for these demonstrations alone.

It is assumed that examples are a random sample, that seeds are exchangeable, and that the mean is
nearly normal. In simulation (`tests/test_statistics.py`) the nominal 95 % intervals cover the truth
at the stated rate with ten draws, and at least 93 % of the time with five, 92 % with three and
87 % with two. The remaining 7 %, 8 % and 13 % are the most true zeros that are significant at 5 %.

Two methods may each choose their own demonstrations. Seed 3 of one then has nothing to do with seed
3 of the other: examples are paired, seeds are not, and the variances of both sets of seeds add up,

    (MS_seeds(a) + MS_seeds(b) + MS_examples(a - b) - MS_rest(a) - MS_rest(b)) / (S·I)
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import nan, sqrt

import numpy as np
from scipy import stats

from deepthink.store import curves

Array = np.ndarray
LEVEL = 0.95
FEWEST = 4
"""Nothing is tested with fewer draws, unless the experiment asks for no more."""


@dataclass(frozen=True)
class Estimate:
    """A mean with its interval, and the numbers of seeds and examples behind it.

    p: two-sided, against a mean of zero; None for an accuracy.
    effect: the mean difference over its standard deviation across seeds (Cohen's d_z with Hedges'
        correction). None with fewer than three seeds, or if all seeds have the same difference.
    wins, losses: the numbers of seeds in which the difference is above zero, and below.
        effect, wins and losses are None if seeds are not paired.
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
    """The mean accuracy of outcomes [S, I] of 0 and 1, as a fraction.

    With one seed the interval is Wilson's.

    >>> estimate = accuracy(np.array([[1, 1, 1, 0, 0]]))
    >>> f"{estimate.mean:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"
    '0.60 [0.23, 0.88]'
    """
    return average_accuracy([correct], level)


def difference(first: Array, second: Array, level: float = LEVEL) -> Estimate:
    """How much more often `first` is right than `second`, both [S, I], as a fraction.

    Seeds and examples are paired: row s and column i mean the same in both.

    >>> difference(np.array([[1, 1], [1, 0]]), np.array([[0, 1], [1, 0]])).mean
    0.25
    """
    return average_difference([first], [second], level)


def average_difference(
    firsts: Sequence[Array],
    seconds: Sequence[Array],
    level: float = LEVEL,
    weights: Sequence[float] | None = None,
    paired: bool = True,
) -> Estimate:
    """The mean over tasks of how much more often the first is right; outcomes [S, I] of each task.

    The tasks are fixed, not a sample of tasks, and all have the same seeds. Each seed is treated
    as one unit across tasks, because its effect may be correlated between them: a rule's reading
    order, for example, is the same in every task. `wins` and `losses` count seeds by their mean
    over tasks.

    weights: of the tasks; None weighs all the same. paired: whether the same seed means related
    demonstrations in both.
    """
    normed = _normed(firsts, weights)
    first, second = (_joined([x.astype(float) for x in each], normed) for each in (firsts, seconds))
    differences = first - second
    drawn = [differences] if paired else [first, second]
    estimate = _estimated(differences, drawn, level, firsts)
    if not paired:
        return estimate
    by_seed = differences.mean(axis=1)
    effect = None
    if len(by_seed) > 2 and (spread := by_seed.std(ddof=1)) > 0:
        effect = float(by_seed.mean() / spread * (1 - 3 / (4 * (len(by_seed) - 1) - 1)))
    wins, losses = (int((sign * by_seed > 1e-12).sum()) for sign in (1, -1))
    return replace(estimate, effect=effect, wins=wins, losses=losses)


def average_accuracy(
    corrects: Sequence[Array], level: float = LEVEL, weights: Sequence[float] | None = None
) -> Estimate:
    """The mean over tasks of their accuracies; weights as in `average_difference`.

    With one seed it is `curves.macro`.
    """
    if len(corrects[0]) == 1:
        points = [curves.Hits(int(c.sum()), c.shape[1]) for c in corrects]
        mean, low, high = curves.macro(points, level, weights)
        return Estimate(mean, low, high, 1, sum(c.shape[1] for c in corrects))
    joined = _joined(corrects, _normed(corrects, weights))
    estimate = _estimated(joined, [joined], level, corrects)
    return replace(estimate, low=max(0.0, estimate.low), high=min(1.0, estimate.high), p=None)


def over_draws(values: Sequence[float] | Array, level: float = LEVEL) -> Estimate:
    """The mean of one number for each draw, with Student's interval over draws alone.

    It says what other demonstrations would give on the same examples. With one draw there is no
    interval, and its ends are NaN.

    >>> estimate = over_draws([1.0, 2.0, 3.0])
    >>> f"{estimate.mean:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"
    '2.00 [-0.48, 4.48]'
    """
    mean, count = float(np.mean(values)), len(values)
    if count == 1:
        return Estimate(mean, nan, nan, 1, 0)
    error = float(np.std(values, ddof=1)) / sqrt(count)
    reach = error * float(stats.t.ppf((1 + level) / 2, count - 1))
    return Estimate(mean, mean - reach, mean + reach, count, 0)


def _normed(tasks: Sequence[Array], weights: Sequence[float] | None) -> Array:
    """The tasks' weights, scaled to add up to one."""
    plain = np.ones(len(tasks)) if weights is None else np.asarray(weights, float)
    scaled: Array = plain / plain.sum()
    return scaled


def _joined(outcomes: Sequence[Array], weights: Array) -> Array:
    """Tasks side by side, [S, ΣI], scaled so that their plain mean is the weighted one.

    Each task is moved to the common mean, since fixed tasks do not add their spread.
    """
    total = sum(task.shape[1] for task in outcomes)
    common = float(sum(w * task.mean() for w, task in zip(weights, outcomes, strict=True)))
    return np.concatenate(
        [
            common + (task - task.mean()) * (w * total / task.shape[1])
            for w, task in zip(weights, outcomes, strict=True)
        ],
        axis=1,
    )


def _estimated(
    outcomes: Array, drawn: Sequence[Array], level: float, tasks: Sequence[Array]
) -> Estimate:
    """Mean, interval and p of joined outcomes [S, ΣI].

    drawn: the arrays whose seeds were drawn independently: the outcomes, or both sides of a
        difference.
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
    of_seeds = [examples * float(side.mean(axis=1).var(ddof=1)) for side in drawn]
    of_rest = [_rest(side) for side in drawn]
    both = sum(of_seeds) + of_examples - sum(of_rest)
    fewer, more, rest = seeds - 1, examples - 1, (seeds - 1) * (examples - 1)
    if both >= max(sum(of_seeds), of_examples) > 0:
        freedom = both**2 / (
            sum(square**2 for square in of_seeds) / fewer
            + of_examples**2 / more
            + sum(square**2 for square in of_rest) / rest
        )
        square = both
    elif sum(of_seeds) >= of_examples:
        square = sum(of_seeds)
        freedom = fewer * square**2 / sum(s**2 for s in of_seeds) if square else 1.0
    else:
        square, freedom = of_examples, float(more)
    return sqrt(square / (seeds * examples)), freedom


def _rest(outcomes: Array) -> float:
    """MS_rest of outcomes [S, I]: the mean square that neither seed nor example explains."""
    seeds, examples = outcomes.shape
    rows, columns = outcomes.mean(axis=1), outcomes.mean(axis=0)
    rest = outcomes - rows[:, None] - columns[None, :] + outcomes.mean()
    mean_square: float = float((rest**2).sum()) / ((seeds - 1) * (examples - 1))
    return mean_square


def _error_of_one(outcomes: Array, sizes: Sequence[int]) -> tuple[float, float]:
    """As `_error` for one seed, over examples alone, which each task draws independently."""
    parts = np.split(outcomes, np.cumsum(sizes)[:-1])
    squares = [
        len(part)
        * float(((part - part.mean()) ** 2).sum())
        / max(1, len(part) - 1)
        / len(outcomes) ** 2
        for part in parts
    ]
    spread = sum(
        square**2 / max(1, len(part) - 1) for square, part in zip(squares, parts, strict=True)
    )
    return sqrt(sum(squares)), sum(squares) ** 2 / spread if spread else 1.0


def tested(estimate: Estimate, testable: bool = True) -> Estimate:
    """The estimate, without p if it is not testable or of fewer than `FEWEST` draws."""
    return estimate if testable and estimate.seeds >= FEWEST else replace(estimate, p=None)


def pitman_morgan(first: Array, second: Array) -> float:
    """Two-sided p that two paired samples [S] have one variance (Pitman 1939, Morgan 1939).

    It is 1 with fewer than `FEWEST` pairs, or if sums or differences have no spread.
    """
    sums, differences = first + second, first - second
    if len(first) < FEWEST or np.ptp(sums) == 0 or np.ptp(differences) == 0:
        return 1.0
    return float(stats.pearsonr(sums, differences).pvalue)


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's (1979) step-down correction: the adjusted p of each, in the order given.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted = [0.0] * len(ps)
    largest = 0.0
    for rank, at in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[at]))
        adjusted[at] = largest
    return adjusted
