"""Iterated attention on a CUDA device: fused kernels only, no scores in memory, nobody waits.

Each token attends to the memory and to its own sequence apart, and both are joined by their
log-sum-exps, as in `attention`. Two kernels compute the parts:

- FlashAttention over packed sequences (`varlen_attn`), where the precision is half and a token sees
  all of the memory, and all of its own sequence up to itself or up to a sliding window. It is never
  split over the keys, so its bits do not depend on what else is in a batch.
- The memory-efficient kernel with a bias of 0 and -inf everywhere else: in float32, in trees of
  candidates, with slots that are hidden, where a window cuts the memory, and on GPUs before Ampere.
  In float32 it multiplies as three TF32 products, which is as exact as float32.

Slots of one gain are attended together, and the gain is added to their log-sum-exp. Gains that
change often along the slots, and those of hidden slots, are part of a bias in float32, whatever the
precision is: no gain is rounded.

What a kernel needs besides queries, keys and values is made once for a layout, see `sight`.
Nothing here reads a number back from the device. No gradient flows through it.
"""

import math
from functools import cache, reduce
from inspect import signature
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.varlen import AuxRequest, varlen_attn
from torch.nn.functional import pad

from deepthink.engine import sight
from deepthink.engine.attention import PARTS
from deepthink.engine.layout import Layout
from deepthink.errors import UserError

DTYPES = (torch.float16, torch.bfloat16, torch.float32)
"""What the kernels compute in."""

HEAD_MULTIPLE = 8
"""Heads are padded with zeros to a multiple of so many numbers, 16 bytes in half precision."""

FLASH_HEAD = 256
"""The widest head of FlashAttention."""

_packed: Any = varlen_attn
_efficient: Any = torch.ops.aten._scaled_dot_product_efficient_attention.default

# PyTorch 2.11 groups heads unasked and never splits packed keys: it does not know these options.
_EXACT = {
    name: value
    for name, value in {"enable_gqa": True, "num_splits": 1}.items()
    if name in signature(varlen_attn).parameters
}

Part = tuple[Tensor, Tensor]
"""Attention over some of the keys, [H, N, D], and the log-sum-exp of its scores, [H, N] float32."""


def attended(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    past: tuple[Tensor, Tensor] | None,
    scale: float,
    window: int | None,
    layout: Layout,
) -> Tensor:
    """Attention of N packed tokens over the memory and their own sequences (Eq. 3 and 6).

    Args:
        q: queries [H, N, D], float16, bfloat16 or float32; no gradient is followed.
        k: the packed tokens' keys [G, N, D], each head shared by H / G query heads.
        v: their values, like k.
        past: the memory's (K̃, Ṽ), each [G, L, D] in the dtype of q, or None.
        scale: what the products of queries and keys are multiplied with.
        window: how many tokens a token sees at most, itself included, or None.
        layout: where the tokens stand, on the device of q.

    Returns:
        [H, N, D] in the dtype of q.

    Raises:
        UserError: bfloat16 on a GPU before Ampere, for which there is no kernel.

    Example:
        Two query heads that share a key head, on PyTorch's device of shapes without numbers:

        >>> from deepthink.engine.layout import single
        >>> meta = torch.device("meta")
        >>> q, k = torch.empty(2, 3, 16, device=meta), torch.empty(1, 3, 16, device=meta)
        >>> attended(q, k, k, (k, k), 0.25, None, single(3, meta)).shape
        torch.Size([2, 3, 16])
    """
    width = q.shape[-1]
    q, k, v = map(_padded, (q, k, v))
    own = _over_itself(q, k, v, scale, window, layout)
    if past is None:
        return own[0][..., :width]
    keys, values = map(_padded, past)
    return _merged(_over_memory(q, keys, values, scale, window, layout), own)[..., :width]


def _padded(heads: Tensor) -> Tensor:
    """Zeros at the end of each head, which change no product, to the width that kernels take."""
    missing = -heads.shape[-1] % HEAD_MULTIPLE
    return pad(heads, (0, missing)) if missing else heads


def _merged(a: Part, b: Part) -> Tensor:
    """Two attentions over disjoint keys as one over both; `attention.merge` in two passes."""
    (out_a, total_a), (out_b, total_b) = a, b
    share = torch.sigmoid(total_a - total_b)[..., None]
    return torch.addcmul(out_a * share, out_b, 1 - share, out=torch.empty_like(out_b))


def _joined(a: Part, b: Part) -> Part:
    """As `_merged`, with the log-sum-exp of the scores over both."""
    return _merged(a, b), torch.logaddexp(a[1], b[1])


# The two parts


def _over_itself(
    q: Tensor, k: Tensor, v: Tensor, scale: float, window: int | None, layout: Layout
) -> Part:
    if layout.tree is None and _flashes(q):
        begins = sight.offsets(layout, layout.lengths)
        reach = -1 if window is None else window - 1
        return _flash(q, k, v, scale, (begins, begins), (max(layout.lengths),) * 2, (reach, 0))
    limit = sight.cutting(layout, window)
    bias = None
    if layout.tree is not None or limit is not None:
        bias = sight.of_own(layout, limit, q.dtype)
    if layout.gather is None or layout.scatter is None:
        return _grouped(q, k, v, scale, bias, causal=bias is None)
    return _side_by_side(q, k, v, scale, bias, layout.gather, layout.scatter)


