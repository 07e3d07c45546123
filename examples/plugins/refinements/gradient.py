"""Gradient descent on the memory: it learns to predict the answers of its own demonstrations."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from deepthink.engine.demonstrations import Demonstrations
from deepthink.engine.memory import Memory


def refine(shown: Demonstrations, rate: Annotated[float, Field(gt=0)] = 0.1) -> Iterator[Memory]:
    """K̃, Ṽ ← K̃, Ṽ - rate · ∇ loss, where no demonstration sees its own slots."""
    memory = shown.read()
    while True:
        yield memory
        leaves = memory.leaves()
        loss = shown.loss(leaves, hide=shown.leave_one_out, targets=shown.answers, apart=True)
        memory = memory.plus(leaves.gradient(loss), -rate)
