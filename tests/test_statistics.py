"""Intervals and tests: by hand, against the tests they must reduce to, and by simulation."""

import doctest
from types import ModuleType

import numpy as np
import pytest
from scipy import stats

from deepthink.report import prose, statistics, verdicts, words
from deepthink.report.statistics import pitman_morgan
from deepthink.store import curves


def test_one_seed_is_wilsons_interval() -> None:
    found = statistics.accuracy(np.array([[1, 1, 1, 0, 0]]))
    assert (found.mean, found.low, found.high) == pytest.approx(curves.wilson(0.6, 5))
    assert (found.seeds, found.examples) == (1, 5)


def test_where_only_seeds_differ_it_is_their_t_test() -> None:
    by_seed = np.array([-1.0, 0.0, 1.0, 1.0, 0.0, 1.0])
    outcomes = np.repeat(by_seed[:, None], 40, axis=1)
    found = statistics.difference(outcomes, np.zeros_like(outcomes))
    expected = stats.ttest_1samp(by_seed, 0)
    low, high = expected.confidence_interval(0.95)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.wins == 3
    cohen = by_seed.mean() / by_seed.std(ddof=1)
    assert found.effect == pytest.approx(cohen * (1 - 3 / (4 * 5 - 1)))


def test_where_only_examples_differ_it_is_their_t_test() -> None:
    by_example = np.array([1, 1, 0, -1, 1, 0, 0, 1, 1, 0])
    outcomes = np.repeat(by_example[None], 4, axis=0)
    found = statistics.difference(outcomes, np.zeros_like(outcomes))
    expected = stats.ttest_1samp(by_example, 0)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert found.effect is None  # no seed differs from another


def test_two_by_two_by_hand() -> None:
    # rows 1, 1/2; columns 1, 1/2; mean 3/4: mean squares 2·1/8 = 1/4 of each, and 1/4 of the rest
    outcomes = np.array([[1, 1], [1, 0]])
    error, _ = statistics._error(outcomes, [outcomes], [outcomes])
    assert error == pytest.approx(np.sqrt((0.25 + 0.25 - 0.25) / 4))


def test_the_order_of_seeds_and_examples_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 2, (2, 6, 50))
    seeds, examples = rng.permutation(6), rng.permutation(50)
    first = statistics.difference(a, b)
    again = statistics.difference(a[seeds][:, examples], b[seeds][:, examples])
    assert (first.mean, first.low, first.p) == pytest.approx((again.mean, again.low, again.p))
    turned = statistics.difference(b, a)
    assert (turned.mean, turned.low, turned.p) == pytest.approx((-first.mean, -first.high, first.p))


def test_methods_that_agree_everywhere_do_not_differ() -> None:
    same = np.array([[1, 0, 1], [1, 1, 0]])
    found = statistics.difference(same, same)
    assert (found.mean, found.low, found.high, found.p, found.wins) == (0, 0, 0, 1, 0)


def test_tasks_weigh_the_same() -> None:
    zeros = [np.zeros((3, 10)), np.zeros((3, 1000))]
    ones = [np.ones((3, 10)), np.zeros((3, 1000))]
    found = statistics.average_difference(ones, zeros)
    assert found.mean == 0.5
    assert found.examples == 1010


def test_holm_by_hand() -> None:
    assert statistics.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert statistics.holm([0.9, 0.8]) == [1.0, 1.0]
    assert statistics.holm([]) == []


