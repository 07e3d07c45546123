"""From curves to numbers: which step counts is a choice, and each choice has a name."""

from collections.abc import Sequence
from math import hypot
from typing import Any

from scipy.stats import binomtest

Point = dict[str, Any]
"""step, split, correct and count of one point of a curve."""

Estimate = tuple[float, float, float]
"""An accuracy and the ends of its confidence interval, as fractions."""


def of_split(curve: Sequence[Point], split: str) -> list[Point]:
    """The points of one split, by step."""
    return sorted((p for p in curve if p["split"] == split), key=lambda p: p["step"])


def at_step(curve: Sequence[Point], split: str, step: int) -> Point:
    """The point of a split after `step` iterations."""
    return next(p for p in of_split(curve, split) if p["step"] == step)


def by_dev(curve: Sequence[Point]) -> Point | None:
    """The test point at the step that is best on dev, the earliest of equals; None without dev.

    The test split has no say in the choice (§4.6).
    """
    dev = of_split(curve, "dev")
    if not dev:
        return None
    best = max(dev, key=lambda p: (p["correct"], -p["step"]))
    return at_step(curve, "test", best["step"])


def accuracy(point: Point, level: float = 0.95) -> Estimate:
    """A point's accuracy with Wilson's interval over its examples."""
    result = binomtest(point["correct"], point["count"])
    low, high = result.proportion_ci(level, method="wilson")
    return point["correct"] / point["count"], float(low), float(high)


def micro(points: Sequence[Point], level: float = 0.95) -> Estimate:
    """The accuracy over all examples of several tasks, with Wilson's interval."""
    pooled = {name: sum(point[name] for point in points) for name in ("correct", "count")}
    return accuracy(pooled, level)


def macro(points: Sequence[Point], level: float = 0.95) -> Estimate:
    """The mean of several tasks' accuracies, every task weighing the same.

    The interval joins the tasks' Wilson intervals by the method of variance estimates recovery
    (Zou, Huang and Zhang 2009): the distances to their ends are added as independent errors are.
    It speaks of other questions of these tasks, not of other tasks.
    """
    parts = [accuracy(point, level) for point in points]
    mean = sum(share for share, _, _ in parts) / len(parts)
    below = hypot(*(share - low for share, low, _ in parts)) / len(parts)
    above = hypot(*(high - share for share, _, high in parts)) / len(parts)
    return mean, mean - below, mean + above
