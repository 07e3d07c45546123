"""Are a GPU's scores those of the CPU in float32, and the same bits in every batch?"""

import copy
from collections.abc import Sequence
from itertools import chain
from typing import Any

import torch
from gpu_parts import Skip
from gpu_work import Work, predictions
from transformers import PreTrainedModel

from deepthink import score, think
from deepthink.engine.layout import single
from deepthink.engine.packing import layout, pack
from deepthink.engine.token_budget import TokenBudget

ITERATIONS = 3
STEP_SIZE = 0.1
GROUPS = (1, 128, 1024, 1 << 20)
"""Budgets of tokens: each query alone, in small groups, in larger ones, all together."""

Scores = list[list[float]]


def scored(model: PreTrainedModel, work: Work) -> list[Scores]:
    """The scores at each t of a few iterations."""
    memories = think(model, work.demonstrations, ITERATIONS, STEP_SIZE)
    return [score(model, memory, work.queries, work.candidates) for memory in memories]


def on_device(model: PreTrainedModel, device: torch.device, dtype: torch.dtype) -> PreTrainedModel:
    """A copy of a model elsewhere in another dtype."""
    copied = copy.deepcopy(model)
    torch.nn.Module.to(copied, device=device, dtype=dtype)
    return copied


def agreement(expected: Sequence[Scores], model: PreTrainedModel, work: Work) -> dict[str, Any]:
    """How far a model's scores are from those expected, over all t, in nats."""
    ours = scored(model, work)
    apart = [
        abs(a - b)
        for one, other in zip(ours, expected, strict=True)
        for a, b in zip(chain(*one), chain(*other), strict=True)
    ]
    pairs = [
        pair
        for one, other in zip(ours, expected, strict=True)
        for pair in zip(predictions(one), predictions(other), strict=True)
    ]
    return {
        "largest": max(apart),
        "mean": sum(apart) / len(apart),
        "predictions": len(pairs),
        "differ": sum(a != b for a, b in pairs),
    }


def across_batches(model: PreTrainedModel, work: Work) -> dict[str, Any]:
    """Whether a query's scores have the same bits alone and in groups, and how far they differ."""
    *_, memory = think(model, work.demonstrations, ITERATIONS, STEP_SIZE)
    ways = [
        list(
            chain(*score(model, memory, work.queries, work.candidates, budget=TokenBudget(tokens)))
        )
        for tokens in GROUPS
    ]
    apart = [max(values) - min(values) for values in zip(*ways, strict=True)]
    return {"scores": len(apart), "same_bits": apart.count(0.0), "largest": max(apart)}


def attention_across_batches(device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    """The same of attention alone, which the matrix products around it do not touch."""
    if device.type != "cuda":
        raise Skip("the kernels run on CUDA devices only")
    from deepthink.engine import cuda_attention

    lengths = (17, 80, 33, 129, 5)
    places, starts = layout([pack(range(n), []) for n in lengths], device)
    torch.manual_seed(0)
    q, k, v = (
        torch.randn(heads, sum(lengths), 64, dtype=dtype, device=device) for heads in (9, 3, 3)
    )
    past = tuple(torch.randn(2, 3, 271, 64, dtype=dtype, device=device))
    whole = cuda_attention.attended(q, k, v, (past[0], past[1]), 0.125, None, places)
    same = 0
    for start, length in zip(starts, lengths, strict=True):
        own = slice(start, start + length)
        alone = cuda_attention.attended(
            q[:, own], k[:, own], v[:, own], (past[0], past[1]), 0.125, None, single(length, device)
        )
        same += bool(torch.equal(whole[:, own], alone))
    return {"sequences": len(lengths), "same_bits": same}
