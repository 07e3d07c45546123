"""Which models can be iterated: told by their config, or found out by a probe."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

import torch
from transformers import PreTrainedModel

from deepthink.engine.decoders.families import decoder_of, is_plain
from deepthink.engine.forward import Forward
from deepthink.engine.prepack import PackedLinear
from deepthink.engine.probing import probe
from deepthink.engine.routing import routed
from deepthink.errors import UserError

PROVEN = {"gpt2", "opt", "gpt_neo", "gpt_neox", "llama", "gemma3_text"}
"""Architectures whose numbers the tests prove; others pass a probe before their first use."""


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


def check_evaluating(model: PreTrainedModel) -> None:
    """Raise UserError for a model in training mode, where dropout is random.

    >>> from transformers import GPT2Config, GPT2LMHeadModel
    >>> config = GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=11)
    >>> check_evaluating(GPT2LMHeadModel(config).eval())
    """
    if model.training:
        name = type(model).__name__
        raise UserError(f"{name} is in training mode, where dropout is random: call model.eval()")


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
def iterated(
    model: PreTrainedModel, differentiable: bool = False, own_code: bool = False
) -> Iterator[Forward]:
    """Forwards of a model with iterated attention; the model is as before afterwards.

    A model of a known family runs as a decoder made of its modules, see `decoders`. Any other, and
    where gradients are wanted, runs in its own code with its attention routed, see `routing`.

    differentiable: record the forwards for autograd, so that a gradient goes through keys and
    values of every layer to the memory. Weights are frozen meanwhile, and get none. Without it no
    forward is recorded, whatever the caller's grad mode.
    own_code: run any model in its own code, in which hooks of the caller are called.

    Raises UserError for a model that cannot be iterated: no key/value attention, no route through
    transformers' interface, biases or positions it cannot follow, dropout switched on.

    >>> from transformers import GPT2Config, GPT2LMHeadModel
    >>> config = GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=11)
    >>> model = GPT2LMHeadModel(config).eval()
    >>> from deepthink.engine.layout import single
    >>> with iterated(model) as forward:
    ...     layout = single(3, model.device)
    ...     keys, values = forward.read([5, 6, 7], layout, None, start=0)
    ...     states = forward.states([5, 6, 7], layout, None, start=0, rows=torch.tensor([2]))
    >>> len(keys), keys[0].shape, states.shape, states.requires_grad
    (1, torch.Size([2, 3, 4]), torch.Size([1, 8]), False)
    """
    check_evaluating(model)
    if model not in _probed:
        _check_held(model)
        _check_direction(model)
        _check_positions(model)
        if model.config.model_type not in PROVEN:
            probe(model)
        _probed.add(model)
    decoder = None if differentiable or own_code else decoder_of(model)
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
