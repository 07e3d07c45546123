"""The memory of the demonstrations, the only thing thinking leaves behind."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Memory:
    """Keys and values of the demonstrations, K̃_t and Ṽ_t of Eq. 5.

    keys, values: one tensor [G, L, D] per layer, keys already rotated where the model rotates.
    step: the iteration t that made them, 1 for plain in-context learning.
    """

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    step: int

    @property
    def length(self) -> int:
        """L: the number of token slots, and the position at which queries begin."""
        return self.keys[0].shape[-2]

    def to(self, dtype: torch.dtype) -> "Memory":
        """The same memory in another dtype (itself where nothing changes)."""
        if self.keys[0].dtype == dtype:
            return self
        return Memory(
            tuple(k.to(dtype) for k in self.keys),
            tuple(v.to(dtype) for v in self.values),
            self.step,
        )

    def drift(self, origin: "Memory") -> dict[str, list[float]]:
        """How far each layer is from `origin`: ‖K̃ - K̃₀‖ / ‖K̃₀‖ (Frobenius), the same for Ṽ.

        A layer whose keys are all zero, and stay so, is at 0.
        """
        norm = torch.linalg.vector_norm

        def moved(now: Tensor, then: Tensor) -> Tensor:
            far = norm(now - then)
            return torch.where(far == 0, far, far / norm(then))

        return {
            name: torch.stack(
                [moved(now, then) for now, then in zip(now_, then_, strict=True)]
            ).tolist()
            for name, now_, then_ in (
                ("keys", self.keys, origin.keys),
                ("values", self.values, origin.values),
            )
        }

    def extended(self, keys: Sequence[Tensor], values: Sequence[Tensor]) -> "Memory":
        """This memory followed by the keys and values, each [G, n, D], of n further tokens."""
        return Memory(
            tuple(torch.cat(pair, dim=-2) for pair in zip(self.keys, keys, strict=True)),
            tuple(torch.cat(pair, dim=-2) for pair in zip(self.values, values, strict=True)),
            self.step,
        )
