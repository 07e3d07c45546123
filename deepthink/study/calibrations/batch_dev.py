"""Batch calibration (Zhou et al., ICLR 2024) from the dev rows: inductive."""

from deepthink.study.calibrating import Array, Ask
from deepthink.study.calibrations._bias import without_bias


def calibrate(scores: Array, ask: Ask) -> Array:
    """Log p_iy - log((1/M) Σ_j p_jy) over the M dev rows, for the rows of either split.

    No label is used.

    Raises:
        UserError: the rows differ in their candidates, or there are no dev rows.

    >>> import numpy as np
    >>> dev = np.log([[0.9, 0.1], [0.7, 0.3]])
    >>> scores = np.log([[0.6, 0.4]])
    >>> calibrate(scores, Ask("batch_dev", "test", common=True, dev=dev)).argmax(axis=1).tolist()
    [1]
    """
    ask.need_common_candidates()
    return without_bias(scores, ask.dev_scores())
