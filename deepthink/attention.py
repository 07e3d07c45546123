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
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor
from transformers import AttentionInterface, PreTrainedModel
from transformers.models.gpt_neo.modeling_gpt_neo import GPTNeoSelfAttention

from deepthink.errors import UserError, first_line
from deepthink.memory import Memory
from deepthink.structures import Tokens

PROVEN = {"gpt2", "opt", "gpt_neo", "gpt_neox", "llama"}
"""Architectures whose numbers the tests prove; others pass a probe before their first use."""

_TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-4}
"""By how much of its length a probe's last hidden state may differ, by what it is computed in."""

_probed: WeakSet[PreTrainedModel] = WeakSet()

_IMPLEMENTATION = "deepthink_iterated"
_UNSUPPORTED = ("softcap", "s_aux", "position_bias", "head_mask")


@dataclass(frozen=True)
class Layout:
    """Where the N packed tokens of a forward stand in their B sequences of at most M tokens.

    depths: [N], a token's place in its own sequence (0 = first), which sets position and slot.
    gather: [B, M], the packed index at each place (0 where a sequence is shorter), or None when
        there is one sequence only.
    scatter: [N], the inverse: each token's index into B·M.
    tree: [B, 1, M, M] bool, True where the row token sees the column token; None if plainly causal.
    """

    depths: Tensor
    gather: Tensor | None = None
    scatter: Tensor | None = None
    tree: Tensor | None = None


def check_model(model: PreTrainedModel) -> None:
    """Raise UserError for what has no output layer, such as a model without its head, or a name."""
    head = getattr(model, "get_output_embeddings", lambda: None)
    if head() is None:
        raise UserError(
            f"{type(model).__name__} is no causal language model of transformers: load one with "
            "AutoModelForCausalLM"
        )


def vocabulary(model: PreTrainedModel) -> int:
    """How many tokens a model has an embedding for."""
    embedding: Any = model.get_input_embeddings()
    return len(embedding.weight)


def single(length: int, device: torch.device) -> Layout:
    """The layout of one causal sequence."""
    return Layout(torch.arange(length, device=device))


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
def iterated(model: PreTrainedModel) -> Iterator[Forward]:
    """Route the model's attention through this module, and restore it afterwards.

    Raises UserError for a model that cannot be iterated: no key/value attention, no route through
    transformers' interface, biases or positions it cannot follow, dropout switched on.
    """
    if model.training:
        name = type(model).__name__
        raise UserError(f"{name} is in training mode, where dropout is random: call model.eval()")
    if model not in _probed:
        _check_direction(model)
        _check_positions(model)
        if model.config.model_type not in PROVEN:
            _probe(model)
        _probed.add(model)
    with _routed(model) as forward:
        yield forward


@contextmanager
def _routed(model: PreTrainedModel) -> Iterator[Forward]:
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


def _check_direction(model: PreTrainedModel) -> None:
    """Refuse an encoder: its tokens see those that follow them, so no memory comes before them."""
    causal = [m.is_causal for m in model.modules() if isinstance(getattr(m, "is_causal", 0), bool)]
    if causal and not any(causal):
        raise UserError(
            f"{type(model).__name__} is an encoder, whose tokens see those that follow them: what "
            "is needed is a decoder, such as GPT-2 or LLaMA"
        )


def _check_positions(model: PreTrainedModel) -> None:
    """Refuse what depends on a sequence's length or blocks, which packed tokens do not have."""
    name, told = type(model).__name__, model.config.get_text_config().to_dict()
    for kind in ("dynamic", "longrope"):
        if any(kind in (rope.get("rope_type"), rope.get("type")) for rope in _ropes(told)):
            raise UserError(f"{name} has {kind} rotary positions, which are not supported")
    chunks = "chunked_attention" in (told.get("layer_types") or ())
    if chunks or told.get("attention_chunk_size"):
        raise UserError(f"{name} attends in chunks, which is not supported")


def _ropes(told: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What a config says of rotary positions: once, or for each type of layers."""
    for rope in (told.get("rope_parameters"), told.get("rope_scaling")):
        if isinstance(rope, dict):
            yield rope
            yield from (inner for inner in rope.values() if isinstance(inner, dict))


def _reach(model: PreTrainedModel) -> int:
    """The longest window of a model's config that a prompt can be longer than; 0 without one."""
    told = model.config.get_text_config().to_dict()
    limit = told.get("max_position_embeddings") or math.inf
    named = [value for key, value in told.items() if key.endswith(("window", "window_size"))]
    values = [one for value in named for one in (value if isinstance(value, list) else [value])]
    return max((one for one in values if type(one) is int and one < limit), default=0)


def _probe(model: PreTrainedModel) -> None:
    """Does the model, seen through iterated attention, compute what its own code computes?

    Catches what no interface announces, such as alibi biases, or a window of which only the model's
    own mask knows. Raises UserError with the reason.
    """
    name, wide = type(model).__name__, torch.float64
    try:
        try:
            apart = _apart(model, wide)
        except (RuntimeError, TypeError):  # some kernels, and some devices, have no float64
            wide = torch.float32
            apart = _apart(model, wide)
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"{name} cannot be iterated: its forward does not take packed tokens "
            f"({first_line(error)})"
        ) from error
    if not apart <= _TOLERANCE[wide]:
        raise UserError(
            f"{name} cannot be iterated: a probe's hidden states through iterated attention and "
            f"in the model's own code are {apart:.2g} of their length apart"
        )


