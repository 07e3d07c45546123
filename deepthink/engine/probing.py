"""Before its first use a model is compared with its own code, unless tests prove its family."""

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from deepthink.engine.layout import Layout, single
from deepthink.engine.memory import Memory
from deepthink.engine.routing import routed
from deepthink.errors import UserError, first_line

_TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-4}
"""By how much of its length a probe's last hidden state may differ, by what it is computed in."""


_LOGITS_TOLERANCE = {torch.bfloat16: 0.2, torch.float16: 0.05}
"""By how many nats log p may differ, where logits of the model's own dtype are coarse."""


def windows(model: PreTrainedModel) -> list[int]:
    """The sliding windows that a model's config names and a prompt can be longer than.

    >>> from transformers import MistralConfig, MistralForCausalLM
    >>> config = MistralConfig(num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1,
    ...                        hidden_size=8, intermediate_size=8, vocab_size=9, sliding_window=6)
    >>> windows(MistralForCausalLM(config))
    [6]
    """
    told = model.config.get_text_config().to_dict()
    limit = told.get("max_position_embeddings") or math.inf
    named = [value for key, value in told.items() if key.endswith(("window", "window_size"))]
    values = [one for value in named for one in (value if isinstance(value, list) else [value])]
    return [one for one in values if type(one) is int and one < limit]


def probe(model: PreTrainedModel) -> None:
    """Does the model, seen through iterated attention, compute what its own code computes?

    Catches what no interface announces, such as alibi biases, or a window of which only the model's
    own mask knows. Raises UserError with the reason.

    >>> from transformers import GPT2Config, GPT2LMHeadModel
    >>> probe(GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=29)).eval())
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
    if not (apart := _logs_apart(model)) <= _LOGITS_TOLERANCE.get(model.dtype, 1e-3):
        raise UserError(
            f"{name} cannot be iterated: the log-probabilities made of its hidden states and its "
            f"own are {apart:.2g} apart"
        )


def _logs_apart(model: PreTrainedModel) -> float:
    """How far log p of some words is from the model's own, in nats, after a short prompt."""
    embedding: Any = model.get_input_embeddings()
    size = min(len(embedding.weight), 97)
    prompt, words = [token % size for token in (4, 7, 11, 5)], range(size)
    rows = torch.tensor([len(prompt) - 1], device=model.device)
    with torch.no_grad():
        theirs = model(torch.tensor([prompt], device=model.device), use_cache=False).logits[0, -1]
        with routed(model) as forward:
            states = forward.states(prompt, single(len(prompt), model.device), None, 0, rows)
            ours = forward.log_probabilities(states, [0] * size, words)
    logs = theirs.to(torch.promote_types(theirs.dtype, torch.float32)).log_softmax(-1)
    return float((ours - logs[:size].to(ours.device)).abs().max())


def _apart(model: PreTrainedModel, wide: torch.dtype) -> float:
    """How far iterated attention is from the model's own code, of the last hidden states' length.

    Two short sequences are read after a memory, and each as the end of a plain prompt. They are
    longer than every window. All is computed in a wide dtype, whatever the weights' own: in half
    precision nothing could be told from rounding.
    """
    device = model.device
    embedding: Any = model.get_input_embeddings()
    rows = len(embedding.weight)
    length, ends = max([3, *windows(model)]) + 3, ((4, 7, 11), (13, 5, 8))
    shots = [(7 * i * i + i + 5) % min(rows, 83) for i in range(length)]
    places = torch.arange(6, device=device)
    branches = Layout(places % 3, (3, 3), 2, places.view(2, 3), places)
    with widened(model, wide) as last, torch.no_grad():
        with routed(model) as forward:
            keys, values = forward.read(shots, single(length, device), None, start=0)
            memory = Memory(tuple(keys), tuple(values), step=1)
            packed = [*ends[0], *ends[1]]
            ours = last(forward.states(packed, branches, memory, length, rows=places[2::3]))
        prompts = torch.tensor([[*shots, *end] for end in ends], device=device)
        theirs = last(model(prompts, use_cache=False).logits[:, -1])
    return float(((ours - theirs).norm(dim=-1) / theirs.norm(dim=-1)).max())


@contextmanager
def widened(model: PreTrainedModel, dtype: torch.dtype) -> Iterator[Callable[[Tensor], Tensor]]:
    """Have a model compute in another precision, one layer's weights at a time.

    Embeddings are looked up as they are and then converted; the output layer is left as it is, and
    what it was given is taken. Yields a function from a forward's logits [B, V] to what is compared
    of it, [B, …]. The weights are the model's own again afterwards, to the bit.

    >>> from transformers import GPT2Config, GPT2LMHeadModel
    >>> model = GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=29)).eval()
    >>> with widened(model, torch.float64) as last, torch.no_grad():
    ...     last(model(torch.tensor([[5, 6]]), use_cache=False).logits[:, -1]).dtype
    torch.float64
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
