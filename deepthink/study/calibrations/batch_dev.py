"""Batch calibration (Zhou et al., ICLR 2024) from the dev rows: inductive."""

from deepthink.study.calibrating import Array, Ask
from deepthink.study.calibrations._bias import without_bias


def calibrate(scores: Array, ask: Ask) -> Array:
    """Log p_iy - log((1/M) Σ_j p_jy) over the M dev rows, for the rows of either split.

    No label is looked at. The rows must have their candidates in common, and there must be dev
    rows.
    """
    ask.need_common_candidates()
    return without_bias(scores, ask.dev_scores())
