"""The gradient of iterated attention on a CPU in float32, by oneDNN's products.

Autograd would keep every layer's scores and multiply at half of oneDNN's rate. Here nothing is kept
but what went in and came out. The weights P of the softmax over [memory | own tokens] are computed
once more; with scores S, O = PV and its slope ∂O, for each of the two blocks

    ∂V = Pᵀ∂O        ∂S = P ∘ (∂O Vᵀ - rowsum(∂O ∘ O))        ∂Q = ∂S K        ∂K = ∂Sᵀ Q

(Dao et al. 2022, "FlashAttention", appendix B.2).
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from deepthink.engine import blocked_attention, sight
from deepthink.engine.layout import Layout
from deepthink.engine.prepack import product


def attended(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    past: tuple[Tensor, Tensor] | None,
    scale: float,
    window: int | None,
    layout: Layout,
) -> Tensor:
    """As `kernels.attended`; float32 on a CPU, where autograd follows any of the tensors.

    A gradient of the gradient is not known.

    >>> from deepthink.engine.layout import single
    >>> q = k = torch.zeros(1, 2, 1)
    >>> slots = torch.tensor([[[1.0], [3.0]]], requires_grad=True)
    >>> attended(q, k, slots, (k, slots), 1.0, None, single(2, q.device)).sum().backward()
    >>> slots.grad.flatten()  # 1/3 + 1/4 as a slot, and as a token 1/3 + 1/4 and 1/4
    tensor([1.1667, 0.8333])
    """
    follow: Any = _Attended.apply
    out: Tensor = follow(q, k, v, *(past or (None, None)), scale, window, layout)
    return out


class _Attended(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        keys: Tensor | None,
        values: Tensor | None,
        scale: float,
        window: int | None,
        layout: Layout,
    ) -> Tensor:
        past = None if keys is None or values is None else (keys, values)
        out = blocked_attention.attended(q, k, v, past, scale, window, layout)
        ctx.save_for_backward(q, k, v, keys, values, out)
        ctx.scale, ctx.window, ctx.layout = scale, window, layout
        return out

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, keys, values, out = ctx.saved_tensors
        past = None if keys is None else (keys, values)
        slopes = _slopes(q, k, v, past, out, slope, ctx.scale, ctx.window, ctx.layout)
        return (*slopes, None, None, None)


@dataclass(frozen=True)
class _Rows:
    """What a softmax came to for rows [G, N, R, D], the R query heads of a key head side by side.

    queries: scaled. slopes: of what came out. sums: [G, N, R, 1], rowsum(∂O ∘ O).
    """

    queries: Tensor
    slopes: Tensor
    sums: Tensor

    @classmethod
    def of(cls, q: Tensor, out: Tensor, slope: Tensor, groups: int, scale: float) -> "_Rows":
        """From tensors [H, N, D]."""

        def by_key_head(x: Tensor) -> Tensor:
            by_head: Tensor = x.unflatten(0, (groups, -1))
            return by_head.transpose(1, 2).contiguous()

        queries, outs, slopes = map(by_key_head, (q * scale, out, slope))
        return cls(queries, slopes, (outs * slopes).sum(-1, keepdim=True))


def _slopes(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    past: tuple[Tensor, Tensor] | None,
    out: Tensor,
    slope: Tensor,
    scale: float,
    window: int | None,
    layout: Layout,
) -> tuple[Tensor | None, ...]:
    """∂q, ∂k, ∂v and, of the memory, ∂K̃ and ∂Ṽ; shapes as those of what they belong to."""
    rows = _Rows.of(q, out, slope, k.shape[0], scale)
    own = _Own(rows, k, v, window, layout)
    share = torch.ones_like(rows.sums)
    d_queries = torch.zeros_like(rows.queries)
    d_past: tuple[Tensor | None, Tensor | None] = (None, None)
    if past is not None:
        d_past = _over_memory(rows, past, own.totals, window, layout, share, d_queries)
    d_own, d_k, d_v = own.slopes(share)
    d_q = d_queries.add_(d_own).mul_(scale).transpose(1, 2).flatten(0, 1)
    return d_q, d_k, d_v, *d_past


def _over_memory(
    rows: _Rows,
    past: tuple[Tensor, Tensor],
    totals: Tensor,
    window: int | None,
    layout: Layout,
    share: Tensor,
    d_queries: Tensor,
) -> tuple[Tensor, Tensor]:
    """∂K̃ and ∂Ṽ.

    totals: [G, N, R, 1], the log-sum-exps of the tokens' scores over their own sequences.
    Writes into `share`, of that shape, how much of each token's attention goes to its own sequence,
    and into `d_queries` what the memory adds to the queries' slope.
    """
    length, shared = past[0].shape[1], rows.queries.shape[2]
    limit = sight.cutting(layout, window, length)
    name = ("hidden", length, limit)
    hidden = sight.once(layout, name, lambda: sight.bias(sight.memory(layout, length, limit)))
    gains = sight.gains(layout, torch.float32) if layout.gains else None
    slopes = torch.empty_like(past[0]), torch.empty_like(past[1])
    # oneDNN is slow where rows do not follow each other in memory
    whole = [part.contiguous() for part in past]
    for group in range(len(totals)):
        keys, values = (part[group] for part in whole)
        queries, ups, sums, own = (
            x[group].flatten(0, 1) for x in (rows.queries, rows.slopes, rows.sums, totals)
        )
        scores = product(queries, keys, gains)
        scores.unflatten(0, (-1, shared)).add_(hidden[:, None])
        weights = torch.softmax(torch.cat((scores, own), dim=-1), -1)
        share[group] = weights[:, length:].unflatten(0, (-1, shared))
        weights = weights[:, :length]
        d_scores = product(ups, values).sub_(sums).mul_(weights)
        d_queries[group] = product(d_scores, keys.T).unflatten(0, (-1, shared))
        slopes[0][group] = d_scores.T @ queries
        slopes[1][group] = weights.T @ ups
    return slopes


class _Own:
    """Every sequence over itself: B sequences of M tokens, the shorter ones padded.

    totals: [G, N, R, 1], the log-sum-exps of each token's scores.
    """

    def __init__(
        self, rows: _Rows, k: Tensor, v: Tensor, window: int | None, layout: Layout
    ) -> None:
        self._layout = layout
        self._queries, self._ups, self._sums = (
            self._padded(x).flatten(1, 2) for x in (rows.queries, rows.slopes, rows.sums)
        )
        self._keys, self._values = self._padded(k), self._padded(v)
        seen = sight.own(layout, sight.cutting(layout, window))[:, 0]
        self._shape = rows.queries.shape
        shared = self._shape[2]
        scores = torch.bmm(self._queries, self._keys.mT)
        by_sequence = scores.view(len(k), -1, *seen.shape[-2:-1], shared, seen.shape[-1])
        by_sequence.masked_fill_(~seen[..., None, :], -torch.inf)
        totals = scores.logsumexp(-1, keepdim=True)
        self._weights = scores.sub_(totals).exp_()
        self.totals = self._packed(totals.unflatten(1, (-1, shared)))

    def slopes(self, share: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """∂q [G, N, R, D] of the scaled queries, ∂k and ∂v.

        share: [G, N, R, 1], how much of a token's attention goes to its own sequence.
        """
        weights = self._weights.mul_(self._padded(share, fill=True).flatten(1, 2))
        d_scores = torch.bmm(self._ups, self._values.mT).sub_(self._sums).mul_(weights)
        d_queries = torch.bmm(d_scores, self._keys).unflatten(1, (-1, self._shape[2]))
        d_keys, d_values = (
            self._packed(torch.bmm(x.mT, y))
            for x, y in ((d_scores, self._queries), (weights, self._ups))
        )
        return self._packed(d_queries), d_keys, d_values

    def _padded(self, x: Tensor, fill: bool = False) -> Tensor:
        """[G, N, …] as [G·B, M, …]. Filled places hold zeros, others any token's numbers."""
        gather, scatter = self._layout.gather, self._layout.scatter
        if gather is None or scatter is None:
            return x
        if fill:
            zeros = x.new_zeros(len(x), gather.numel(), *x.shape[2:])
            zeros[:, scatter] = x
            return zeros.view(-1, gather.shape[1], *x.shape[2:])
        return x[:, gather].flatten(0, 1)

    def _packed(self, x: Tensor) -> Tensor:
        """[G·B, M, …] as [G, N, …]."""
        scatter = self._layout.scatter
        if scatter is None:
            return x
        return x.view(self._shape[0], -1, *x.shape[2:])[:, scatter]
