"""From a curve over t to accuracies: the ways to choose t, averages, and intervals."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import Literal

from pydantic import StrictFloat, StrictInt, StrictStr

from deepthink.store.parts import Part

Estimate = tuple[float, float, float]
"""An accuracy and the ends of its confidence interval, as fractions."""


@dataclass(frozen=True, kw_only=True)
class Point(Part):
    """One point of a curve: a split, scored after an iteration."""

    step: StrictInt
    """t: after how many readings of the demonstrations; 1 is plain in-context learning."""
    split: Literal["dev", "test"]
    """The examples that were scored."""
    correct: StrictInt
    """How many predictions are the gold label."""
    count: StrictInt
    """Of how many examples."""
    predicted: StrictStr
    """Every example's predicted label, as the index of a candidate, in one line."""
    ties: StrictInt | None = None
    """How many examples have the highest score for several candidates. Earlier records do not
    have it."""
    followed: StrictInt | None = None
    """How many predictions are the example's flipped label. Only jobs whose demonstrations show
    flipped labels have it."""
    macro_f1: StrictFloat | None = None
    """The mean of the labels' F1, 0 to 1, to six digits; see `deepthink.tasks.metrics`. Rows with
    options of their own have none, nor have earlier records."""
    log_likelihood: StrictFloat | None = None
    """The mean of log softmax(scores) at the gold candidate, in nats, to six digits. The scores are
    those that decide: corrected by the calibration. It is left out where scores are no
    log-probabilities (`answer_score=probability`), where a gold candidate's score is -inf, and in
    earlier records."""
    calibration_error: StrictFloat | None = None
    """The expected calibration error of the same softmax in ten bins, 0 to 1, to six digits. It is
    left out where scores are no log-probabilities, and in earlier records."""

    @property
    def accuracy(self) -> float:
        """The fraction of right predictions."""
        return self.correct / self.count


@dataclass(frozen=True, kw_only=True)
class LeftOut(Part):
    """How likely the demonstrations' own answers are behind the memory of the others."""

    step: StrictInt
    """t: after how many readings of the demonstrations."""
    log_p: StrictFloat
    """The mean log-probability of a token of their answers, in nats, to six digits, where each
    demonstration stands behind the memory less its own slots."""


@dataclass(frozen=True)
class Hits:
    """`correct` of `count` predictions are right."""

    correct: int
    count: int


def of_split(curve: Sequence[Point], split: str) -> list[Point]:
    """The points of one split, by step."""
    return sorted((p for p in curve if p.split == split), key=lambda p: p.step)


def at_step(curve: Sequence[Point], split: str, step: int) -> Point:
    """The point of a split after `step` iterations."""
    return next(p for p in of_split(curve, split) if p.step == step)


def by_dev(curve: Sequence[Point]) -> Point | None:
    """The test point at the step that is best on dev, the earliest of equals; None without dev.

    Nothing of the test split enters the choice (§4.6).

    >>> def point(step, split, correct):
    ...     return Point(step=step, split=split, correct=correct, count=2, predicted="0 1")
    >>> curve = [point(1, "dev", 1), point(2, "dev", 2), point(1, "test", 2), point(2, "test", 1)]
    >>> by_dev(curve).step, oracle(curve).step
    (2, 1)
    """
    dev = of_split(curve, "dev")
    if not dev:
        return None
    best = max(dev, key=lambda p: (p.correct, -p.step))
    return at_step(curve, "test", best.step)


def by_log_likelihood(curve: Sequence[Point]) -> Point | None:
    """The test point at the step where dev's gold candidates are likeliest, the earliest of equals.

    None without dev, or where a dev point has no log-likelihood.

    >>> def point(step, split, log_p=None):
    ...     return Point(step=step, split=split, correct=1, count=1, predicted="0",
    ...                  log_likelihood=log_p)
    >>> curve = [point(1, "dev", -0.7), point(2, "dev", -0.5), point(1, "test"), point(2, "test")]
    >>> by_log_likelihood(curve).step
    2
    """
    dev = of_split(curve, "dev")
    likely = [(p.log_likelihood, -p.step) for p in dev if p.log_likelihood is not None]
    if not dev or len(likely) < len(dev):
        return None
    return at_step(curve, "test", -max(likely)[1])


def by_left_out(left_out: Sequence[LeftOut]) -> int | None:
    """The t after which the demonstrations' answers are likeliest, the earliest of equals.

    No label is used but those that the demonstrations show. None where nothing was left out.

    >>> by_left_out([LeftOut(step=1, log_p=-2.0), LeftOut(step=2, log_p=-1.5)])
    2
    """
    best = max(left_out, key=lambda each: (each.log_p, -each.step), default=None)
    return best.step if best else None


def oracle(curve: Sequence[Point]) -> Point:
    """The test point that is best on test, the earliest of equals: an upper bound, no result."""
    return max(of_split(curve, "test"), key=lambda p: (p.correct, -p.step))


def accuracy(point: Point | Hits, level: float = 0.95) -> Estimate:
    """A point's accuracy with Wilson's interval over its examples.

    >>> [round(value, 3) for value in accuracy(Hits(correct=8, count=10))]
    [0.8, 0.49, 0.943]
    """
    return wilson(point.correct / point.count, point.count, level)


def micro(points: Sequence[Point | Hits], level: float = 0.95) -> Estimate:
    """The accuracy over all examples of several tasks, with Wilson's interval.

    >>> micro([Hits(1, 1), Hits(0, 3)])[0], macro([Hits(1, 1), Hits(0, 3)])[0]
    (0.25, 0.5)
    """
    count = sum(point.count for point in points)
    return wilson(sum(point.correct for point in points) / count, count, level)


def macro(
    points: Sequence[Point | Hits], level: float = 0.95, weights: Sequence[float] | None = None
) -> Estimate:
    """The mean of several tasks' accuracies, with Wilson's interval.

    weights: the weight of each task; equal weights without it. The interval is taken at the
    effective number of examples, at which a single proportion would vary as much as this mean (as
    for stratified surveys, Korn and Graubard 1998). It covers other questions of these tasks, not
    other tasks.
    """
    if len(points) == 1:
        return accuracy(points[0], level)
    fractions = [point.correct / point.count for point in points]
    weights = [1.0] * len(points) if weights is None else weights
    total = sum(weights)
    mean = sum(w * f for w, f in zip(weights, fractions, strict=True)) / total
    variance = sum(
        (w / total) ** 2 * f * (1 - f) / max(1, point.count - 1)
        for w, f, point in zip(weights, fractions, points, strict=True)
    )
    effective = mean * (1 - mean) / variance if variance else sum(p.count for p in points)
    return wilson(mean, effective, level)


def wilson(proportion: float, count: float, level: float = 0.95) -> Estimate:
    """A proportion with its score interval (Wilson 1927).

    count: the number of examples, which may be an effective one. level: the nominal coverage.
    """
    z = NormalDist().inv_cdf((1 + level) / 2)
    centre = (proportion + z * z / (2 * count)) / (1 + z * z / count)
    variance = proportion * (1 - proportion) / count + z * z / (4 * count**2)
    reach = z / (1 + z * z / count) * sqrt(variance)
    return proportion, max(0.0, centre - reach), min(1.0, centre + reach)
