"""Whether a checkpoint fits its config. What does not fit is said in one line, before any work."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import align_module_device
from safetensors import safe_open
from torch import Tensor
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from deepthink.errors import UserError
from deepthink.models.resolving import read_json, weight_files

_LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
_BUFFERS = ("inv_freq", "masked_bias")
"""Endings of what older versions of transformers saved beside the weights."""


def check_layers(folder: Path) -> None:
    """Raise UserError if the config names more layers than there are tensors in the files.

    Every layer has at least one tensor. Building a model of a million layers would take hours.
    """
    config = folder / "config.json"
    tensors = [names for path in weight_files(folder) if (names := _names(path)) is not None]
    if not tensors or not config.is_file():
        return
    count = sum(map(len, tensors))
    for name, layers in _layers(read_json(config)):
        if layers > count:
            raise UserError(
                f"{config} says {name}={layers}, but the weights beside it hold {count} tensors: "
                "they belong to another model, or the config was edited"
            )


def _names(path: Path) -> list[str] | None:
    """The names of the tensors in a file of safetensors, from its header; None for other files."""
    if path.suffix != ".safetensors" or not path.is_file():
        return None
    with safe_open(path, "pt") as file:
        return list(file.keys())


def _layers(value: Any) -> Iterator[tuple[str, int]]:
    """Every number of layers in a config and the configs nested in it, with its key."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in _LAYERS and isinstance(inner, int):
                yield key, inner
            yield from _layers(inner)


def check_kind(config: PretrainedConfig, name: str) -> None:
    """Raise UserError if a config is not that of a causal language model."""
    if config.is_encoder_decoder:
        raise UserError(
            f"{name} is an encoder-decoder model ({config.model_type}): what is needed is a "
            "decoder alone, such as GPT-2 or LLaMA"
        )
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise UserError(
            f"{name} is a {config.model_type} model, which transformers does not know as a causal "
            "language model: choose one such as GPT-2 or LLaMA"
        )


def check_tokenizer(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, name: str) -> None:
    """Raise UserError if a text can become tokens for which the model has no embedding.

    Special tokens, such as one for padding that was added later, are ignored, because a text never
    becomes them. Those that the tokenizer puts before every text do count.
    """
    special = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    ordinary = set(tokenizer.get_vocab().values()) - special
    weight: Any = model.get_input_embeddings().weight
    rows = len(weight)
    beyond = max(ordinary | set(tokenizer("x")["input_ids"]), default=0)
    if beyond >= rows:
        raise UserError(
            f"the tokenizer of {name} has tokens up to number {beyond}, but the model's embedding "
            f"has {rows} rows: they do not belong together (resize_token_embeddings adds rows)"
        )


def check_tensors(model: PreTrainedModel, report: dict[str, Any], name: str) -> None:
    """Raise UserError if the files lack tensors of the model, hold others, or hold no numbers.

    report: the loading info of `from_pretrained`.
    """
    for what, names in (
        ("are missing", sorted(report["missing_keys"])),
        (
            "have another shape than the config says",
            sorted(k for k, *_ in report["mismatched_keys"]),
        ),
        ("are not in the model that the config describes", _left_over(model, report)),
    ):
        if names:
            raise UserError(
                f"the weights of {name} do not fit its config: {len(names)} tensors {what} "
                f"({names[0]}{', …' if len(names) > 1 else ''})"
            )
    if report.get("error_msgs"):
        raise UserError(f"the weights of {name} cannot be read: {report['error_msgs'][0]}")
    _check_numbers(model, name)


def _left_over(model: PreTrainedModel, report: dict[str, Any]) -> list[str]:
    """Unexpected tensors that would change the numbers, because they belong to the model's layers.

    Others belong to something that the language model is a part of, such as a vision tower.
    """
    modules = dict(model.named_modules())
    layers = {kind for kind in map(_kind, modules) if kind.endswith("#")}
    weighted = {name for name, module in modules.items() if [*module.parameters(recurse=False)]}
    extra = set(report["unexpected_keys"])
    left_over = []
    for key in extra:
        parent, _, last = key.rpartition(".")
        mask = last == "bias" and parent not in weighted and f"{parent}.weight" not in extra
        layer = _kind(key).partition("#")[0] + "#"
        if (parent in weighted or layer in layers) and not mask and last not in _BUFFERS:
            left_over.append(key)
    return sorted(left_over)


def _kind(name: str) -> str:
    """A tensor's name without the number of its layer."""
    return re.sub(r"\b\d+\b", "#", name)


def _check_numbers(model: PreTrainedModel, name: str) -> None:
    zero = True
    for key, weight in _weights(model):
        if weight.is_meta or not weight.numel() or not weight.is_floating_point():
            continue
        least, most = torch.aminmax(weight.detach())
        if not bool(torch.isfinite(least) & torch.isfinite(most)):
            raise UserError(f"the weights of {name} are damaged: {key} holds NaN or infinity")
        zero = zero and float(least) == float(most) == 0
    if zero:
        raise UserError(f"the weights of {name} are all zero: it was never trained or filled")


def _weights(model: PreTrainedModel) -> Iterator[tuple[str, Tensor]]:
    """Every weight and its name. Those that wait in the host's memory are brought to their GPU."""
    seen: set[int] = set()
    for place, module in model.named_modules():
        waiting = dict(module.named_parameters(recurse=False))  # these objects stay, others do not
        names = [name for name, weight in waiting.items() if id(weight) not in seen]
        seen.update(map(id, waiting.values()))
        with align_module_device(module):
            for name in names:
                yield f"{place}.{name}", getattr(module, name)
