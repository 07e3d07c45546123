"""Random demonstrations, the paper's vanilla in-context learning (§4.1)."""

from typing import Literal

import numpy as np

from deepthink.selection.balance import check_count, classes
from deepthink.selection.pool import Pool


def select(
    pool: Pool, count: int, rng: np.random.Generator, balance: Literal["equal", "none"]
) -> list[int]:
    """Draw `count` examples without replacement, in random order.

    balance: "equal" draws the same number from every class and what is left over from classes
    drawn at random, as the authors' example run does; "none" draws uniformly from the pool. The
    paper says only "random"; equal is the default since a draw without one of the labels tests
    something else.

    Not measured: balance.
    """
    check_count(len(pool), count)
    if balance == "none":
        return [int(i) for i in rng.choice(len(pool), count, replace=False)]
    queues = [list(rng.permutation(members)) for members in classes(pool.labels).values()]
    chosen: list[int] = []
    while len(chosen) < count:
        queues = [queue for queue in queues if queue]
        turn = rng.permutation(len(queues))[: count - len(chosen)]
        chosen.extend(int(queues[i].pop()) for i in turn)
    return [chosen[i] for i in rng.permutation(count)]
