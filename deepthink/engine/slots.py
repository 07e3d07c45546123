"""What the slots of a memory weigh, and which of them stand side by side: checks and words."""

from collections.abc import Sequence
from itertools import groupby

import torch
from torch import Tensor

from deepthink.engine.layout import Gains
from deepthink.errors import UserError


def checked_gains(gains: object, length: int) -> Tensor:
    """Gains [L] as a memory of L slots keeps them: float32, on the CPU.

    Raises:
        UserError: what is no tensor of L finite numbers, or what autograd follows.

    >>> checked_gains(torch.tensor([1.0, -2.0], dtype=torch.float64), 2)
    tensor([ 1., -2.])
    """
    if not isinstance(gains, Tensor) or gains.shape != (length,) or gains.requires_grad:
        raise UserError(
            f"gains must be a tensor of {length} numbers, one for each slot, which need no gradient"
        )
    kept = gains.to("cpu", torch.float32)
    if not kept.isfinite().all():
        raise UserError("gains must be finite numbers: with -1e9 a slot has no weight at all")
    return kept


def check_groups(groups: Sequence[int], length: int) -> None:
    """Raise UserError unless each of the groups has a slot, and all have L or fewer.

    >>> check_groups((2, 3), 4)
    Traceback (most recent call last):
    deepthink.errors.UserError: a memory of 4 slots has no groups of 2, 3 slots
    """
    if min(groups) < 1 or sum(groups) > length:
        sizes = ", ".join(map(str, groups))
        raise UserError(f"a memory of {length} slots has no groups of {sizes} slots")


def runs_of(gains: Tensor | None) -> Gains:
    """How many slots in a row have which gain; empty where all have 0.

    >>> runs_of(torch.tensor([0.0, -1.0, -1.0])), runs_of(torch.zeros(3))
    (((1, 0.0), (2, -1.0)), ())
    """
    if gains is None:
        return ()
    runs = tuple((len([*same]), gain) for gain, same in groupby(gains.tolist()))
    return runs if any(gain for _, gain in runs) else ()


def told(runs: Gains, groups: Sequence[int]) -> str:
    """What the `repr` of a memory says of its gains and groups.

    >>> told(((1, 0.0), (2, -1.0)), (1, 2)), told((), ())
    (', 2 groups, gains -1 to 0', '')
    """
    parts = [f", {len(groups)} groups"] if groups else []
    if runs:
        least, most = min(gain for _, gain in runs), max(gain for _, gain in runs)
        parts.append(f", gains {least:.4g} to {most:.4g}")
    return "".join(parts)
