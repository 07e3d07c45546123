"""A task vector (Hendel et al., EMNLP 2023 Findings): one state in place of all demonstrations."""

from typing import Annotated

import numpy as np
from pydantic import Field

from deepthink.study.reading_out import Ask, Reading

AtLeastOne = Annotated[int, Field(ge=1)]


def read(ask: Ask, layer: AtLeastOne | None = None, dummies: AtLeastOne = 16) -> Reading:
    """Scores of the candidates in zero-shot prompts whose last state is the task's.

    The vector of a layer is the mean of what it gives on at the last token of `dummies` rows of the
    pool, read behind the memory. It takes the place of what the layer gives on at the last token of
    a query, which stands alone. Later layers go on from there, so of the demonstrations nothing is
    left but this vector. The tokens of an answer follow as always (Eq. 1).

    layer: from 1 to the number of layers. null takes the layer with the most right dev rows, of
    equals the first; t by dev then chooses on the same rows.
    dummies: the authors' program averages 2, that of iterative vectors 200, each behind
    demonstrations of its own.

    Raises:
        UserError: no row of the pool is left, no dev rows to choose the layer by, no such layer.
    """
    vectors = ask.layers(ask.anchors(dummies)).float().mean(dim=0)
    if layer is not None:
        index = min(layer, len(vectors)) - 1
        return Reading(ask.replaced(ask.queries, layer, vectors[index]), {"layer": layer})
    dev = ask.labelled_dev()
    right = [
        int((ask.replaced(dev, number, vector).argmax(axis=1) == dev.labels).sum())
        for number, vector in enumerate(vectors, start=1)
    ]
    best = int(np.argmax(right))
    scores = ask.replaced(ask.queries, best + 1, vectors[best])
    return Reading(scores, {"layer": best + 1, "right_on_dev": right})