def logistic(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


SPREADS = [(0.7, 1.5), (0.0, 1.5), (0.7, 0.0), (0.1, 2.0)]


@pytest.mark.parametrize(("of_seeds", "of_examples"), SPREADS)
def test_intervals_of_an_accuracy_hold_the_truth_as_often_as_they_say(
    of_seeds: float, of_examples: float
) -> None:
    """Ten seeds, 100 examples, both drawn anew each time; the truth is known by integration."""
    rng = np.random.default_rng(0)
    spread = np.hypot(of_seeds, of_examples)
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    truth = (logistic(0.5 + spread * nodes) * weights).sum() / weights.sum()
    held = 0
    for _ in range(1500):
        share = logistic(
            0.5 + rng.normal(0, of_seeds, (10, 1)) + rng.normal(0, of_examples, (1, 100))
        )
        found = statistics.accuracy((rng.random((10, 100)) < share).astype(int))
        held += found.low <= truth <= found.high
    assert 0.93 <= held / 1500 <= 0.975


STATED = {5: 0.93, 3: 0.92, 2: 0.87}
"""How often intervals cover the truth at least, by draws, as statistics.py and the page say."""


@pytest.mark.parametrize("seeds", STATED)
def test_with_few_draws_intervals_cover_the_truth_as_often_as_the_page_says(seeds: int) -> None:
    """The truth is a zero; the spreads of seeds and examples are the worst for each number."""
    rng = np.random.default_rng(1)
    coverage = []
    for of_seeds, of_examples in ((0.5, 0.0), (0.5, 0.5), (0.5, 1.0)):
        held = 0
        for _ in range(2000):
            level = rng.normal(0, 0.7, (seeds, 1)) + rng.normal(0, 1.5, (1, 100))
            apart = rng.normal(0, of_seeds, (seeds, 1)) + rng.normal(0, of_examples, (1, 100))
            shared = rng.logistic(0, 1, (seeds, 100))
            first, second = (shared < level + side * apart / 2 for side in (1, -1))
            found = statistics.difference(first, second)
            held += found.low <= 0 <= found.high
        coverage.append(held / 2000)
    assert STATED[seeds] - 0.01 <= min(coverage) <= STATED[seeds] + 0.02
    five, three, two = (f"{100 * STATED[draws]:.0f} %" for draws in (5, 3, 2))
    stated = f"at least {five} of the time with five draws, {three} with three and {two} with two"
    assert stated in " ".join(prose.METHODS.split())
    assert stated.replace("five draws", "five") in " ".join(statistics.__doc__.split())


@pytest.mark.parametrize("module", [statistics, verdicts, words])
def test_the_examples_in_docstrings_are_true(module: ModuleType) -> None:
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0


@pytest.mark.parametrize(("seeds", "most"), [(5, 0.075), (10, 0.06)])
@pytest.mark.parametrize(("of_seeds", "of_examples"), [(0.5, 0.5), (0.5, 0.0), (0.0, 0.5)])
def test_false_positives_are_as_rare_as_they_say(
    seeds: int, most: float, of_seeds: float, of_examples: float
) -> None:
    """The methods differ by seed and by example, but not on average."""
    rng = np.random.default_rng(1)
    false = 0
    for _ in range(1500):
        level = 0.5 + rng.normal(0, 0.7, (seeds, 1)) + rng.normal(0, 1.5, (1, 100))
        apart = rng.normal(0, of_seeds, (seeds, 1)) + rng.normal(0, of_examples, (1, 100))
        shared = rng.logistic(0, 1, (seeds, 100))
        first, second = (shared < level + side * apart / 2 for side in (1, -1))
        p = statistics.difference(first, second).p
        false += p < 0.05
    assert false / 1500 <= most


@pytest.mark.parametrize("alike", [1.0, 0.0])
def test_an_average_over_tasks_is_not_surer_for_seeds_they_share(alike: float) -> None:
    """What a seed decides may help in every task at once, as the order of reading does."""
    rng = np.random.default_rng(4)
    false = 0
    for _ in range(1000):
        common, firsts, seconds = rng.normal(0, 0.5, (10, 1)), [], []
        for size in (40, 100, 100):
            own = rng.normal(0, 0.5, (10, 1))
            apart = alike * common + (1 - alike) * own + rng.normal(0, 0.5, (1, size))
            rest = rng.logistic(0, 1, (10, size))
            firsts.append(rest < apart / 2)
            seconds.append(rest < -apart / 2)
        false += statistics.average_difference(firsts, seconds).p < 0.05
    assert false / 1000 <= 0.065


@pytest.mark.parametrize(("seeds", "most"), [(5, 0.075), (10, 0.06)])
@pytest.mark.parametrize("of_seeds", [0.0, 0.7])
def test_seeds_that_are_not_paired_add_up(seeds: int, most: float, of_seeds: float) -> None:
    """Two methods that draw each by itself; which seed meets which must not matter."""
    rng = np.random.default_rng(6)
    false = 0
    for _ in range(1000):
        firsts, seconds = [], []
        for size in (40, 100):
            level, apart = rng.normal(0, 1.5, (1, size)), rng.normal(0, 0.5, (1, size))
            for side, into in ((1, firsts), (-1, seconds)):
                share = level + side * apart / 2 + rng.normal(0, of_seeds, (seeds, 1))
                into.append(rng.random((seeds, size)) < logistic(share))
        found = statistics.average_difference(firsts, seconds, paired=False)
        false += found.p < 0.05
    assert false / 1000 <= most
    order = rng.permutation(seeds)
    again = statistics.average_difference(firsts, [one[order] for one in seconds], paired=False)
    assert (again.mean, again.low, again.p) == pytest.approx((found.mean, found.low, found.p))
    assert (found.wins, found.losses, found.effect) == (None, None, None)


def test_tasks_may_weigh_differently() -> None:
    """One seed, by hand: variances p(1-p)/(n-1) of 1/36 and 0; and paired differences alike."""
    corrects = [np.array([[1, 0] * 5]), np.ones((1, 10))]
    found = statistics.average_accuracy(corrects, weights=[3, 1])
    assert found.mean == pytest.approx(0.625)
    assert found.low < 0.625 < found.high
    apart = statistics.average_difference(corrects, [np.zeros((1, 10))] * 2, weights=[3, 1])
    assert apart.mean == pytest.approx(0.625)
    reach = 0.75 / 6 * stats.t.ppf(0.975, 9)
    assert (apart.high - apart.low) / 2 == pytest.approx(reach)


def test_wins_and_losses_are_counted_by_seed() -> None:
    first, second = (
        np.array([[1, 1], [0, 0], [1, 0], [1, 1]]),
        np.array([[0, 1], [1, 0], [0, 1], [1, 1]]),
    )
    found = statistics.difference(first, second)
    assert (found.wins, found.losses, found.seeds) == (1, 1, 4)


def test_a_real_difference_is_found() -> None:
    rng = np.random.default_rng(2)
    found = 0
    for _ in range(200):
        level = rng.normal(0, 0.5, (10, 1)) + rng.normal(0, 1.5, (1, 100))
        shared = rng.logistic(0, 1, (10, 100))
        estimate = statistics.difference(shared < level + 0.5, shared < level)
        found += estimate.p < 0.05 and estimate.mean > 0
    assert found / 200 > 0.95


def test_examples_alone_would_be_too_sure() -> None:
    """Why both levels: a t-test over all pairs takes one lucky draw for many."""
    rng = np.random.default_rng(3)
    naive = ours = 0
    for _ in range(500):
        apart = rng.normal(0, 1.0, (5, 1))
        shared = rng.logistic(0, 1, (5, 100))
        first, second = shared < apart / 2, shared < -apart / 2
        naive += stats.ttest_1samp((first * 1 - second).ravel(), 0).pvalue < 0.05
        ours += statistics.difference(first, second).p < 0.05
    assert naive / 500 > 0.3
    assert ours / 500 < 0.08


def test_spreads_are_compared_as_pairs() -> None:
    rng = np.random.default_rng(4)
    level = rng.normal(0, 1, 10)
    assert pitman_morgan(level * 3, level + rng.normal(0, 0.1, 10)) < 0.001
    assert pitman_morgan(level, level) == 1.0
    assert pitman_morgan(level[:3], level[:3] * 9) == 1.0
    false = sum(
        pitman_morgan(*(rng.normal(0, 1, 10) + rng.normal(0, 1, (2, 10)))) < 0.05
        for _ in range(2000)
    )
    assert 0.035 <= false / 2000 <= 0.065
