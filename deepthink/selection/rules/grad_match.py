"""GradMatch (Killamsetty et al. 2021): examples whose gradients add up to the pool's."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field
from scipy.optimize import nnls

from deepthink.selection.balance import Arrangement, Balance, Selection, Variant, by_class
from deepthink.selection.outer import Outer
from deepthink.selection.pool import Center, Pool


def select(
    pool: Pool,
    count: int,
    rng: np.random.Generator,
    variant: Variant,
    ridge: Annotated[float, Field(ge=0)],
    normalize: bool,
    fill: Literal["support", "random"],
    balance: Balance,
    arrangement: Arrangement,
    center: Center,
) -> Selection:
    """Orthogonal matching pursuit of the mean last-layer gradient b.

    At each step the example whose gradient has the largest (signed) product with the residual is
    picked, the weights of all picks are solved anew, (A Aᵀ + ridge·I) w = A b, and the residual is
    b - Aᵀ w. ridge: 0.5 as in the authors' toolkit CORDS. normalize: whether gradients are scaled
    to length one; the sources do not, which favours misjudged examples. fill: "support" keeps all
    picks; "random" drops those to which a final non-negative fit gives no weight and draws others,
    as CORDS does. variant: "reference_library" leaves the ridge out at the first step (its ridge
    is 1). values: the residual's norm after each pick, null of drawn ones. log: `weights` of the
    non-negative fit. O(count · n · C · d).

    Not measured: variant, ridge, normalize, fill, balance, arrangement, center.
    """
    gradients = pool.gradients(center)
    weights: dict[int, float] = {}

    def pick(
        members: np.ndarray, share: int, class_rng: np.random.Generator
    ) -> tuple[list[int], list[float | None]]:
        atoms = gradients.take(members)
        atoms = atoms.unit() if normalize else atoms
        exact_first = variant == "reference_library"
        chosen, norms, fitted = pursue(atoms, share, ridge, exact_first)
        values: list[float | None] = [*norms]
        if fill == "random":
            kept = np.flatnonzero(fitted > 0)
            missing = share - len(kept)
            chosen, values = [chosen[i] for i in kept], [values[i] for i in kept]
            others = np.setdiff1d(np.arange(len(members)), chosen)
            chosen += class_rng.choice(others, missing, replace=False).tolist()
            values += [None] * missing
            fitted = np.append(fitted[kept], np.zeros(missing))
        weights.update(zip(members[chosen].tolist(), fitted.tolist(), strict=True))
        return chosen, values

    selection = by_class(pool, count, rng, balance, arrangement, pick)
    log = {"weights": [weights[index] for index in selection.indices]}
    return Selection(selection.indices, selection.values, log)


def pursue(
    atoms: Outer, count: int, ridge: float, exact_first: bool
) -> tuple[list[int], list[float], np.ndarray]:
    """Match the atoms' mean with `count` of them.

    exact_first: there is no ridge while there is one pick.

    Returns:
        The picks in order, the residual's norm after each, and their non-negative weights.
    """
    target = atoms.total() / len(atoms)
    products = atoms.against(target)
    residual = target
    chosen: list[int] = []
    norms: list[float] = []
    for _ in range(count):
        gains = atoms.against(residual)
        gains[chosen] = -np.inf
        chosen.append(int(gains.argmax()))
        picked = atoms.take(np.array(chosen)).wide()
        gram = picked.inner(np.arange(len(chosen)))
        amount = 0.0 if exact_first and len(chosen) == 1 else ridge
        system = gram + amount * np.eye(len(chosen))
        weights = np.linalg.lstsq(system, products[chosen], rcond=None)[0]
        residual = target - picked.total(weights)
        norms.append(float(np.linalg.norm(residual)))
    return chosen, norms, nnls(system, products[chosen])[0]