def _over_memory(
    q: Tensor, k: Tensor, v: Tensor, scale: float, window: int | None, layout: Layout
) -> Part:
    length, dtype = k.shape[1], q.dtype
    limit = sight.cutting(layout, window, length)
    if layout.slots is None and limit is None and len(layout.gains) <= PARTS:
        runs = [
            _over_all(q, k[:, slots], v[:, slots], scale, gain, layout)
            for slots, gain in sight.parts(layout, length)
        ]
        return reduce(_joined, runs)
    if layout.gains:
        q, k, v = q.float(), k.float(), v.float()
    bias, blind = sight.of_memory(layout, length, limit, q.dtype)
    out, total = _grouped(q, k, v, scale, bias, causal=False)
    # a row that sees nothing: kernels leave 0 / 0 there, or a log-sum-exp of another convention
    return out.to(dtype).masked_fill(blind[:, None], 0.0), total.masked_fill(blind, -math.inf)


def _over_all(q: Tensor, k: Tensor, v: Tensor, scale: float, gain: float, layout: Layout) -> Part:
    """Each token over slots that all tokens see, and which have the same gain."""
    if _flashes(q):
        tokens, length = q.shape[1], k.shape[1]
        offsets = sight.offsets(layout, (tokens,)), sight.offsets(layout, (length,))
        out, total = _flash(q, k, v, scale, offsets, (tokens, length), (-1, -1))
    else:
        out, total = _grouped(q, k, v, scale, None, causal=False)
    return out, total + gain if gain else total


# The two kernels


def _flashes(q: Tensor) -> bool:
    """Whether FlashAttention takes such queries; UserError if no kernel does."""
    if q.dtype == torch.float32:
        return False
    flash = _has_flash(q.device)
    if q.dtype == torch.bfloat16 and not flash and not _is_ampere(q.device):
        raise UserError(
            "attention in bfloat16 needs a GPU of NVIDIA's Ampere generation or newer: use "
            "model.dtype=float16 or float32"
        )
    return flash and q.shape[-1] <= FLASH_HEAD


@cache
def _is_ampere(device: torch.device) -> bool:
    return torch.cuda.get_device_capability(device) >= (8, 0)


@cache
def _has_flash(device: torch.device) -> bool:
    """AMD's build returns the log-sum-exp in another shape."""
    built = torch.backends.cuda.is_flash_attention_available() and torch.version.hip is None
    return built and _is_ampere(device)


def _flash(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    scale: float,
    offsets: tuple[Tensor, Tensor],
    longest: tuple[int, int],
    window: tuple[int, int],
) -> Part:
    """Packed sequences of queries, each over its sequence of keys: heads are the second axis.

    offsets: where the sequences of queries and of keys begin, int32 on the device, and their end.
    window: how many keys before and after a query's own place it sees; -1 for all.
    """
    out, total = _packed(
        *(x.transpose(0, 1) for x in (q, k, v)),
        *offsets,
        *longest,
        return_aux=AuxRequest(lse=True),
        scale=scale,
        window_size=window,
        **_EXACT,
    )
    return out.transpose(0, 1), total


def _grouped(
    q: Tensor, k: Tensor, v: Tensor, scale: float, bias: Tensor | None, causal: bool
) -> Part:
    """All rows of q [H, N, D] over the same keys [G, S, D]; bias: [..., N, S] for all heads.

    The key heads are the kernel's batch and the query heads that share one its heads, so that no
    key is repeated.
    """
    q = q.unflatten(0, (k.shape[0], -1))
    k, v = (x[:, None].expand(-1, q.shape[1], -1, -1) for x in (k, v))
    out, total = _biased(q, k, v, scale, bias, causal)
    return out.flatten(0, 1), total.flatten(0, 1)


def _side_by_side(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    scale: float,
    bias: Tensor | None,
    gather: Tensor,
    scatter: Tensor,
) -> Part:
    """Each of B sequences over itself, padded to the longest; bias: [B or 1, 1, M, M]."""
    k, v = (x.repeat_interleave(q.shape[0] // k.shape[0], dim=0) for x in (k, v))
    q, k, v = (
        x.index_select(1, gather.flatten()).unflatten(1, gather.shape).transpose(0, 1)
        for x in (q, k, v)
    )
    out, total = _biased(q, k, v, scale, bias, causal=bias is None)
    packed = out.transpose(1, 2).flatten(0, 1).index_select(0, scatter).transpose(0, 1)
    return packed, total.transpose(0, 1).flatten(1).index_select(1, scatter)


def _biased(
    q: Tensor, k: Tensor, v: Tensor, scale: float, bias: Tensor | None, causal: bool
) -> Part:
    """The memory-efficient kernel on [B, H, M, D], whose log-sum-exps end in padding."""
    rows, columns = q.shape[-2], k.shape[-2]
    if bias is not None:
        bias = bias.expand(*q.shape[:2], rows, columns)
    out, total, *_ = _efficient(q, k, v, bias, True, 0.0, causal, scale=scale)
    return out, total[..., :rows]
