"""The mean probability of each label word over some inputs, taken out of scores."""

import numpy as np
from scipy.special import log_softmax, logsumexp

from deepthink.study.calibrating import Array


def without_bias(scores: Array, rows: Array) -> Array:
    """Log p_iy - log((1/M) Σ_j p_jy), with i over the rows of `scores` and j over those of `rows`.

    p is the softmax over the label words. scores: [Q, C]; rows: [M, C]; returned: [Q, C], float64.
    """
    bias = logsumexp(log_softmax(rows, axis=-1), axis=0) - np.log(len(rows))
    return np.asarray(log_softmax(scores, axis=-1) - bias)


def without_prior(scores: Array, free: Array) -> Array:
    """Log p_iy - log q_y, with q the mean of P(y) over the texts of each row, normalised.

    P(y) is the probability of the label word itself, not normalised over the label words. The mean
    of the probabilities is what is normalised (Zhao et al., W = diag(q)⁻¹, b = 0).

    scores: [Q, C]; free: [Q, n, C], those of n texts without meaning; returned: [Q, C], float64.
    """
    mean = logsumexp(free, axis=1) - np.log(free.shape[1])
    return np.asarray(log_softmax(scores, axis=-1) - log_softmax(mean, axis=-1))
