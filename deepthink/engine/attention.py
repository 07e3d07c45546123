"""Iterative Enhanced Attention (Eq. 3 and 6) for any transformers decoder, over packed tokens.

One forward carries the tokens of many sequences side by side, without padding. In every layer
each token attends to two blocks, whose softmaxes are joined exactly by their log-sum-exps:

    slots     0 ........ L-1 | L ...................
              the memory     | the token's own sequence
              (K̃, Ṽ), shared | present keys and values
              by all         | (causal, or a tree where candidates branch off a query)

so the memory is neither copied for a batch nor attended sequence by sequence. The model's own
code computes everything else; nothing in it is changed after the forward.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import AttentionInterface, PreTrainedModel
from transformers.models.gpt_neo.modeling_gpt_neo import GPTNeoSelfAttention

from deepthink.engine.layout import Layout
from deepthink.engine.memory import Memory
from deepthink.errors import UserError
from deepthink.structures import Tokens

_IMPLEMENTATION = "deepthink_iterated"


_UNSUPPORTED = ("softcap", "s_aux", "position_bias", "head_mask")


@dataclass
class _Pass:
    """What the attention function needs to know during one forward."""

    layout: Layout
    memory: Memory | None
    capture: bool
    layer: int = 0
    keys: list[Tensor] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)


_ACTIVE: ContextVar[_Pass] = ContextVar("deepthink_pass")


def attend(
    query: Tensor, key: Tensor, value: Tensor, scale: float, mask: Tensor | None, causal: bool
) -> tuple[Tensor, Tensor]:
    """Softmax attention and the log-sum-exp of its scores.

    query [B, H, M, D], key and value [B, H, S, D]; mask bool, broadcast to [B, H, M, S], True
    where a token may look, or None; causal: row i sees columns up to i. Returns [B, H, M, D] and
    [B, H, M] (float32 or wider). A row that sees nothing gets a log-sum-exp of -inf and finite
    output. The fused kernels return the log-sum-exp only through PyTorch's inner interface.
    """
    kernels = torch.ops.aten
    if query.device.type == "cpu" and query.dtype != torch.float16:
        bias = None
        if mask is not None:
            bias = torch.zeros(mask.shape, dtype=query.dtype).masked_fill_(~mask, -math.inf)
        return kernels._scaled_dot_product_flash_attention_for_cpu(
            query, key, value, 0.0, causal, attn_mask=bias, scale=scale
        )
    if mask is None and _can_flash(query):
        return kernels._scaled_dot_product_flash_attention.default(
            query, key, value, 0.0, causal, False, scale=scale
        )[:2]
    return attend_plainly(query, key, value, scale, mask, causal)


def _can_flash(query: Tensor) -> bool:
    """Whether FlashAttention takes such a query: half precision on Ampere or newer."""
    return (
        query.is_cuda
        and query.dtype in (torch.float16, torch.bfloat16)
        and query.shape[-1] % 8 == 0
        and query.shape[-1] <= 256
        and torch.backends.cuda.is_flash_attention_available()
        and torch.cuda.get_device_capability(query.device) >= (8, 0)
    )


def attend_plainly(
    query: Tensor, key: Tensor, value: Tensor, scale: float, mask: Tensor | None, causal: bool
) -> tuple[Tensor, Tensor]:
    """`attend` by its definition, in float32 or wider: the scores are held in memory."""
    wide = torch.promote_types(query.dtype, torch.float32)
    scores = (query.to(wide) @ key.to(wide).mT) * scale
    if causal:
        mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    total = scores.logsumexp(-1)
    weights = (scores - total.clamp(min=torch.finfo(wide).min)[..., None]).exp()
    return (weights @ value.to(wide)).to(value.dtype), total


def _merge(a: tuple[Tensor, Tensor], b: tuple[Tensor, Tensor]) -> Tensor:
    """Two attentions over disjoint keys, each with its log-sum-exp, joined into the one over both.

    With weights w = e^{total_a} / (e^{total_a} + e^{total_b}), the joint output is w·a + (1-w)·b.
    """
    (out_a, total_a), (out_b, total_b) = a, b
    weight = torch.sigmoid(total_a - total_b)[..., None]
    return torch.lerp(out_b.to(weight.dtype), out_a.to(weight.dtype), weight).to(out_a.dtype)


def _own(
    q: Tensor, k: Tensor, v: Tensor, scale: float, window: int | None, layout: Layout
) -> tuple[Tensor, Tensor]:
    """Each token over its own sequence: q [H, N, D], k and v [G, N, D] to [H, N, D] and [H, N]."""
    heads, groups = q.shape[0], k.shape[0]
    if layout.gather is None:
        places = layout.depths[None]
        q, k, v = q[None], k[None], v[None]
    else:
        places = layout.depths[layout.gather]
        # [H, N, D] -> [B, H, M, D]
        q, k, v = (x[:, layout.gather].transpose(0, 1) for x in (q, k, v))
    if groups != heads:
        k, v = (x.repeat_interleave(heads // groups, dim=1) for x in (k, v))
    mask = layout.tree
    if window is not None and q.shape[-2] > window:
        near = places[:, None, :, None] - places[:, None, None, :] < window
        if mask is None:
            size = q.shape[-2]
            mask = torch.ones(size, size, dtype=torch.bool, device=q.device).tril()
        mask = mask & near
    out, total = attend(q, k, v, scale, mask, causal=mask is None)
    if layout.scatter is None:
        return out[0], total[0]
    # [B, H, M, D] -> [H, B·M, D] -> [H, N, D]
    out = out.transpose(0, 1).flatten(1, 2)[:, layout.scatter]
    return out, total.transpose(0, 1).flatten(1, 2)[:, layout.scatter]


def _remembered(
    q: Tensor, k: Tensor, v: Tensor, scale: float, window: int | None, depths: Tensor
) -> tuple[Tensor, Tensor]:
    """Each token over the memory: q [H, N, D], k and v [G, L, D] to [H, N, D] and [H, N]."""
    heads, tokens, width = q.shape
    groups, length = k.shape[:2]
    if window is not None and length + int(depths.max()) >= window:
        k, v = (x.repeat_interleave(heads // groups, dim=0) for x in (k, v))
        slots = torch.arange(length, device=q.device)
        near = length + depths[:, None] - slots[None] < window
        out, total = attend_plainly(q[None], k[None], v[None], scale, near[None, None], False)
    else:
        # the query heads that share a key head become further rows: nothing is repeated
        folded = q.reshape(1, groups, heads // groups * tokens, width)
        out, total = attend(folded, k[None], v[None], scale, None, causal=False)
    return out.reshape(heads, tokens, width), total.reshape(heads, tokens)


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
    out, total = _own(q, k, v, scale, sliding_window, current.layout)
    if current.memory is not None:
        past_k = current.memory.keys[current.layer].to(k)
        past_v = current.memory.values[current.layer].to(v)
        if past_k[:, :1].shape != k[:, :1].shape or past_v[:, :1].shape != v[:, :1].shape:
            raise _another(module)
        past = _remembered(q, past_k, past_v, scale, sliding_window, current.layout.depths)
        out = _merge(past, (out, total))
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
        current = _Pass(layout, memory, capture)
        token = _ACTIVE.set(current)
        try:
            logits = self.model(
                input_ids=torch.tensor([tokens], device=device),
                position_ids=(start + layout.depths)[None],
                # a mask of four axes is handed through unread: no mask is ever built
                attention_mask=torch.ones(1, 1, 1, 1, device=device),
                use_cache=False,
                logits_to_keep=rows,
            ).logits[0]
        except IndexError as error:  # of positions that are learnt
            raise UserError(
                f"a prompt of {start + int(layout.depths.max()) + 1} positions does not fit into "
                f"{type(self.model).__name__}: use fewer or shorter demonstrations, which thinking "
                "doubles"
            ) from error
        finally:
            _ACTIVE.reset(token)
        if current.layer != layers:
            raise UserError(
                f"{type(self.model).__name__} passes {current.layer} of its {layers} layers "
                "through transformers' attention interface: its memory cannot be iterated"
            )
        return logits, current.keys, current.values


@contextmanager
def routed(model: PreTrainedModel) -> Iterator[Forward]:
    """Route a model's attention through this module, unchecked: see `support.iterated`."""
    local = [module for module in model.modules() if isinstance(module, GPTNeoSelfAttention)]
    previous = model.config._attn_implementation
    with torch.no_grad():
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
