"""The best of several random sets on dev, where both dev rows of Table 1 begin (♥, ♣)."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from deepthink.errors import UserError
from deepthink.selection.balance import Selection
from deepthink.selection.pool import Pool
from deepthink.selection.rules import random
from deepthink.tasks.prediction import hits, predictions


def select(
    pool: Pool,
    count: int,
    rng: np.random.Generator,
    sets: Annotated[int, Field(ge=1, le=1000)],
    balance: Literal["equal", "none"],
) -> Selection:
    """Draw `sets` random sets and keep the one of the highest vanilla accuracy on dev.

    The first of equals is kept; the first set is what `random` draws for the same seed. The paper
    says "multiple" sets, on a dev set as large as the test set; 10 is our default. log: `sets`,
    each set's indices and how many dev examples it got right.

    Not measured: sets, balance.
    """
    if not pool.dev:
        raise UserError(
            "best_random tries its sets on the dev set, and there is none: leave out dev_size=0"
        )
    drawn = [random.select(pool, count, rng, balance) for _ in range(sets)]
    with pool.stage(f"{sets} random sets on dev", sets * len(pool.dev)):
        scores = pool.after(drawn, pool.dev)
    correct = [hits(pool.dev, predictions(pool.dev, rows)) for rows in scores]
    tried = [
        {"indices": indices, "dev_correct": hits}
        for indices, hits in zip(drawn, correct, strict=True)
    ]
    return Selection(drawn[correct.index(max(correct))], log={"sets": tried})
