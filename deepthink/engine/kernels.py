"""Iterated attention by whichever kernel the tensors' device and dtype have."""

import torch
from torch import Tensor

from deepthink.engine import blocked_attention, blocked_gradient
from deepthink.engine.attention import merge, over_itself, over_memory
from deepthink.engine.layout import Layout
from deepthink.engine.prepack import multiplies


def attended(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    past: tuple[Tensor, Tensor] | None,
    scale: float,
    window: int | None,
    layout: Layout,
) -> Tensor:
    """What each packed token attends to: the memory and its own sequence, under one softmax.

    q [H, N, D], k and v [G, N, D]; past: the memory's keys and values, [G, L, D] each, or None;
    scale: of the products of queries and keys; window: how many tokens a token sees, itself
    included, or None. Returns [H, N, D]. Differentiable where a gradient is wanted.

    >>> from deepthink.engine.layout import single
    >>> q = k = torch.zeros(1, 2, 1)
    >>> v = torch.tensor([[[1.0], [3.0]]])
    >>> attended(q, k, v, None, 1.0, None, single(2, q.device)).flatten().tolist()
    [1.0, 2.0]
    """
    followed = torch.is_grad_enabled() and any(x.requires_grad for x in (q, k, v, *(past or ())))
    if multiplies(q, k, v):
        kernel = blocked_gradient.attended if followed else blocked_attention.attended
        return kernel(q, k, v, past, scale, window, layout)
    if not followed and q.is_cuda:
        from deepthink.engine import cuda_attention  # slow to import, and of no use without a GPU

        if q.dtype in cuda_attention.DTYPES:
            return cuda_attention.attended(q, k, v, past, scale, window, layout)
    alone = over_itself(q, k, v, scale, window, layout)
    if past is None:
        return alone[0]
    return merge(over_memory(q, *past, scale, window, layout), alone)
