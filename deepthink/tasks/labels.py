"""Demonstrations with wrong labels, to see whether a model learns the mapping that it is shown."""

from dataclasses import replace

import numpy as np

from deepthink.structures import Example


def relabelled(example: Example, labels: str, seed: int, index: int) -> Example:
    """An example as a demonstration that shows "gold", "flipped" or "random" labels.

    A random label is drawn from all candidates, the gold one included. The draw depends on the seed
    and on the example's index in the pool, so neither the order nor the other demonstrations change
    it.
    """
    if labels == "flipped":
        return flipped(example)
    if labels == "random":
        rng = np.random.default_rng([seed, 1, index])
        return replace(example, label=int(rng.integers(len(example.candidates))))
    return example


def flipped(example: Example) -> Example:
    """The example with the next of its candidates as its label; after the last follows the first.

    With two labels it is the other one. All examples with the same gold label show the same wrong
    label, so there is a mapping to be learnt; the curve's `followed` counts predictions that agree
    with it. A second listing of the right answer is not another answer.

    >>> flipped(Example("so dull", ("bad", "good"), 0)).label
    1
    """
    number, right = len(example.candidates), example.candidates[example.label]
    later = ((example.label + step) % number for step in range(1, number))
    others = (label for label in later if example.candidates[label] != right)
    return replace(example, label=next(others, example.label))
