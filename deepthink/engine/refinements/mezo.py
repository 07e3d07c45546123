"""MeZO on the memory: what kv_tuning descends on, by two forwards a step and no gradient."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from deepthink.engine.demonstrations import Demonstrations
from deepthink.engine.memory import Memory
from deepthink.engine.refinements._left_out import left_out_loss


def refine(
    shown: Demonstrations,
    learning_rate: Annotated[float, Field(gt=0)] = 1e-2,
    epsilon: Annotated[float, Field(gt=0)] = 1e-1,
) -> Iterator[Memory]:
    """Zeroth-order descent (Malladi et al. 2023, arXiv 2305.17333), applied to keys and values.

    With z ~ N(0, 1) for every number of the memory θ = (K̃, Ṽ), drawn anew for each step,

        g = (ℓ(θ + εz) - ℓ(θ - εz)) / 2ε        θ ← θ - rate · g · z

    where ℓ is `left_out_loss`, that of kv_tuning, without dropout.

    learning_rate, epsilon: from the range that its program, github.com/princeton-nlp/MeZO, commit
        552cb1b, recommends for prefix tuning, 1e-2 or 1e-3 and 1e-1. Its prefixes have 2 million
        numbers (5 slots of OPT-13B), a memory of 8 SST2 demonstrations in SmolLM2-135M 2.8 million,
        keys of 2.2 and values of 1.0 on average (root mean square). There 1e-1 still estimates a
        slope by sign and rough size (1e-2 to one per cent, and with the same result), and in 20
        steps a rate of 1e-2 takes ℓ from 0.93 to 0.86 and one of 1e-3 to 0.92.

    Raises:
        UserError: as `left_out_loss`.

    >>> from itertools import islice
    >>> from transformers import GPT2Config, GPT2LMHeadModel
    >>> model = GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=11)).eval()
    >>> spans, answers = [range(3), range(3, 5)], [range(2, 3), range(4, 5)]
    >>> shown = Demonstrations(model, [5, 6, 7, 8, 9], spans, answers)
    >>> first, second = islice(refine(shown), 2)
    >>> 0 < second.drift(first)["values"][0] < 0.1
    True
    """
    loss = left_out_loss(shown, "mezo")
    memory = shown.read()
    generator = torch.Generator().manual_seed(shown.seed)
    while True:
        yield memory
        z = noise(memory, generator)
        memory = memory.plus(z, -learning_rate * slope_along(loss, memory, z, epsilon))


def slope_along(
    loss: Callable[[Memory], Tensor], memory: Memory, z: Memory, epsilon: float
) -> float:
    """(ℓ(θ + εz) - ℓ(θ - εz)) / 2ε: the derivative of a loss at a memory θ along z.

    It is exact where ℓ is quadratic:

        >>> ones = Memory((torch.ones(1, 2, 1),), (torch.ones(1, 2, 1),), step=1)
        >>> slope_along(lambda memory: memory.keys[0].square().sum(), ones, ones, epsilon=0.5)
        4.0
    """
    ahead, behind = (loss(memory.plus(z, step)).item() for step in (epsilon, -epsilon))
    return (ahead - behind) / (2 * epsilon)


def noise(memory: Memory, generator: torch.Generator) -> Memory:
    """Numbers of N(0, 1), shaped as a memory; on a CPU and on a GPU the same for a seed.

    >>> memory = Memory((torch.ones(1, 2, 1),), (torch.ones(1, 2, 1),), step=1)
    >>> drawn = noise(memory, torch.Generator().manual_seed(0))
    >>> [round(x, 4) for x in drawn.keys[0].flatten().tolist()]
    [1.541, -0.2934]
    """

    def drawn(tensor: Tensor) -> Tensor:
        return torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype).to(tensor.device)

    keys, values = (tuple(map(drawn, tensors)) for tensors in (memory.keys, memory.values))
    return replace(memory, keys=keys, values=values, origin=None)
