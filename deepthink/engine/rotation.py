"""Rotary positions: keys that were read at some positions, as they would be at others."""

import inspect
from collections.abc import Sequence
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor
from transformers import PreTrainedModel

from deepthink.engine.decoders.pieces import rotated
from deepthink.engine.layout import single
from deepthink.engine.probing import widened
from deepthink.engine.routing import routed
from deepthink.errors import UserError

_FAR = 23
"""Where the tokens of the check stand the second time."""

_TOLERANCE = 1e-3
"""By how much of their length keys of the check may differ, in float32."""

_checked: WeakSet[PreTrainedModel] = WeakSet()


def check(model: PreTrainedModel) -> None:
    """Raise UserError unless keys of a model can be moved to other positions.

    Without a memory, rotary attention depends on distances alone. A few tokens are therefore read
    twice, at positions from 0 and from 23 on, and the keys of the second reading, moved, must be
    those of the first in every layer. A model is checked once.

    >>> from transformers import GPT2Config, GPT2LMHeadModel
    >>> check(GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=29)).eval())
    Traceback (most recent call last):
    deepthink.errors.UserError: GPT2LMHeadModel has no rotary positions: …
    """
    if model in _checked:
        return
    name = type(model).__name__
    remedy = "set positions to continued or aligned"
    if _rotary(model) is None:
        raise UserError(
            f"{name} has no rotary positions: its keys cannot be rotated back, so {remedy}"
        )
    embedding: Any = model.get_input_embeddings()
    tokens = [(4 + 7 * i * i) % len(embedding.weight) for i in range(6)]
    places = single(len(tokens), model.device)
    with widened(model, torch.float32), torch.no_grad(), routed(model) as forward:
        near, far = (forward.read(tokens, places, None, start)[0] for start in (0, _FAR))
        back = moved(model, far, _FAR, 0, torch.float32)
    apart = max(
        float((ours - theirs).norm() / theirs.norm())
        for ours, theirs in zip(back, near, strict=True)
    )
    if not apart <= _TOLERANCE:
        raise UserError(
            f"{name} rotates its keys in a way that cannot be undone here (a probe's keys are "
            f"{apart:.2g} of their length apart): {remedy}"
        )
    _checked.add(model)


def moved(
    model: PreTrainedModel,
    keys: Sequence[Tensor],
    source: int,
    target: int,
    dtype: torch.dtype | None = None,
) -> tuple[Tensor, ...]:
    """Each layer's keys [G, N, D], read at positions from `source` on, as if from `target` on.

    With the model's own factors, c + is for each position and pair of dimensions, this is the
    product with (c + is at the new position) / (c + is at the old one). Factors that are scaled are
    so before and after. Dimensions that the model does not rotate stay as they are. The model is
    one that `check` lets pass; shapes and dtypes stay.

    dtype: in which the factors were rounded when the keys were read; the model's by default.

    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> config = LlamaConfig(num_hidden_layers=1, num_attention_heads=1, hidden_size=2,
    ...                      intermediate_size=8, vocab_size=11)
    >>> turned, = moved(LlamaForCausalLM(config), [torch.tensor([[[1.0, 0.0]]])], 1, 0)
    >>> turned.flatten()  # by -1 radian
    tensor([ 0.5403, -0.8415])
    """
    kinds = _kinds(model, len(keys))
    x = torch.empty(0, dtype=dtype or model.dtype, device=model.device)
    turns = {kind: _turn(model, kind, x, keys[0].shape[-2], source, target) for kind in {*kinds}}
    return tuple(_turned(key, turns[kind]) for key, kind in zip(keys, kinds, strict=True))


def _rotary(model: PreTrainedModel) -> Any:
    """The module that makes cosines and sines of positions; None where a model has none."""
    body: Any = model.get_decoder()
    return getattr(body, "rotary_emb", None)


def _kinds(model: PreTrainedModel, layers: int) -> list[str | None]:
    """Of each layer, by which name the model tells apart how layers rotate, if it does."""
    if "layer_type" not in inspect.signature(_rotary(model).forward).parameters:
        return [None] * layers
    return list(model.config.get_text_config().layer_types)


def _turn(
    model: PreTrainedModel, kind: str | None, x: Tensor, length: int, source: int, target: int
) -> tuple[Tensor, Tensor]:
    """The cosines and sines, in float64 [N, 1, R], by which pairs of dimensions are turned.

    x: of the dtype in which the model's own factors are rounded.
    """
    rotary = _rotary(model)

    def factors(begin: int) -> Tensor:
        places = torch.arange(begin, begin + length, device=x.device)[None]
        pair = rotary(x, places) if kind is None else rotary(x, places, kind)
        # the second half of the dimensions repeats the angles of the first
        cos, sin = (part[0, :, None, : part.shape[-1] // 2].double() for part in pair)
        return torch.complex(cos, sin)

    quotient = factors(target) / factors(source)
    return quotient.real, quotient.imag


def _turned(key: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """A layer's keys [G, N, D], turned."""
    wide = key.to(torch.promote_types(key.dtype, torch.float32))
    cos, sin = (part.to(wide) for part in turn)
    return rotated(wide.transpose(0, 1), (cos, sin)).transpose(0, 1).to(key.dtype)
