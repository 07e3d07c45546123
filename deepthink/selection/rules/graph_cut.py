"""Graph cut (Iyer and Bilmes 2013): like all of the pool, and unlike each other."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from deepthink.selection.balance import Arrangement, Balance, Selection, by_class
from deepthink.selection.outer import Outer
from deepthink.selection.pool import Center, Pool
from deepthink.selection.rules._similarity import Features, column_sums, similarity, unit_features


def select(
    pool: Pool,
    count: int,
    rng: np.random.Generator,
    features: Features,
    lam: Annotated[float, Field(ge=0)],
    representativeness: Literal["sum", "mean"],
    balance: Balance,
    arrangement: Arrangement,
    center: Center,
) -> Selection:
    """Greedily maximise λ Σ_{i, j picked} s_ij - Σ_{i, j picked} s_ij, the first i over the pool.

    lam: 1 and representativeness: "sum" as in DeepCore, where n terms of likeness outweigh a few
    of unlikeness, so that in a large pool the picks are simply the most central examples; "mean"
    divides the first sum by n, and with lam as large as the number of picks balances the two.
    features: last-layer gradients as in DeepCore, or hidden states ("embedding"). values: the gain
    of each pick, which may be negative. O(count · n · d), since sums over the pool are closed form.

    Not measured: features, lam, representativeness, balance, arrangement, center.
    """
    units = unit_features(pool, features, center)

    def pick(
        members: np.ndarray, share: int, _: np.random.Generator
    ) -> tuple[list[int], list[float]]:
        scale = lam / len(members) if representativeness == "mean" else lam
        return cut(units.take(members), share, scale)

    return by_class(pool, count, rng, balance, arrangement, pick)


def cut(units: Outer, count: int, lam: float) -> tuple[list[int], list[float]]:
    """The greedy picks j and their gains λ Σ_i s_ij - 2 Σ_{l picked} s_lj - s_jj."""
    gains = lam * column_sums(units) - (0.5 + 0.5 * units.squares())
    free = np.ones(len(units), dtype=bool)
    chosen: list[int] = []
    values: list[float] = []
    for _ in range(count):
        best = int(np.where(free, gains, -np.inf).argmax())
        free[best] = False
        chosen.append(best)
        values.append(float(gains[best]))
        gains = gains - 2 * similarity(units, np.array([best]))[:, 0]
    return chosen, values
