"""Which models can be iterated: told by their config, or found out by a probe."""

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor
from transformers import PreTrainedModel

from deepthink.engine.decoders.families import decoder_of, is_plain
from deepthink.engine.forward import Forward
from deepthink.engine.layout import Layout, single
from deepthink.engine.memory import Memory
from deepthink.engine.prepack import PackedLinear
from deepthink.engine.routing import routed
from deepthink.errors import UserError, first_line

PROVEN = {"gpt2", "opt", "gpt_neo", "gpt_neox", "llama", "gemma3_text"}
"""Architectures whose numbers the tests prove; others pass a probe before their first use."""


_TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-4}
"""By how much of its length a probe's last hidden state may differ, by what it is computed in."""


_probed: WeakSet[PreTrainedModel] = WeakSet()


def check_model(model: PreTrainedModel) -> None:
    """Raise UserError for what has no output layer, such as a model without its head, or a name.

    >>> check_model("gpt2")
    Traceback (most recent call last):
    deepthink.errors.UserError: str is no causal language model of transformers: …
    """
    head = getattr(model, "get_output_embeddings", lambda: None)
    if head() is None:
        raise UserError(
            f"{type(model).__name__} is no causal language model of transformers: load one with "
            "AutoModelForCausalLM"
        )


def vocabulary(model: PreTrainedModel) -> int:
    """How many tokens a model has an embedding for.

    >>> from transformers import GPT2Config, GPT2LMHeadModel
    >>> vocabulary(GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=11)))
    11
    """
    embedding: Any = model.get_input_embeddings()
    return len(embedding.weight)


def state(model: PreTrainedModel) -> tuple[object, ...]:
    """What changes when the weights of a model, or its mode, are changed: for comparison alone.

    >>> from transformers import GPT2Config, GPT2LMHeadModel
    >>> config = GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=11)
    >>> model = GPT2LMHeadModel(config).eval()
    >>> before = state(model)
    >>> _ = torch.nn.init.zeros_(model.lm_head.weight)
    >>> before == state(model)
    False
    """
    weights = [(weight.data_ptr(), weight._version) for weight in model.parameters()]
    layers = [layer for layer in model.modules() if isinstance(layer, PackedLinear)]
    packed = [(id(layer.weight), layer.weight._version) for layer in layers]
    return model.training, *weights, *packed


@contextmanager
def iterated(model: PreTrainedModel, differentiable: bool = False) -> Iterator[Forward]:
    """Forwards of a model with iterated attention; the model is as before afterwards.

    A model of a known family runs as a decoder made of its modules, see `decoders`. Any other, and
    where gradients are wanted, runs in its own code with its attention routed, see `routing`.

    differentiable: record the forwards for autograd, so that a gradient goes through keys and
    values of every layer to the memory. Weights are frozen meanwhile, and get none. Without it no
    forward is recorded, whatever the caller's grad mode.

    Raises UserError for a model that cannot be iterated: no key/value attention, no route through
    transformers' interface, biases or positions it cannot follow, dropout switched on.

    >>> from transformers import GPT2Config, GPT2LMHeadModel
    >>> config = GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=11)
    >>> model = GPT2LMHeadModel(config).eval()
    >>> with iterated(model) as forward:
    ...     layout = single(3, model.device)
    ...     keys, values = forward.read([5, 6, 7], layout, None, start=0)
    ...     states = forward.states([5, 6, 7], layout, None, start=0, rows=torch.tensor([2]))
    >>> len(keys), keys[0].shape, states.shape, states.requires_grad
    (1, torch.Size([2, 3, 4]), torch.Size([1, 8]), False)
    """
    if model.training:
        name = type(model).__name__
        raise UserError(f"{name} is in training mode, where dropout is random: call model.eval()")
    if model not in _probed:
        _check_held(model)
        _check_direction(model)
        _check_positions(model)
        if model.config.model_type not in PROVEN:
            _probe(model)
        _probed.add(model)
    decoder = None if differentiable else decoder_of(model)
    if decoder is None:
        with routed(model, is_plain(model), differentiable) as forward:
            yield forward
        return
    with torch.no_grad():
        yield Forward(model, decoder.run, plain=True)


def _check_held(model: PreTrainedModel) -> None:
    """Refuse a model whose first weights, those of the tokens, are on no device that computes."""
    if model.device.type == "meta":
        raise UserError(
            f"{type(model).__name__} has no weights where its tokens go in: load them, or, where "
            "accelerate keeps a part in the host's memory, leave the embedding on a device"
        )


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
    branches = Layout(places % 3, (3, 3), 2, places.view(2, 3), places)
    with _widened(model, wide) as last, torch.no_grad():
        with routed(model) as forward:
            keys, values = forward.read(shots, single(length, device), None, start=0)
            memory = Memory(tuple(keys), tuple(values), step=1)
            packed = [*ends[0], *ends[1]]
            ours = last(forward.states(packed, branches, memory, length, rows=places[2::3]))
        prompts = torch.tensor([[*shots, *end] for end in ends], device=device)
        theirs = last(model(prompts, use_cache=False).logits[:, -1])
    return float(((ours - theirs).norm(dim=-1) / theirs.norm(dim=-1)).max())


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
    kept: list[tuple[dict[str, Any], str, Tensor]] = []

    def convert(*_: object) -> None:
        for part in module.modules() if recurse else [module]:
            for name, weight in [*part.named_parameters(recurse=False)]:
                if weight.is_floating_point():
                    kept.append((part._parameters, name, weight))
                    wide = weight.detach().to(dtype)
                    part._parameters[name] = torch.nn.Parameter(wide, requires_grad=False)
            for name, buffer in [*part.named_buffers(recurse=False)]:
                if buffer.is_floating_point():
                    kept.append((part._buffers, name, buffer))
                    part._buffers[name] = buffer.to(dtype)

    def restore(*_: object) -> None:
        for tensors, name, tensor in kept:
            tensors[name] = tensor
        kept.clear()

    return convert, restore
