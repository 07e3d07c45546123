"""The method as Appendix D prints it: plain, slow, and written without the engine.

The oracle of the tests and the baseline of the benchmark. It keeps the memory in transformers'
own cache, runs the stock attention over a copy of it for every row of a batch, pads every row to
the longest, computes one forward per candidate and log-softmaxes all positions over the whole
vocabulary.
"""

from collections.abc import Iterator, Sequence
from inspect import signature
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from deepthink.settings import THINKING
from deepthink.structures import Tokens

KeyValues = list[tuple[Tensor, Tensor]]


@torch.no_grad()
def think(
    model: PreTrainedModel,
    demonstration_ids: Tokens,
    iterations: int,
    step_size: float,
    momentum: float = THINKING.momentum,
    positions: str = THINKING.positions,
) -> Iterator[KeyValues]:
    """Yield each layer's (K̃_t, Ṽ_t), [1, G, L, D] in the model's dtype, for t = 1 … T.

    Arguments as `deepthink.think`'s; Eq. 2-5.

    >>> from transformers import GPT2Config, GPT2LMHeadModel
    >>> model = GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=11)).eval()
    >>> [layers[0][0].shape for layers in think(model, [5, 6, 7], 2, 0.01)]
    [torch.Size([1, 2, 3, 4]), torch.Size([1, 2, 3, 4])]
    """
    ids = torch.tensor([list(demonstration_ids)], device=model.device)
    length = ids.shape[1]
    memory: KeyValues = []
    velocity: list[Tensor] = []
    for step in range(1, iterations + 1):
        begin = length if memory and positions != "aligned" else 0
        out = model(
            ids,
            attention_mask=torch.ones_like(ids).repeat(1, 2 if memory else 1),
            position_ids=torch.arange(begin, begin + length, device=model.device)[None],
            past_key_values=DynamicCache(memory) if memory else None,
            use_cache=True,
        )
        present = [(k[:, :, -length:], v[:, :, -length:]) for k, v, _ in out.past_key_values]
        if memory and positions == "rotated":
            present = [(_rotated_back(model, k, i, length), v) for i, (k, v) in enumerate(present)]
        if step == 1:
            memory = present
        else:
            old = [x for pair in memory for x in pair]
            gradient = [n - o for n, o in zip((x for p in present for x in p), old, strict=True)]
            if velocity:
                velocity = [g + momentum * m for g, m in zip(gradient, velocity, strict=True)]
            else:
                velocity = gradient
            new = [o + step_size * m for o, m in zip(old, velocity, strict=True)]
            memory = list(zip(new[::2], new[1::2], strict=True))
        yield memory


def _rotated_back(model: PreTrainedModel, keys: Tensor, layer: int, distance: int) -> Tensor:
    """A layer's keys [1, G, L, D], each pair of dimensions turned back by so many positions."""
    body: Any = model.get_decoder()
    rotary = body.rotary_emb
    named = (
        [model.config.layer_types[layer]]
        if "layer_type" in signature(rotary.forward).parameters
        else []
    )
    place = torch.tensor([[distance]], device=keys.device)
    cos, sin = (x[0, 0] for x in rotary(keys, place, *named))
    scale = torch.hypot(cos, sin)
    turning, rest = keys.split([len(cos), keys.shape[-1] - len(cos)], dim=-1)
    first, second = turning.chunk(2, dim=-1)
    swapped = torch.cat([-second, first], dim=-1)
    return torch.cat([turning * (cos / scale) - swapped * (sin / scale), rest], dim=-1)


@torch.no_grad()
def score(
    model: PreTrainedModel,
    memory: KeyValues,
    queries: Sequence[Tokens],
    candidates: Sequence[Sequence[Tokens]],
    batch_size: int = 32,
) -> list[list[float]]:
    """Summed log-probabilities of each query's candidates, one forward per candidate.

    The j-th forward takes every query's j-th candidate; all rows are right-padded to the longest
    query with its longest candidate.

    Arguments as `deepthink.score`'s, but for the memory, one of those `think` here yields. Returns
    nats.

    >>> from transformers import GPT2Config, GPT2LMHeadModel
    >>> config = GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=8)
    >>> model = GPT2LMHeadModel(config).eval()
    >>> _ = torch.nn.init.zeros_(model.lm_head.weight)  # every token has probability 1/8
    >>> (memory,) = think(model, [1, 2, 3], 1, 0.01)
    >>> round(score(model, memory, [[4]], [[[5, 6]]])[0][0], 4)  # 2 ln(1/8)
    -4.1589
    """
    width = max(len(q) + max(map(len, row)) for q, row in zip(queries, candidates, strict=True))
    scores: list[list[float]] = [[] for _ in queries]
    length = memory[0][0].shape[2]
    for j in range(max(map(len, candidates))):
        having = [i for i, row in enumerate(candidates) if j < len(row)]
        for first in range(0, len(having), batch_size):
            batch = having[first : first + batch_size]
            rows = [[*queries[i], *candidates[i][j]] for i in batch]
            ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
            mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
            seen = torch.ones(len(batch), length, dtype=mask.dtype)
            expanded = [tuple(x.expand(len(batch), -1, -1, -1) for x in kv) for kv in memory]
            logits = model(
                ids.to(model.device),
                attention_mask=torch.cat([seen, mask], dim=1).to(model.device),
                position_ids=torch.arange(length, length + width, device=model.device)[None].expand(
                    len(batch), -1
                ),
                past_key_values=DynamicCache(expanded),
            ).logits
            wide = torch.promote_types(logits.dtype, torch.float32)
            logs = torch.log_softmax(logits, dim=-1, dtype=wide).cpu()
            for row, index in enumerate(batch):
                begin, answer = len(queries[index]), candidates[index][j]
                places = range(begin - 1, begin - 1 + len(answer))
                scores[index].append(
                    sum(logs[row, p, t].item() for p, t in zip(places, answer, strict=True))
                )
    return scores
