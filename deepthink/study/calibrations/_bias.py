"""What the label words get by themselves, over many inputs."""

import numpy as np
from scipy.special import log_softmax, logsumexp

from deepthink.study.calibrating import Array


def without_bias(scores: Array, rows: Array) -> Array:
    """Log p_iy - log((1/M) Σ_j p_jy): scores [Q, C] less the mean of the M rows [M, C].

    p is the softmax of the scores over the label words.
    """
    bias = logsumexp(log_softmax(rows, axis=-1), axis=0) - np.log(len(rows))
    return np.asarray(log_softmax(scores, axis=-1) - bias)
