"""Packed forwards of any transformers decoder, with iterated attention in every layer.

One forward carries the tokens of many sequences side by side, without padding; `attention` says
how they attend. The model's own code computes everything else; nothing in it is changed after the
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

from deepthink.engine.attention import merge, over_itself, over_memory
from deepthink.engine.layout import Layout
from deepthink.engine.memory import Memory
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
    layout = current.layout(q.device)
    if current.capture:
        current.keys.append(k)
        current.values.append(v)
    out, total = over_itself(q, k, v, scale, sliding_window, layout)
    if current.memory is not None:
        past_k = current.memory.keys[current.layer].to(k)
        past_v = current.memory.values[current.layer].to(v)
        if past_k[:, :1].shape != k[:, :1].shape or past_v[:, :1].shape != v[:, :1].shape:
            raise _another(module)
        past = over_memory(q, past_k, past_v, scale, sliding_window, layout)
        out = merge(past, (out, total))
    current.layer += 1
    return out.transpose(0, 1).contiguous()[None], None  # some models look at it with `view`


def _another(module: torch.nn.Module) -> UserError:
    return UserError(
        f"{type(module).__name__} has other layers or heads than the memory: score with the model "
        "that made it"
    )


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


@dataclass(frozen=True)
class Forward:
    """Runs packed forwards of one model; got from `iterated`."""

    model: PreTrainedModel

    def __call__(
        self,
        tokens: Tokens,
        layout: Layout,
        memory: Memory | None,
        start: int,
        rows: Tensor | None = None,
        capture: bool = False,
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """One forward over N packed tokens that see `memory` and their own sequences.

        tokens: N ids; start: the position of every sequence's first token; rows: packed indices
        whose next-token logits are wanted (default: the last). Returns logits [len(rows), V] and,
        if capture, the present keys and values of each layer, [G, N, D] (else empty lists).
        """
        device = self.model.device
        layers = self.model.config.get_text_config().num_hidden_layers
        if memory is not None and len(memory.keys) != layers:
            raise _another(self.model)
        if rows is None:
            rows = torch.tensor([len(tokens) - 1], device=device)
        head = self.model.get_output_embeddings()
        kept = head.register_forward_pre_hook(partial(_only, rows), prepend=True)
        current = _Pass({layout.depths.device: layout}, memory, capture)
        token = _ACTIVE.set(current)
        try:
            logits = self.model(
                input_ids=torch.tensor([tokens], device=device),
                position_ids=(start + layout.depths)[None],
                # a mask of four axes is handed through unread: no mask is ever built
                attention_mask=torch.ones(1, 1, 1, 1, device=device),
                use_cache=False,
            ).logits[0]
        except IndexError as error:  # of positions that are learnt
            raise UserError(
                f"a prompt of {start + layout.deepest + 1} positions does not fit into "
                f"{type(self.model).__name__}: use fewer or shorter demonstrations, which thinking "
                "doubles"
            ) from error
        finally:
            _ACTIVE.reset(token)
            kept.remove()
        if current.layer != layers:
            raise UserError(
                f"{type(self.model).__name__} passes {current.layer} of its {layers} layers "
                "through transformers' attention interface: its memory cannot be iterated"
            )
        return logits, current.keys, current.values


def _only(rows: Tensor, _head: torch.nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """An output layer's arguments, of whose states [1, N, d] only the wanted rows are kept.

    It is done here and not by transformers' `logits_to_keep`, which wants indices on the device of
    the last layer, and is given them on that of the first where a model is spread over several.
    """
    states, *others = given
    return (states[:, rows.to(states.device)], *others)


@contextmanager
def routed(model: PreTrainedModel, differentiable: bool = False) -> Iterator[Forward]:
    """Route a model's attention through this module, unchecked: see `support.iterated`."""
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
            yield Forward(model)
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
