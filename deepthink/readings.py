"""From a curve to one number: which step counts is a choice, and each choice has a name."""

from collections.abc import Sequence
from typing import Any

from scipy.stats import binomtest

Point = dict[str, Any]
"""step, split, correct and count of one point of a curve."""


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


def interval(point: Point, level: float = 0.95) -> tuple[float, float]:
    """Wilson's confidence interval of an accuracy, over examples, as fractions."""
    result = binomtest(point["correct"], point["count"]).proportion_ci(level, method="wilson")
    return float(result.low), float(result.high)
