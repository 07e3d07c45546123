"""Where the packed tokens of one forward stand."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Layout:
    """Where the N packed tokens of a forward stand in their B sequences of at most M tokens.

    depths: [N], a token's place in its own sequence (0 = first), which sets position and slot.
    gather: [B, M], the packed index at each place (0 where a sequence is shorter), or None when
        there is one sequence only.
    scatter: [N], the inverse: each token's index into B·M.
    tree: [B, 1, M, M] bool, True where the row token sees the column token; None if plainly causal.
    """

    depths: Tensor
    gather: Tensor | None = None
    scatter: Tensor | None = None
    tree: Tensor | None = None


def single(length: int, device: torch.device) -> Layout:
    """The layout of one causal sequence."""
    return Layout(torch.arange(length, device=device))
