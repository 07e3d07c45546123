"""Demonstrations with other labels than their own: does a model learn the mapping it is shown?"""

from dataclasses import replace

import numpy as np

from deepthink.structures import Example


def relabelled(example: Example, labels: str, seed: int, index: int) -> Example:
    """An example as a demonstration that shows "gold", "flipped" or "random" labels.

    A random label is drawn from all candidates, gold included, by the seed and the example's
    index in the pool, so that neither the order nor the other demonstrations change it.
    """
    if labels == "flipped":
        return flipped(example)
    if labels == "random":
        rng = np.random.default_rng([seed, 1, index])
        return replace(example, label=int(rng.integers(len(example.candidates))))
    return example


def flipped(example: Example) -> Example:
    """The example with the next of its candidates as its label, the first after the last.

    Of two labels, the other one. Every label is replaced by the same other, so there is a mapping
    to be learnt; see the curve's `followed`. An answer that is listed twice is no other one.
    """
    number, right = len(example.candidates), example.candidates[example.label]
    later = ((example.label + step) % number for step in range(1, number))
    others = (label for label in later if example.candidates[label] != right)
    return replace(example, label=next(others, example.label))
