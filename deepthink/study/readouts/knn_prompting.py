"""kNN prompting (Xu et al., ICLR 2023): the labels of rows after which the model says the same."""

from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from deepthink.study.anchors import Rows
from deepthink.study.reading_out import Array, Ask

AtLeastOne = Annotated[int, Field(ge=1)]

BLOCK = 256
"""Rows whose distributions over the vocabulary are held at a time."""


def read(ask: Ask, k: AtLeastOne = 3, anchors: AtLeastOne = 128) -> Array:
    """[Q, C] float64: log shares of the votes of the `k` anchors nearest to each query.

    Near is what has a low divergence Σ_v p_a(v) (log p_a(v) - log p_q(v)) of the next-token
    distributions of anchor and query behind the same demonstrations, as in the authors' program,
    which takes the mean over the vocabulary in place of the sum.

    A label's share is (votes + w/2) / (k + 1/2) with w ∝ 1 / (1 + the divergence of its nearest
    anchor). So the most votes win, and of equally many those of the nearest anchor, where the
    authors' program takes the first label. A label without an anchor stands as far as the farthest.

    k: 3 in the authors' scripts. It is never more than there are anchors. anchors: how many, of all
    labels together. The authors' have up to 1024 for each label, less the demonstrations.

    Raises:
        UserError: no row of the pool is left.
    """
    rows = ask.anchors(anchors)
    return votes(divergences(ask, rows), rows.labels, min(k, len(rows)), ask.classes)


def divergences(ask: Ask, rows: Rows) -> Array:
    """[Q, A] float64: KL(p_a || p_q), in nats, of every query to every anchor."""
    known, asked = ask.states(rows), ask.states(ask.queries)
    found = np.empty((len(asked), len(known)))
    for there in _blocks(known):
        anchor = ask.distributions(known[there], rows)
        for here in _blocks(asked):
            query = ask.distributions(asked[here], ask.queries)
            found[here, there] = kl(anchor, query).T.double().cpu().numpy()
    return found


def kl(anchor: Tensor, query: Tensor) -> Tensor:
    """[A, Q]: Σ_v p_a (log p_a - log p_q) of log-distributions [A, V] and [Q, V].

    >>> even, sure = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.9, 0.1]]).log()
    >>> kl(even, sure)
    tensor([[0.5108]])
    """
    p = anchor.exp()
    divergence: Tensor = -torch.special.entr(p).sum(-1)[:, None] - p @ query.T
    return divergence


def votes(distances: Array, labels: Array, k: int, classes: int) -> Array:
    """[Q, C] float64, as `read` returns it, of distances [Q, A] to anchors with labels [A].

    Of equal distances the first anchor is the nearer.

    >>> near = np.array([[0.1, 0.2, 0.3, 0.9]])
    >>> votes(near, np.array([1, 0, 0, 1]), k=3, classes=2).argmax(axis=1)
    array([0])
    >>> votes(near, np.array([1, 0, 0, 1]), k=2, classes=2).argmax(axis=1)
    array([1])
    """
    chosen = labels[np.argsort(distances, axis=1, kind="stable")[:, :k]]
    counts = np.stack([(chosen == label).sum(axis=1) for label in range(classes)], axis=1)
    farthest = distances.max(axis=1)
    nearest = np.stack(
        [
            distances[:, labels == label].min(axis=1) if (labels == label).any() else farthest
            for label in range(classes)
        ],
        axis=1,
    )
    weights = 1 / (1 + np.maximum(nearest, 0))
    weights /= weights.sum(axis=1, keepdims=True)
    return np.asarray(np.log((counts + weights / 2) / (k + 0.5)))


def _blocks(states: Tensor) -> list[slice]:
    return [slice(begin, begin + BLOCK) for begin in range(0, len(states), BLOCK)]
