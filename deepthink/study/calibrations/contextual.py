"""Contextual calibration (Zhao et al., ICML 2021): no label should be likely for an empty input."""

from collections.abc import Sequence

import numpy as np
from scipy.special import log_softmax, logsumexp

from deepthink.study.calibrating import Array, Ask

CONTENT_FREE = ["N/A", "", "[MASK]"]
"""The inputs of the paper, each in the place of an instance."""


def texts(pool: Sequence[str], rng: np.random.Generator) -> list[str]:
    """The content-free inputs, whatever the pool holds."""
    return CONTENT_FREE


def calibrate(scores: Array, ask: Ask) -> Array:
    """Log p_iy - log q_y, with q the mean of P(y) over the content-free inputs, normalised.

    P(y) is the probability of the label word itself, not normalised over the label words; the mean
    is taken of probabilities and then normalised (Zhao et al., W = diag(q)⁻¹, b = 0).
    """
    ask.need_common_candidates()
    answers = ask(CONTENT_FREE)
    free = logsumexp(answers, axis=1) - np.log(answers.shape[1])
    return np.asarray(log_softmax(scores, axis=-1) - log_softmax(free, axis=-1))
