"""A point of a curve from the scores of a split: those of a job, or stored and corrected ones."""

from collections.abc import Sequence
from math import isfinite
from typing import Literal

from deepthink.store.curves import Point
from deepthink.tasks.metrics import calibration_error, log_likelihood, macro_f1


def point(
    step: int,
    split: Literal["dev", "test"],
    scores: Sequence[Sequence[float]],
    gold: Sequence[int],
    predicted: Sequence[int],
    ties: int,
    common: bool,
    logs: bool,
    followed: int | None = None,
) -> Point:
    """The point of a split after t = `step`, with every metric that its scores have.

    The predictions are given, since a job draws equal scores by lot, and whoever has no texts
    cannot. Metrics have six digits.

    scores: for each query its candidates' scores, corrected; -inf for what is no candidate.
    gold, predicted: a candidate's index for each query. ties, followed: as in `Point`.
    common: whether all queries have the same candidates; otherwise there is no macro-F1.
    logs: whether scores are log-probabilities; otherwise there is no likelihood, and no error of
        calibration.

    >>> made = point(1, "test", [[-0.1, -2.3], [-1.2, -0.4]], [0, 0], [0, 1], 0, True, True)
    >>> made.accuracy, made.macro_f1, made.log_likelihood, made.calibration_error
    (0.5, 0.333333, -0.638092, 0.394862)
    """
    hits = [label == answer for label, answer in zip(gold, predicted, strict=True)]
    likelihood = log_likelihood(scores, gold) if logs else None
    return Point(
        step=step,
        split=split,
        correct=sum(hits),
        count=len(hits),
        predicted=in_words(predicted),
        ties=ties,
        followed=followed,
        macro_f1=rounded(macro_f1(gold, predicted)) if common else None,
        log_likelihood=None
        if likelihood is None or not isfinite(likelihood)
        else rounded(likelihood),
        calibration_error=rounded(calibration_error(scores, hits)) if logs else None,
    )


def in_words(labels: Sequence[int]) -> str:
    """Labels in one line, as records have them.

    >>> in_words([0, 2, 1])
    '0 2 1'
    """
    return " ".join(map(str, labels))


def rounded(value: float, digits: int = 6) -> float:
    """A number to so many significant digits, as records have it.

    >>> rounded(-0.123456789)
    -0.123457
    """
    return float(f"{value:.{digits}g}")
