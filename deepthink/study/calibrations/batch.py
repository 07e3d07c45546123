"""Batch calibration (Zhou et al., ICLR 2024) over the scored rows themselves: transductive."""

from deepthink.study.calibrating import Array, Ask
from deepthink.study.calibrations._bias import without_bias


def calibrate(scores: Array, ask: Ask) -> Array:
    """Log p_iy - log((1/Q) Σ_j p_jy) over the Q rows of the split that is scored.

    No label is used, but every prediction depends on the other inputs of its split.

    Raises:
        UserError: the rows differ in their candidates.

    >>> import numpy as np
    >>> scores = np.log([[0.9, 0.1], [0.7, 0.3]])  # the first label is likely for every input
    >>> calibrate(scores, Ask("batch", "test", common=True)).argmax(axis=1).tolist()
    [0, 1]
    """
    ask.need_common_candidates()
    return without_bias(scores, scores)
