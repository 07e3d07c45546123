"""Aligned against continued positions in sentences, each written by rule from the numbers."""

from collections.abc import Iterator

import numpy as np

from deepthink.report import comparisons
from deepthink.report.cells import BY_DEV, FIVE, ORACLE, Measured
from deepthink.report.comparisons import LAST, PAPERS_STEP_SIZE, STEP_SIZES
from deepthink.report.runs import Runs, Scale
from deepthink.report.words import compared, number, standing


def paragraph(runs: Runs, model: str, scale: Scale) -> str:
    """What holds and what does not; empty where the two were not run side by side."""
    return " ".join(
        sentence for size in STEP_SIZES for sentence in _at_one_size(runs, model, scale, size)
    )


def _at_one_size(runs: Runs, model: str, scale: Scale, size: str) -> Iterator[str]:
    last = comparisons.positions(runs, model, scale, size, LAST)
    five = comparisons.positions(runs, model, scale, size, FIVE)
    by_dev = comparisons.positions(runs, model, scale, size, BY_DEV)
    oracle = comparisons.positions(runs, model, scale, size, ORACLE)
    if not any(last[0].estimates):
        return
    yield f"**η = {size}.** At t = 15 aligned is {standing(last[0], 'continued')}."
    names = ("continued", "aligned")
    parts = [comparisons.placed(runs, model, scale, size, name, LAST) for name in names]
    both = [pair for pair in zip(*parts, strict=True) if all(part.found for part in pair)]
    told = [
        f"{name} stands {number(float(np.mean([_fall(pair[side]) for pair in both])))} points "
        "below its best t"
        for side, name in enumerate(names)
    ]
    yield f"There {' and '.join(told)} (mean curves, averaged over tasks)."
    if any(five[0].estimates):
        yield (
            f"At t = 5 it is {standing(five[0], 'continued')}; against vanilla, "
            f"{standing(five[1], 'vanilla')}."
        )
    bound = oracle[0].average
    aside = f" (with oracle t, an upper bound, {compared(bound)})" if bound else ""
    yield f"With t chosen by dev it is {standing(by_dev[0], 'continued')}{aside}."
    yield (
        f"Against vanilla, t by dev, aligned is {standing(by_dev[1], 'vanilla')}. "
        f"Continued is {standing(by_dev[2], 'vanilla')}."
    )
    if size != PAPERS_STEP_SIZE and any(by_dev[3].estimates):
        rival = f"the paper's setting (continued, η = {PAPERS_STEP_SIZE})"
        yield f"Against {rival}, t by dev, aligned is {standing(by_dev[3], 'that')}."


def _fall(part: Measured) -> float:
    """How far the mean curve has fallen from its highest point to its end, in points."""
    every = [run for (run,) in part.found.values()]
    curve = [float(np.mean([run.correct(t).mean() for run in every])) for t in every[0].steps]
    return 100 * (max(curve) - curve[-1])
