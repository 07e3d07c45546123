"""Contextual calibration (Zhao et al., ICML 2021): no label should be likely for an empty input."""

from collections.abc import Sequence

import numpy as np

from deepthink.study.calibrating import Array, Ask
from deepthink.study.calibrations._bias import without_prior

CONTENT_FREE = ["N/A", "", "[MASK]"]
"""The inputs of the paper. Each takes the place of an instance."""


def texts(pool: Sequence[str], rng: np.random.Generator) -> list[str]:
    """The content-free inputs, whatever the pool holds."""
    return CONTENT_FREE


def calibrate(scores: Array, ask: Ask) -> Array:
    """Log p_iy - log q_y, with q the mean of P(y) over the content-free inputs, normalised.

    Raises:
        UserError: the rows differ in their candidates.

    >>> free = dict.fromkeys(CONTENT_FREE, np.log([[0.8, 0.2]]))
    >>> ask = Ask("contextual", "test", common=True, answers=free, texts=tuple(free))
    >>> calibrate(np.log([[0.6, 0.4]]), ask).argmax(axis=1).tolist()
    [1]
    """
    ask.need_common_candidates()
    return without_prior(scores, ask.all)
