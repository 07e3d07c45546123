"""Examples by their length: a rule that asks no model."""

import numpy as np

from deepthink.selection.balance import Arrangement, Balance, Selection, by_class
from deepthink.selection.pool import Pool


def select(
    pool: Pool,
    count: int,
    rng: np.random.Generator,
    longest: bool,
    balance: Balance = "equal",
    arrangement: Arrangement = "shuffle",
) -> Selection:
    """The shortest examples of every class, or the longest."""
    lengths = np.array([len(example.text) for example in pool.examples])

    def pick(
        members: np.ndarray, share: int, _: np.random.Generator
    ) -> tuple[list[int], list[float]]:
        order = np.argsort(-lengths[members] if longest else lengths[members], kind="stable")
        return order[:share].tolist(), lengths[members][order[:share]].astype(float).tolist()

    return by_class(pool, count, rng, balance, arrangement, pick)
