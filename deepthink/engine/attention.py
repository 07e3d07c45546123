"""Exact attention over a memory and a token's own sequence, each with its log-sum-exp.

In every layer each packed token attends to two blocks (Eq. 3 and 6), whose softmaxes are joined
exactly by their log-sum-exps:

    slots     0 ........ L-1 | L ...................
              the memory     | the token's own sequence
              (K̃, Ṽ), shared | present keys and values
              by all         | (causal, or a tree where candidates branch off a query)

so the memory is neither copied for a batch nor attended sequence by sequence. Pure functions of
tensors: no model. All are differentiable.
"""

import math
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from deepthink.engine import sight
from deepthink.engine.layout import Layout

PARTS = 4
"""A memory whose gains change more often along its slots is attended with all scores in memory."""


def attend(
    query: Tensor, key: Tensor, value: Tensor, scale: float, mask: Tensor | None, causal: bool
) -> tuple[Tensor, Tensor]:
    """Softmax attention and the log-sum-exp of its scores.

    query [B, H, M, D], key and value [B, H, S, D]; mask bool, broadcast to [B, H, M, S], True
    where a token may look, or None; causal: row i sees columns up to i. Returns [B, H, M, D] and
    [B, H, M] (float32 or wider). A row that sees nothing gets a log-sum-exp of -inf and finite
    output. The fused kernels return the log-sum-exp only through PyTorch's inner interface, and
    do not differentiate it: where a gradient is wanted, the scores are held in memory.

    One query that is orthogonal to both keys weighs their values alike, ln 2 = 0.6931…:

        >>> query, key = torch.zeros(1, 1, 1, 2), torch.ones(1, 1, 2, 2)
        >>> value = torch.tensor([[[[1.0, 0.0], [3.0, 4.0]]]])
        >>> out, total = attend(query, key, value, 1.0, None, causal=False)
        >>> out.flatten().tolist(), round(total.item(), 4)
        ([2.0, 2.0], 0.6931)
    """
    kernels: Any = torch.ops.aten
    both: tuple[Tensor, Tensor]
    if torch.is_grad_enabled() and any(x.requires_grad for x in (query, key, value)):
        return attend_plainly(query, key, value, scale, mask, causal)
    if query.device.type == "cpu" and query.dtype != torch.float16:
        if mask is None:
            both = kernels._scaled_dot_product_flash_attention_for_cpu(
                query, key, value, 0.0, causal, scale=scale
            )
            return both
        bias = torch.zeros(mask.shape, dtype=query.dtype).masked_fill_(~mask, -math.inf)
        out, total = kernels._scaled_dot_product_flash_attention_for_cpu(
            query, key, value, 0.0, causal, attn_mask=bias, scale=scale
        )
        return out, total.masked_fill(~mask.any(-1), -math.inf)  # where the kernel says 0
    return attend_plainly(query, key, value, scale, mask, causal)


