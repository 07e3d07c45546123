"""How many tokens one forward may carry."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, takewhile

import torch

from deepthink.engine.packing import Packed
from deepthink.errors import UserError


@dataclass
class TokenBudget:
    """How many tokens one forward may carry; halved for good whenever memory runs out.

    >>> TokenBudget.default(torch.device("cpu"))
    TokenBudget(tokens=1024)
    """

    tokens: int

    @classmethod
    def default(cls, device: torch.device) -> "TokenBudget":
        """1,024 on a CPU, where more gains nothing; 16,384 on an accelerator."""
        return cls(1024 if device.type == "cpu" else 16_384)

    def fitting(self, waiting: Sequence[Packed]) -> int:
        """How many of the waiting queries, at least one, stay within the budget together."""
        totals = accumulate(len(packed.tokens) for packed in waiting)
        return max(1, sum(1 for _ in takewhile(lambda total: total <= self.tokens, totals)))

    def give_way(self, group: Sequence[Packed]) -> None:
        """Halve after `group` ran out of memory; UserError if it was a single query."""
        if len(group) == 1:
            raise UserError(
                f"a single query of {len(group[0].tokens)} tokens does not fit into memory: "
                "use a smaller model or a narrower dtype"
            )
        self.tokens = sum(len(packed.tokens) for packed in group) // 2
