"""`deepthink.load`: a model and its tokenizer by one name, without a config."""

import os
import re
import sys
from dataclasses import replace
from difflib import get_close_matches
from os import PathLike, fspath
from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from deepthink.config import search
from deepthink.config.checks import check_choice, check_text, plain_name
from deepthink.config.job import DEVICES, ModelSpec
from deepthink.config.models import gguf_name
from deepthink.config.overrides import compose
from deepthink.errors import UserError, shown
from deepthink.files import at_home
from deepthink.models import loading
from deepthink.models.devices import resolve_devices

_CARD = re.compile(r"cuda:(\d+)")


def load(
    name: str | PathLike[str] = "smollm2-135m",
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    revision: str | None = None,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a causal language model that can think, and its tokenizer.

    The model is frozen and in eval mode, and was compared with its own code, as a job's model is.
    A model that was the last one loaded comes from memory.

        >>> model, tokenizer = load("smollm2-135m")  # doctest: +SKIP

    Args:
        name: one of the models that `model=` names, such as "smollm2-135m" (`deepthink --help`
            lists them); an id of the Hugging Face hub, owner/name; the path of a folder to which
            `save_pretrained` wrote; or the path of a .gguf file.
        device: "auto" (CUDA, then Apple's GPU, then the CPU), "cpu", "cuda", "cuda:1", "mps", or
            "spread" over all GPUs and the host's memory.
        dtype: "auto" (bfloat16 on CUDA, float32 elsewhere), "float32", "bfloat16" or "float16".
        revision: a branch, tag or commit of a model of the hub; None is its newest state, or the
            one that the named model's config has.

    Returns:
        The model and the tokenizer, as transformers has them. On a CPU the linear layers of a
        float32 model are packed for speed.

    Raises:
        UserError: there is no such model, it cannot be reached or read, does not fit into memory,
            or cannot be iterated; or a device or dtype that does not exist here.
    """
    spec = _spec(name, _word(dtype), revision)
    lm = loading.load(spec, *_devices(device), tell=_tell)
    return lm.model, lm.tokenizer


def _tell(line: str) -> None:
    print(line, file=sys.stderr)


def _word(dtype: str | torch.dtype) -> str:
    return str(dtype).removeprefix("torch.") if isinstance(dtype, torch.dtype) else dtype


def _devices(device: str | torch.device) -> tuple[torch.device, ...]:
    word = str(device)
    if (card := _CARD.fullmatch(word)) is None:
        check_choice("device", word, DEVICES)
        return resolve_devices(word)
    if int(card[1]) >= (count := torch.cuda.device_count()):
        raise UserError(f"device is {word}, but PyTorch sees {count} CUDA devices: use 'auto'")
    return (torch.device(word),)


def _spec(name: object, dtype: str, revision: str | None) -> ModelSpec:
    """The model that a name stands for; UserError if it can be none."""
    if not isinstance(name, str | PathLike) or not (text := str(fspath(name))).strip():
        raise UserError(f"the name of a model is a text, not {shown(name)}")
    check_text("the name of a model", text)
    if isinstance(name, str) and text in search.names("model"):
        known = compose([f"model={text}"]).model
        return replace(known, dtype=dtype, revision=revision or known.revision)
    path = Path(at_home(text))
    if path.suffix.lower() == ".gguf":
        return _local(gguf_name(path.name), path, dtype, revision)
    if os.path.exists(path):  # noqa: PTH110 (Path.exists raises for a name that is too long)
        return _local(plain_name(path.resolve().name), path, dtype, revision)
    if text.startswith((".", "~", "/")) or isinstance(name, PathLike) or text.count("/") > 1:
        raise UserError(f"there is no folder '{path}', and no GGUF file")
    if "/" not in text:
        raise _unknown(text)
    return ModelSpec(plain_name(text), text, revision or "main", None, dtype)


def _local(name: str, path: Path, dtype: str, revision: str | None) -> ModelSpec:
    if revision is not None:
        raise UserError(f"revision is {shown(revision)}, but {path} is no model of the hub")
    return ModelSpec(name, str(path), "main", None, dtype)


def _unknown(name: str) -> UserError:
    names = search.names("model")
    near = get_close_matches(name, names, n=3, cutoff=0.5)
    meant = f"did you mean {' or '.join(near)}? " if near else ""
    return UserError(
        f"there is no model '{name}': {meant}It may be {', '.join(names)}, an id of the hub "
        "(owner/name), or the path of a folder or of a .gguf file"
    )