def attend_plainly(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scale: float,
    mask: Tensor | None,
    causal: bool,
    gains: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """`attend` by its definition, in float32 or wider: the scores are held in memory.

    Differentiable in query, key and value, the log-sum-exp too. Arguments, returned values and
    their shapes are `attend`'s. gains: [S], added to the scores; None: nothing is.

        >>> query = torch.tensor([[[[1.0]]]], requires_grad=True)
        >>> key = value = torch.tensor([[[[0.0], [1.0]]]])
        >>> out, total = attend_plainly(query, key, value, 1.0, None, causal=False)
        >>> total.backward()  # d/dq ln(1 + e^q) = e / (1 + e)
        >>> round(query.grad.item(), 4) == round(out.item(), 4) == 0.7311
        True
    """
    wide = torch.promote_types(query.dtype, torch.float32)
    scores = (query.to(wide) @ key.to(wide).mT) * scale
    if gains is not None:
        scores = scores + gains
    if causal:
        mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    total = scores.logsumexp(-1)
    weights = (scores - total.clamp(min=torch.finfo(wide).min)[..., None]).exp()
    return (weights @ value.to(wide)).to(value.dtype), total


def merge(a: tuple[Tensor, Tensor], b: tuple[Tensor, Tensor]) -> Tensor:
    """Two attentions over disjoint keys, each with its log-sum-exp, joined into the one over both.

    With weights w = e^{total_a} / (e^{total_a} + e^{total_b}), the joint output is w·a + (1-w)·b.
    """
    (out_a, total_a), (out_b, total_b) = a, b
    weight = torch.sigmoid(total_a - total_b)[..., None]
    return torch.lerp(out_b.to(weight.dtype), out_a.to(weight.dtype), weight).to(out_a.dtype)


def joined(a: tuple[Tensor, Tensor], b: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """As `merge`, with the log-sum-exp of the scores over both."""
    return merge(a, b), torch.logaddexp(a[1], b[1])


def over_itself(
    q: Tensor, k: Tensor, v: Tensor, scale: float, window: int | None, layout: Layout
) -> tuple[Tensor, Tensor]:
    """Each token over its own sequence: q [H, N, D], k and v [G, N, D] to [H, N, D] and [H, N]."""
    heads, groups = q.shape[0], k.shape[0]
    if layout.gather is None:
        q, k, v = q[None], k[None], v[None]
    else:
        # [H, N, D] -> [B, H, M, D]
        q, k, v = (x[:, layout.gather].transpose(0, 1) for x in (q, k, v))
    if groups != heads:
        k, v = (x.repeat_interleave(heads // groups, dim=1) for x in (k, v))
    limit = sight.cutting(layout, window)
    plain = layout.tree is None and limit is None
    mask = None if plain else sight.own(layout, limit)
    out, total = attend(q, k, v, scale, mask, causal=plain)
    if layout.scatter is None:
        return out[0], total[0]
    # [B, H, M, D] -> [H, B·M, D] -> [H, N, D]
    out = out.transpose(0, 1).flatten(1, 2)[:, layout.scatter]
    return out, total.transpose(0, 1).flatten(1, 2)[:, layout.scatter]


def over_memory(
    q: Tensor, k: Tensor, v: Tensor, scale: float, window: int | None, layout: Layout
) -> tuple[Tensor, Tensor]:
    """Each token over the memory: q [H, N, D], k and v [G, L, D] to [H, N, D] and [H, N].

    Slots of one gain b are attended together, and b is added to their log-sum-exp: exact, since
    Σ_s e^{x_s + b} = e^{b + log Σ_s e^{x_s}}.
    """
    shared, length = q.shape[0] // k.shape[0], k.shape[1]
    limit = sight.cutting(layout, window, length)
    if limit is not None or layout.slots is not None or len(layout.gains) > PARTS:
        mask = sight.memory(layout, length, limit)[None, None]
        wide = torch.promote_types(q.dtype, torch.float32)
        gains = sight.gains(layout, wide) if layout.gains else None
        k, v = (x.repeat_interleave(shared, dim=0) for x in (k, v))
        out, total = attend_plainly(q[None], k[None], v[None], scale, mask, False, gains)
        return out[0], total[0]
    runs = [
        _over_all(q, k[:, slots], v[:, slots], scale, gain)
        for slots, gain in sight.parts(layout, length)
    ]
    return reduce(joined, runs)


def _over_all(q: Tensor, k: Tensor, v: Tensor, scale: float, gain: float) -> tuple[Tensor, Tensor]:
    """Each token over slots that all tokens see, and which have the same gain."""
    heads, tokens, width = q.shape
    # the query heads that share a key head become further rows: nothing is repeated
    folded = q.reshape(1, len(k), -1, width)
    out, total = attend(folded, k[None], v[None], scale, None, causal=False)
    total = total.reshape(heads, tokens)
    return out.reshape(heads, tokens, width), total + gain if gain else total
