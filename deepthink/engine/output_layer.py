"""A model's output layer: logits in float32 or wider, and the log-probabilities of tokens."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

LOGIT_ROWS = 64
"""Rows of logits normalised at a time, so that the vocabulary-wide intermediates stay small."""

WIDENED_WEIGHTS = 1 << 22
"""Weights of the output layer widened to float32 at a time (16 MiB)."""


@contextmanager
def in_float32(model: PreTrainedModel) -> Iterator[list[Tensor]]:
    """Collects the inputs [1, rows, d] of the output layer, which computes in float32 or wider.

    Logits of half precision are so coarse that candidates get equal scores. Whatever the model
    does with its logits afterwards (a scale, a soft cap) is then done in float32 too.
    """
    inputs: list[Tensor] = []
    head = model.get_output_embeddings()
    # accelerate's forward brings inputs and weights together, and then calls the layer's own
    name = "_old_forward" if "_old_forward" in head.__dict__ else "forward"
    before = head.__dict__.get(name)
    hook = head.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
    if head.weight.dtype.itemsize < torch.float32.itemsize:
        head.__dict__[name] = partial(wide_logits, head)
    try:
        yield inputs
    finally:
        hook.remove()
        head.__dict__.pop(name, None)
        if before is not None:
            head.__dict__[name] = before


def wide_logits(head: nn.Linear, inputs: Tensor) -> Tensor:
    """The output layer in float32, whose weights are widened a part of the vocabulary at a time.

    inputs [..., d] of any dtype to logits [..., V] in float32.

    >>> head = nn.Linear(2, 3, bias=False, dtype=torch.bfloat16)
    >>> wide_logits(head, torch.zeros(1, 2, dtype=torch.bfloat16))
    tensor([[0., 0., 0.]], grad_fn=<CatBackward0>)
    """
    rows = inputs.float()
    words = max(1, WIDENED_WEIGHTS // rows.shape[-1])
    logits = torch.cat([rows @ part.float().T for part in head.weight.split(words)], dim=-1)
    return logits if head.bias is None else logits + head.bias.float()


def log_probabilities(logits: Tensor, rows: Tensor, tokens: Tensor) -> Tensor:
    """Log p, in nats, of n tokens, each by the logits of one of R rows.

    logits [R, V] of any dtype; rows and tokens [n], indices of a row and of a token. Returns [n],
    in float32 or wider; differentiable in the logits.

    >>> logits = torch.tensor([[0.0, 0.0], [0.0, 1.0986123]])
    >>> log_probabilities(logits, torch.tensor([0, 1]), torch.tensor([0, 1])).exp()
    tensor([0.5000, 0.7500])
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    totals = torch.cat([part.logsumexp(-1) for part in logits.split(LOGIT_ROWS)])
    return logits[rows, tokens] - totals[rows]
