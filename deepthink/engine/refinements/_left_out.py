"""The loss of refinements that learn: each demonstration's answer behind the others' slots."""

from typing import Protocol

from torch import Tensor

from deepthink.engine.demonstrations import Demonstrations
from deepthink.engine.memory import Memory
from deepthink.errors import UserError


class Loss(Protocol):
    """From a memory, and which further slots [L, L] each token may not see, to a scalar."""

    def __call__(self, memory: Memory, dropped: Tensor | None = None) -> Tensor: ...


def left_out_loss(shown: Demonstrations, name: str) -> Loss:
    """The mean -log p of the answers' tokens, each demonstration fed alone behind the memory.

        ℓ(K̃, Ṽ) = -1/|Y| Σ_j Σ_{i ∈ Y_j} log p(x_i | memory less j's slots, x_j's tokens before i)

    The mean is over the tokens of all answers Y, and tokens stand at positions L, L + 1, …. Slots
    of a demonstration's copies are its own. An answer's token is left out of Y where truncation
    took all of its demonstration that came before.

    name: what the refinement is called.

    Raises:
        UserError: spans or answers are not known, or there are no two different demonstrations.
    """
    own = shown.leave_one_out
    inside = shown.span_of >= 0
    if not (~own[inside][:, inside]).any():
        raise UserError(
            f"{name} learns each demonstration's answer from the slots of the others, but there is "
            "only one demonstration: show at least two different ones"
        )
    targets = shown.predictable_answers

    def loss(memory: Memory, dropped: Tensor | None = None) -> Tensor:
        return shown.loss(memory, own if dropped is None else own | dropped, targets, apart=True)

    return loss
