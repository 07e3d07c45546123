"""The mean probability of each label word over many inputs, taken out of scores."""

import numpy as np
from scipy.special import log_softmax, logsumexp

from deepthink.study.calibrating import Array


def without_bias(scores: Array, rows: Array) -> Array:
    """Log p_iy - log((1/M) Σ_j p_jy), with i over the rows of `scores` and j over those of `rows`.

    p is the softmax over the label words. scores: [Q, C]; rows: [M, C]; returned: [Q, C], float64.
    """
    bias = logsumexp(log_softmax(rows, axis=-1), axis=0) - np.log(len(rows))
    return np.asarray(log_softmax(scores, axis=-1) - bias)
