"""Where the packed tokens of one forward stand, and what each of them sees."""

from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
from torch import Tensor

Gains = tuple[tuple[int, float], ...]
"""How many slots in a row have which gain, see `Layout`."""


@dataclass(frozen=True)
class Layout:
    """Where the N packed tokens of a forward stand in their B sequences of at most M tokens.

    depths: [N], how far each token stands behind the position at which the forward begins. It is
        its place in its own sequence (0 = first), unless sequences end together.
    lengths: how many tokens each of the B sequences has, in the order in which they are packed.
    deepest: the largest depth. It is a number and no tensor: nobody waits for a device to know it.
    gather: [B, M], the packed index at each place (0 where a sequence is shorter), or None when
        there is one sequence only.
    scatter: [N], the inverse: each token's index into B·M.
    tree: [B, 1, M, M] bool, True where the row token sees the column token; None if plainly causal.
    slots: [N, L] bool, True where the token sees the memory's slot; None if it sees all of them.
        A model's sliding window hides further ones. A token may see no slot at all.
    gains: how many slots in a row have which gain b, slot after slot; empty where all have 0. It
        is added to the score of the slot, whose weight is so multiplied by e^b.
    groups: how many slots each group of the memory has, whose last slots stand at one position;
        empty where the slots stand in a row. What follows the groups stands in a row behind them.
    derived: what the kernels derive from it once for all layers, by a name of theirs.

    >>> slots = torch.tensor([[True], [True], [False]])
    >>> Layout(torch.arange(3), lengths=(3,), deepest=2, slots=slots).slots.shape
    torch.Size([3, 1])
    """

    depths: Tensor
    lengths: tuple[int, ...]
    deepest: int
    gather: Tensor | None = None
    scatter: Tensor | None = None
    tree: Tensor | None = None
    slots: Tensor | None = None
    gains: Gains = ()
    groups: tuple[int, ...] = ()
    derived: dict[tuple[object, ...], Tensor] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def to(self, device: torch.device) -> "Layout":
        """The same layout with its tensors on another device.

        >>> single(3, torch.device("cpu")).to(torch.device("meta")).depths.device
        device(type='meta')
        """
        moved: dict[str, Any] = {
            each.name: part.to(device)
            for each in fields(self)
            if isinstance(part := getattr(self, each.name), Tensor)
        }
        return replace(self, **moved)


def single(length: int, device: torch.device) -> Layout:
    """The layout of one causal sequence, which sees the whole memory.

    >>> single(3, torch.device("cpu")).depths
    tensor([0, 1, 2])
    """
    return Layout(torch.arange(length, device=device), (length,), length - 1)
