"""The Deep-Thinking stage (§3.1): a frozen model reads its demonstrations T times."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel

from deepthink.engine.layout import single
from deepthink.engine.memory import Memory
from deepthink.engine.support import check_model, iterated, vocabulary
from deepthink.errors import UserError
from deepthink.settings import check_thinking
from deepthink.structures import Tokens, token_ids


def think(
    model: PreTrainedModel,
    demonstration_ids: Tokens,
    iterations: int = 5,
    step_size: float = 0.01,
    momentum: float = 0.0,
    positions: str = "continued",
    memory_dtype: str = "float32",
) -> Iterator[Memory]:
    """Yield the memory K̃_t, Ṽ_t of the demonstrations for t = 1 … T (Eq. 2-5).

    t = 1 is a plain forward: its keys and values are those of vanilla in-context learning. At
    t ≥ 2 the same L tokens attend to all of the history and causally to themselves (Eq. 3), then

        g = K_t - K̃_{t-1};   m ← g + βm;   K̃_t = K̃_{t-1} + ηm     (the same for Ṽ)

    which for β = 0 is Eq. 4, K̃_t = ηK_t + (1-η)K̃_{t-1}. The first m is the first g.

    Args:
        model: a transformers causal language model in eval mode.
        demonstration_ids: L token ids, special tokens included.
        iterations: T ≥ 1.
        step_size: η in [0, 1]; 0 leaves the history as it is.
        momentum: β in [0, 1); the authors' program defaults to 0.9, Eq. 4 has none.
        positions: where the present tokens stand at t ≥ 2: "continued" after the history,
            L … 2L-1 (Appendix D), or "aligned" with it, 0 … L-1.
        memory_dtype: "float32" keeps a master copy at least that wide whatever the model's dtype;
            "model" keeps the memory in the model's dtype, as the authors' bf16 program does.

    Yields:
        Memory with L slots; the t-th has `step` t. Earlier ones stay valid.

    Raises:
        UserError: an argument out of range, ids that are not the model's, or a model whose
            attention cannot be iterated.
    """
    check_thinking(iterations, step_size, momentum, positions, memory_dtype)
    check_model(model)
    demonstration_ids = token_ids(demonstration_ids, vocabulary(model), "demonstration_ids")
    if not demonstration_ids:
        raise UserError("think needs at least one demonstration token")
    length = len(demonstration_ids)
    wide = torch.promote_types(model.dtype, torch.float32)
    dtype = wide if memory_dtype == "float32" else model.dtype
    layout = single(length, model.device)
    start = length if positions == "continued" else 0

    memory: Memory | None = None
    velocity: tuple[list[Tensor], list[Tensor]] | None = None
    for step in range(1, iterations + 1):
        with iterated(model) as forward:
            _, *present = forward(
                demonstration_ids, layout, memory, start if memory else 0, capture=True
            )
        keys, values = ([x.to(dtype, copy=True) for x in tensors] for tensors in present)
        if memory is not None:
            gradient = (_minus(keys, memory.keys), _minus(values, memory.values))
            if velocity is None or momentum == 0:
                velocity = gradient
            else:
                for old, new in zip(velocity, gradient, strict=True):
                    torch._foreach_mul_(old, momentum)
                    torch._foreach_add_(old, new)
            keys, values = (
                [h.add(m, alpha=step_size) for h, m in zip(history, moved, strict=True)]
                for history, moved in zip((memory.keys, memory.values), velocity, strict=True)
            )
        memory = Memory(tuple(keys), tuple(values), step)
        yield memory


def _minus(present: Sequence[Tensor], history: Sequence[Tensor]) -> list[Tensor]:
    return [new - old for new, old in zip(present, history, strict=True)]
