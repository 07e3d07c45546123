"""What scores are worth besides accuracy: macro-F1, log-likelihood and calibration error.

Pure functions of scores, gold labels and predictions. Candidates are indices, and the scores of one
query may be more or fewer than those of another. A score may be -inf: its candidate then has
probability 0, as if it were not there.
"""

from collections.abc import Sequence

import numpy as np
from scipy.special import log_softmax

BINS = 10
"""The bins of the calibration error."""

_EDGES = np.arange(1, BINS) / BINS


def macro_f1(gold: Sequence[int], predicted: Sequence[int]) -> float:
    """The mean over labels of F1 = 2·TP / (2·TP + FP + FN), all labels weighing the same.

    The labels are those that occur in `gold` or are predicted, as in scikit-learn's
    f1_score(average="macro"), which gives the same number.

    >>> macro_f1([0, 0, 1, 1], [0, 0, 0, 1])  # (4/5 + 2/3) / 2
    0.7333333333333334
    """
    truth, guess = np.asarray(gold), np.asarray(predicted)
    hits = truth == guess
    each = [
        2 * (hits & (truth == label)).sum() / ((truth == label).sum() + (guess == label).sum())
        for label in np.union1d(truth, guess)
    ]
    return float(np.mean(each))


def log_likelihood(scores: Sequence[Sequence[float]], gold: Sequence[int]) -> float:
    """The mean over queries of log softmax(scores) at the gold candidate, in nats; at most 0.

    scores: for each query its candidates' log-probabilities, corrected or not. It is -inf where a
    gold candidate has the score -inf.

    >>> round(log_likelihood(np.log([[0.5, 0.5], [0.2, 0.6]]), [0, 1]), 4)  # log(1/2), log(3/4)
    -0.4904
    """
    logs = _log_softmax(scores)
    return float(logs[np.arange(len(logs)), np.asarray(gold)].mean())


def calibration_error(scores: Sequence[Sequence[float]], hits: Sequence[bool]) -> float:
    """The expected calibration error, 0 to 1 (Guo et al., ICML 2017, Eq. 3).

        ECE = Σ_b |B_b| / Q · |accuracy(B_b) - confidence(B_b)|

    A query's confidence is its highest probability after a softmax of its scores, and bin b of ten
    holds the queries whose confidence is in ((b-1)/10, b/10].

    scores: as `log_likelihood`. hits: whether each query's prediction is right.

    >>> round(calibration_error(np.log([[0.75, 0.25], [0.75, 0.25]]), [True, False]), 4)
    0.25
    """
    confidence = np.exp(_log_softmax(scores).max(axis=1))
    gaps = np.asarray(hits, float) - confidence
    of_bin = np.searchsorted(_EDGES, confidence, side="left")
    return float(np.abs(np.bincount(of_bin, weights=gaps, minlength=BINS)).sum() / len(gaps))


def _log_softmax(scores: Sequence[Sequence[float]]) -> np.ndarray:
    """[Q, C] float64, with -inf where a query has fewer than C candidates."""
    padded = np.full((len(scores), max(map(len, scores))), -np.inf)
    for line, row in zip(padded, scores, strict=True):
        line[: len(row)] = row
    return np.asarray(log_softmax(padded, axis=1))
