"""KATE (Liu et al. 2022): for each query the examples whose states are nearest to its own."""

from collections.abc import Iterator

import numpy as np

from deepthink.selection.balance import Selection, check_count
from deepthink.selection.outer import CELLS, squares
from deepthink.selection.pool import Center, Pool
from deepthink.selection.rules._nearest import nearest_last


def select(pool: Pool, count: int, rng: np.random.Generator, center: Center) -> list[Selection]:
    """For each query the `count` examples of highest cosine, the most similar next to the query.

    The states are the model's own, at the last token of the zero-shot prompt, where Liu et al. take
    those of a sentence encoder. Labels play no part, so a prompt may lack one: "balance" would be
    another method. Of equal cosines the first in the pool counts as more similar. Rows with the
    text of a query are its nearest, if `pool.overlap=keep` leaves them in the pool. values: the
    cosines. The choice is the same for all seeds.

    Not measured: center.

    Raises:
        UserError: the pool holds fewer examples, or its examples differ in their candidates.
    """
    check_count(len(pool), count)
    return nearest_last(_cosines(pool, center), count)


def _cosines(pool: Pool, center: Center) -> Iterator[np.ndarray]:
    """[n] float64 for each query: its cosine to every example, computed for some at a time."""
    examples, queries = _unit(pool.features(center)), _unit(pool.query_features(center))
    size = max(1, CELLS // len(examples))
    for begin in range(0, len(queries), size):
        yield from queries[begin : begin + size] @ examples.T


def _unit(states: np.ndarray) -> np.ndarray:
    """The rows at length one in float64. A row of zeros stays, and has the cosine 0 to all."""
    lengths = np.sqrt(squares(states))[:, None]
    scaled: np.ndarray = states / np.where(lengths > 0, lengths, 1)
    return scaled
