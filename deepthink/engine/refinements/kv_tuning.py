"""CT-KV: gradient descent on the memory, which learns to predict its demonstrations' answers."""

from collections.abc import Iterator
from math import cos, pi
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from deepthink.engine.demonstrations import Demonstrations
from deepthink.engine.memory import Memory
from deepthink.engine.refinements._left_out import left_out_loss
from deepthink.settings import THINKING


def refine(
    shown: Demonstrations,
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3,
    epochs: Annotated[int, Field(ge=1)] = 20,
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.05,
    clip: Annotated[float, Field(gt=0)] = 1.0,
    memory_dtype: str = THINKING.memory_dtype,
) -> Iterator[Memory]:
    """Context tuning of keys and values (Lu et al. 2025, arXiv 2507.04221).

    All K̃ and Ṽ are parameters, which begin as the plain reading, t = 1. An epoch is one step of
    AdamW (β 0.9 and 0.999, ε 1e-8, no weight decay) on all demonstrations at once:

        ℓ = mean -log p of the answers' tokens, each demonstration behind the slots of the others
        g ← ∇ℓ · min(1, clip / ‖∇ℓ‖)
        K̃, Ṽ ← AdamW(K̃, Ṽ; g, rate · (1 + cos(π(e-1)/epochs)) / 2)          in epoch e

    and t = 1 + e is the memory after epoch e. It ends after `epochs`.

    learning_rate: of the first epoch. epochs: 20, as in the paper's runs of MMLU; its runs of
        NLP-LR have 200. dropout: the probability with which a slot is hidden from a demonstration,
        for every slot, demonstration and epoch anew. clip: the norm that a gradient over all layers
        has at most. The defaults are those of the paper's program, github.com/
        agentic-learning-ai-lab/context-tuning, commit 62665ed.
    memory_dtype: "float32", or "model", where steps of 1e-3 are mostly rounded away in bfloat16, as
        in the paper's program.

    Raises:
        UserError: as `left_out_loss`.

    >>> from itertools import islice
    >>> from transformers import GPT2Config, GPT2LMHeadModel
    >>> model = GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=11)).eval()
    >>> spans, answers = [range(3), range(3, 5)], [range(2, 3), range(4, 5)]
    >>> first, second = islice(refine(Demonstrations(model, [5, 6, 7, 8, 9], spans, answers)), 2)
    >>> round((second.values[0] - first.values[0]).abs().max().item(), 5)  # AdamW's first step
    0.001
    """
    loss = left_out_loss(shown, "kv_tuning")
    dtype = shown.model.dtype if memory_dtype == "model" else None
    leaves = shown.read(dtype=dtype).leaves()
    optimiser = torch.optim.AdamW(leaves.tensors, lr=learning_rate, weight_decay=0.0)
    generator = torch.Generator().manual_seed(shown.seed)
    yield leaves.copy()
    for epoch in range(epochs):
        gradient = leaves.gradient(loss(leaves, dropped(shown, dropout, generator)))
        for tensor, slope in zip(leaves.tensors, gradient.tensors, strict=True):
            tensor.grad = slope
        torch.nn.utils.clip_grad_norm_(leaves.tensors, clip)
        for group in optimiser.param_groups:
            group["lr"] = learning_rate * (1 + cos(pi * epoch / epochs)) / 2
        optimiser.step()
        yield leaves.copy()


def dropped(shown: Demonstrations, rate: float, generator: torch.Generator) -> Tensor:
    """[L, L] bool: which slots chance hides from each token, the same for a demonstration's tokens.

    >>> from transformers import GPT2Config, GPT2LMHeadModel
    >>> model = GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=11)).eval()
    >>> shown = Demonstrations(model, [5, 6, 7], [range(2), range(2, 3)])
    >>> dropped(shown, 0.5, torch.Generator().manual_seed(0)).tolist()
    [[True, False, True], [True, False, True], [True, True, False]]
    """
    rows = torch.rand(len(shown.spans or ()), shown.length, generator=generator) < rate
    return rows.to(shown.model.device)[shown.span_of]
