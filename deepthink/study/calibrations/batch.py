"""Batch calibration (Zhou et al., ICLR 2024) over the scored rows themselves: transductive."""

from deepthink.study.calibrating import Array, Ask
from deepthink.study.calibrations._bias import without_bias


def calibrate(scores: Array, ask: Ask) -> Array:
    """Log p_iy - log((1/Q) Σ_j p_jy) over the Q rows of the split that is scored.

    No label is looked at, but every test prediction depends on the other test inputs. The rows must
    have their candidates in common.
    """
    ask.need_common_candidates()
    return without_bias(scores, scores)
