"""Packed forwards in a model's own code, whose attention is routed through iterated attention.

This serves every decoder of transformers, and gradients. Nothing in the model is changed after the
forward.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor
from transformers import AttentionInterface, PreTrainedModel
from transformers.models.gpt_neo.modeling_gpt_neo import GPTNeoSelfAttention

from deepthink.engine.forward import Forward, Passed, too_long
from deepthink.engine.kernels import attended
from deepthink.engine.layout import Layout
from deepthink.engine.memory import Memory
from deepthink.engine.output_layer import states_only
from deepthink.engine.transfer import sent
from deepthink.errors import UserError
from deepthink.structures import Tokens

_IMPLEMENTATION = "deepthink_iterated"


_UNSUPPORTED = ("softcap", "s_aux", "position_bias", "head_mask")


@dataclass
class _Pass:
    """What the attention function needs to know during one forward.

    layouts: by device, since the layers of one model may be spread over several.
    """

    layouts: dict[torch.device, Layout]
    memory: Memory | None
    capture: bool
    layer: int = 0
    keys: list[Tensor] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)

    def layout(self, device: torch.device) -> Layout:
        """The forward's layout where a layer is, copied there once."""
        if device not in self.layouts:
            self.layouts[device] = next(iter(self.layouts.values())).to(device)
        return self.layouts[device]


_ACTIVE: ContextVar[_Pass] = ContextVar("deepthink_pass")


def _iterated_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    **kwargs: object,
) -> tuple[Tensor, None]:
    """Transformers' attention interface: query [1, H, N, D], key and value [1, G, N, D]."""
    if bad := [name for name in _UNSUPPORTED if kwargs.get(name) is not None]:
        raise UserError(
            f"{type(module).__name__} uses {bad[0]}, which iterated attention does not support"
        )
    current = _ACTIVE.get()
    q, k, v = query[0], key[0], value[0]
    scale = scaling if scaling is not None else q.shape[-1] ** -0.5
    if current.capture:
        current.keys.append(k)
        current.values.append(v)
    past = None
    if current.memory is not None:
        past = current.memory.of_layer(current.layer, k, v)
    out = attended(q, k, v, past, scale, sliding_window, current.layout(q.device))
    current.layer += 1
    return out.transpose(0, 1).contiguous()[None], None  # some models look at it with `view`


def _gpt_neo_attention(attention: GPTNeoSelfAttention) -> Callable[..., tuple[Tensor, None]]:
    """GPT-Neo computes attention in its own code: unscaled, in float32 at least, some local."""
    window = attention.config.window_size if attention.attention_type == "local" else None

    def call(
        query: Tensor, key: Tensor, value: Tensor, attention_mask: object = None
    ) -> tuple[Tensor, None]:
        wide = torch.promote_types(query.dtype, torch.float32)
        out, _ = _iterated_attention(
            attention,
            query.to(wide),
            key.to(wide),
            value.to(wide),
            scaling=1.0,
            sliding_window=window,
        )
        return out.transpose(1, 2).to(value.dtype), None

    return call


AttentionInterface.register(_IMPLEMENTATION, _iterated_attention)


def _run(
    model: PreTrainedModel,
    tokens: Tokens,
    layout: Layout,
    memory: Memory | None,
    start: int,
    rows: Tensor | None,
) -> Passed:
    """One forward, see `Forward`."""
    device, name = model.device, type(model).__name__
    current = _Pass({layout.depths.device: layout}, memory, capture=rows is None)
    token = _ACTIVE.set(current)
    try:
        with states_only(model) as collected:
            model(
                input_ids=sent(torch.tensor([tokens]), device),
                position_ids=(start + layout.depths)[None],
                # a mask of four axes is handed through unread: no mask is ever built
                attention_mask=torch.ones(1, 1, 1, 1, device=device),
                use_cache=False,
            )
    except IndexError as error:  # of positions that are learnt
        raise too_long(name, start + layout.deepest + 1) from error
    finally:
        _ACTIVE.reset(token)
    layers = model.config.get_text_config().num_hidden_layers
    if current.layer != layers:
        raise UserError(
            f"{name} passes {current.layer} of its {layers} layers through transformers' attention "
            "interface: its memory cannot be iterated"
        )
    if rows is None:
        return Passed(None, current.keys, current.values)
    if not collected or collected[0].shape[:2] != (1, len(tokens)):
        raise UserError(f"{name} does not give its output layer the states of all tokens")
    states = collected[0][0]
    return Passed(states[rows.to(states.device)], [], [])


@contextmanager
def routed(
    model: PreTrainedModel, plain: bool = False, differentiable: bool = False
) -> Iterator[Forward]:
    """Route a model's attention through this module, unchecked: see `support.iterated`.

    plain: whether its logits are what its output layer returns.
    """
    local = [module for module in model.modules() if isinstance(module, GPTNeoSelfAttention)]
    previous = model.config._attn_implementation
    with (
        torch.set_grad_enabled(differentiable),
        _frozen(model) if differentiable else nullcontext(),
    ):
        try:
            for module in local:
                module.__dict__["_attn"] = _gpt_neo_attention(module)
            if not local:
                if not model._can_set_attn_implementation():
                    raise UserError(
                        f"{type(model).__name__} computes attention outside transformers' interface"
                    )
                model.set_attn_implementation(_IMPLEMENTATION)
            yield Forward(model, partial(_run, model), plain)
        finally:
            for module in local:
                module.__dict__.pop("_attn", None)
            if not local:
                model.set_attn_implementation(previous)


@contextmanager
def _frozen(model: PreTrainedModel) -> Iterator[None]:
    """No weight requires a gradient: a graph that is made meanwhile keeps nothing for theirs."""
    learning = [weight for weight in model.parameters() if weight.requires_grad]
    for weight in learning:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in learning:
            weight.requires_grad_()
