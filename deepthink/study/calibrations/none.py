"""No correction: the scores as the model gave them."""

from deepthink.study.calibrating import Array, Ask


def calibrate(scores: Array, ask: Ask) -> Array:
    """The scores themselves, which the paper compares."""
    return scores
