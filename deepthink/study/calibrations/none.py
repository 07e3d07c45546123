"""The scores as they are."""

from deepthink.study.calibrating import Array, Ask


def calibrate(scores: Array, ask: Ask) -> Array:
    """The scores themselves, as the paper takes them."""
    return scores