def _apart(model: PreTrainedModel, wide: torch.dtype) -> float:
    """How far iterated attention is from the model's own code, of the last hidden states' length.

    Two short sequences are read after a memory, and each as the end of a plain prompt. They are
    longer than every window. All is computed in a wide dtype, whatever the weights' own: in half
    precision nothing could be told from rounding.
    """
    device = model.device
    embedding: Any = model.get_input_embeddings()
    rows = len(embedding.weight)
    length, ends = max(_reach(model), 3) + 3, ((4, 7, 11), (13, 5, 8))
    shots = [(7 * i * i + i + 5) % min(rows, 83) for i in range(length)]
    places = torch.arange(6, device=device)
    branches = Layout(places % 3, places.view(2, 3), places)
    with _widened(model, wide) as last, torch.no_grad():
        with _routed(model) as forward:
            _, keys, values = forward(shots, single(length, device), None, start=0, capture=True)
            memory = Memory(tuple(keys), tuple(values), step=1)
            packed = [*ends[0], *ends[1]]
            logits, _, _ = forward(packed, branches, memory, length, rows=places[2::3])
            ours = last(logits)
        if len(logits) != len(ends):
            raise UserError(f"{type(model).__name__} does not keep the logits that are asked for")
        prompts = torch.tensor([[*shots, *end] for end in ends], device=device)
        theirs = last(model(prompts, use_cache=False).logits[:, -1])
    return ((ours - theirs).norm(dim=-1) / theirs.norm(dim=-1)).max().item()


@contextmanager
def _widened(model: PreTrainedModel, dtype: torch.dtype) -> Iterator[Callable[[Tensor], Tensor]]:
    """Have a model compute in another precision, one layer's weights at a time.

    Embeddings are looked up as they are and then converted; the output layer is left as it is, and
    what it was given is taken. Yields a function from a forward's logits [B, V] to what is compared
    of it, [B, …]. The weights are the model's own again afterwards, to the bit.
    """
    layers = model.config.get_text_config().num_hidden_layers
    stacks = [m for m in model.modules() if isinstance(m, torch.nn.ModuleList)]
    blocks = list(next((stack for stack in stacks if len(stack) == layers), []))
    inside = {module for block in blocks for module in block.modules()}
    head: Any = model.get_output_embeddings()
    given: list[Tensor] = []

    def take(_head: torch.nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        given.append(args[0])
        return (args[0].to(head.weight.dtype), *args[1:])

    def last(logits: Tensor) -> Tensor:
        states = given.pop() if given else logits
        given.clear()
        return states.reshape(len(logits), -1, states.shape[-1])[:, -1].to(dtype)

    with ExitStack() as stack:
        for block in blocks:
            before, after = _conversion(block, dtype)
            stack.callback(after)
            hooks = block.register_forward_pre_hook(before), block.register_forward_hook(after)
            for hook in hooks:
                stack.callback(hook.remove)
        for module in model.modules():
            if module is head:
                stack.callback(module.register_forward_pre_hook(take).remove)
            elif isinstance(module, torch.nn.Embedding):
                hook = module.register_forward_hook(lambda _m, _args, out: out.to(dtype))
                stack.callback(hook.remove)
            elif module not in inside:
                before, after = _conversion(module, dtype, recurse=False)
                before()
                stack.callback(after)
        yield last


def _conversion(
    module: torch.nn.Module, dtype: torch.dtype, recurse: bool = True
) -> tuple[Callable[..., None], Callable[..., None]]:
    """Two functions: one converts a module's own or all its tensors, one puts the old ones back."""
    parameters: list[tuple[Tensor, Tensor]] = []
    buffers: list[tuple[torch.nn.Module, str, Tensor]] = []

    def convert(*_: object) -> None:
        for one in module.modules() if recurse else [module]:
            for parameter in one.parameters(recurse=False):
                if parameter.is_floating_point():
                    parameters.append((parameter, parameter.data))
                    parameter.data = parameter.data.to(dtype)
            for name, buffer in one.named_buffers(recurse=False):
                if buffer.is_floating_point():
                    buffers.append((one, name, buffer))
                    one._buffers[name] = buffer.to(dtype)

    def restore(*_: object) -> None:
        for parameter, data in parameters:
            parameter.data = data
        for one, name, buffer in buffers:
            one._buffers[name] = buffer
        parameters.clear()
        buffers.clear()

    return convert, restore
