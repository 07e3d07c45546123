"""Hidden calibration (Cho et al. 2024, arXiv 2406.16535): the label whose states are nearest."""

from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from deepthink.errors import UserError
from deepthink.study.reading_out import Array, Ask


def read(ask: Ask, anchors: Annotated[int, Field(ge=1)] = 128) -> Array:
    """[Q, C] float64: the distance of each query's state to each label's centroid, negated.

    States are the inputs of the output layer at the last token. A centroid is the mean of those of
    the label's anchors, and the distance is L2. Both stand behind the same demonstrations.

    anchors: how many, of all labels together. StaICC, which reimplements the method, draws 128 rows
    with demonstrations of their own.

    Raises:
        UserError: no row of the pool is left, or none of a label.
    """
    rows = ask.anchors(anchors)
    labels = torch.from_numpy(rows.labels)
    missing = {*range(ask.classes)} - {*rows.labels.tolist()}
    if missing:
        raise UserError(
            f"readout {ask.name} needs an anchor of every label, and {len(missing)} of "
            f"{ask.classes} labels have none: raise pool_size or method.readout.anchors"
        )
    known, asked = ask.states(rows).double().cpu(), ask.states(ask.queries).double().cpu()
    centroids = torch.stack([known[labels == label].mean(0) for label in range(ask.classes)])
    return negated_distances(asked, centroids)


def negated_distances(states: Tensor, centroids: Tensor) -> Array:
    """[Q, C] of states [Q, d] and centroids [C, d].

    >>> negated_distances(torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 4.0], [3.0, 1.0]]))
    array([[-5., -1.]], dtype=float32)
    """
    return np.asarray(-torch.linalg.vector_norm(states[:, None] - centroids, dim=-1))
