"""Loading language models: a resolved model is read, checked, and kept in memory."""

import gc
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from huggingface_hub import list_repo_files, snapshot_download
from huggingface_hub.utils import logging as hub_logging
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from deepthink.config.job import ModelSpec
from deepthink.engine.prepack import prepack
from deepthink.engine.support import iterated, state
from deepthink.errors import UserError
from deepthink.models import checkpoints, resolving
from deepthink.models.converting import converted
from deepthink.models.faults import in_one_line, quietly
from deepthink.models.free_memory import check_memory, every_device
from deepthink.models.resolving import Resolved
from deepthink.models.spreading import devices_of, keep_own_copies, placement

# errors are said once, in one line, by `faults.explain`
hub_logging.set_verbosity_error()
# the hub would be asked, on a background thread, to convert repositories without safetensors
os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")


@dataclass(frozen=True)
class LM:
    """A frozen language model ready to think, and the state of its files that was read.

    state: the model's own when it was loaded, see `support.state`.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    resolved: Resolved
    state: tuple[object, ...]

    @property
    def positions(self) -> int | None:
        """How many positions the model knows; None where it names no limit."""
        return getattr(self.model.config.get_text_config(), "max_position_embeddings", None)

    @property
    def devices(self) -> tuple[torch.device, ...]:
        """The devices that hold the weights: one, or all over which the model is spread."""
        return devices_of(self.model)


def resolve_devices(device: str) -> tuple[torch.device, ...]:
    """The devices a config names: one, or for "spread" every GPU and then the host's memory."""
    first = resolve_device(device)
    return every_device() if device == "spread" else (first,)


def resolve_device(device: str) -> torch.device:
    """The device a config names, for "spread" the first of all.

    "auto" prefers CUDA, then Apple's GPU, then the CPU.
    """
    if device == "spread":
        if not torch.cuda.is_available():
            raise UserError("device=spread is for GPUs, and PyTorch sees none: use device=auto")
        return every_device()[0]
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        return torch.device(next((name for name, there in available.items() if there), "cpu"))
    if not available.get(device, True):
        raise UserError(f"device={device} was asked for, but PyTorch sees none: use device=auto")
    return torch.device(device)


def resolve_dtype(dtype: str, device: torch.device) -> str:
    """The dtype a config names; "auto" is bfloat16 on CUDA and float32 elsewhere.

    >>> resolve_dtype("auto", torch.device("cpu"))
    'float32'
    """
    if dtype != "auto":
        return dtype
    return "bfloat16" if device.type == "cuda" else "float32"


_loaded: dict[tuple[torch.device, ...], LM] = {}


def load(
    model: ModelSpec | Resolved, *devices: torch.device, tell: Callable[[str], object] = print
) -> LM:
    """Load a model, frozen and in eval mode, or return it if it was the last one loaded.

    It is returned from memory only if it is in the very state that is asked for: that of the files
    now, or the one that was resolved before; and if its weights were not changed since. Weights
    come from the hub (its cache, or the network), a local folder or an installed package. Code from
    a repository is never run, and pickled weights are read as plain tensors only.

    devices: one, or the GPUs over which the layers are spread, with the CPU for the host's memory.

    Raises:
        UserError: the model is not installed, not cached without a network, gated, unknown, or
            cannot be iterated; or its files changed since they were resolved.
    """
    wanted = _resolved(model)
    last = _loaded.get(devices)
    if last is not None and last.resolved == wanted and last.state == state(last.model):
        return last
    del last
    unload()  # before the next is read, because two may not fit
    tokenizer, weights = load_plain(wanted, *devices, tell=tell)
    with iterated(weights):  # refuses what cannot be iterated
        pass
    if resolve(wanted.spec) != wanted:
        raise UserError(
            f"the files of {wanted.spec.hub_id} changed while they were read or since the job "
            "began: the same command starts again, with those that are there now"
        )
    packed = prepack(weights)
    _loaded[devices] = LM(packed, tokenizer, wanted, state(packed))
    return _loaded[devices]


def unload() -> None:
    """Forget the models that were loaded, and free their memory."""
    _loaded.clear()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()  # otherwise what they held counts as used


def load_plain(
    model: ModelSpec | Resolved, *devices: torch.device, tell: Callable[[str], object] = print
) -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
    """A tokenizer and a model as transformers has them, neither tested for iterating nor packed."""
    wanted = _resolved(model)
    spec, options, where = wanted.spec, wanted.options, wanted.place
    dtype = getattr(torch, resolve_dtype(spec.dtype, devices[0]))
    with in_one_line(spec), quietly():
        if wanted.gguf is not None:
            where = str(converted(wanted.gguf, wanted.name, tell))
        else:
            checkpoints.check_layers(wanted.folder)
        config = AutoConfig.from_pretrained(where, **options)
        checkpoints.check_kind(config, spec.hub_id)
        with torch.device("meta"):
            empty = AutoModelForCausalLM.from_config(config, dtype=dtype)
        placed = None
        if len(devices) > 1:
            placed = placement(spec, empty, devices)
        else:
            check_memory(spec, empty, dtype, devices[0])
        tokenizer = AutoTokenizer.from_pretrained(where, **options)
        checkpoints.check_tokenizer(tokenizer, empty, spec.hub_id)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            where,
            config=config,
            dtype=dtype,
            device_map=placed,
            weights_only=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # said in one line by what follows
            **options,
        )
        weights, report = loaded
        resolving.check_cached(wanted)
        checkpoints.check_tensors(weights, report, spec.hub_id)
        if placed is not None:
            keep_own_copies(weights)
        else:
            weights.to(devices[0])
        if weights.device.type == "cpu":  # or it follows its files, should they be written again
            for tensor in (*weights.parameters(), *weights.buffers()):
                tensor.data = tensor.data.clone()
    return tokenizer, weights.eval().requires_grad_(False)


def fetch(spec: ModelSpec) -> None:
    """Bring a model's files to this machine without loading the weights; errors as in `load`."""
    with in_one_line(spec), quietly():
        model = resolve(spec)
        if model.gguf is not None:
            converted(model.gguf, model.name, print)
        elif model.commit is not None:
            names = list_repo_files(model.place, revision=model.commit)
            weights = "*.safetensors" if any(n.endswith(".safetensors") for n in names) else "*.bin"
            patterns = ["*.json", "*.txt", "*.model", weights]
            snapshot_download(model.place, revision=model.commit, allow_patterns=patterns)


def resolve(spec: ModelSpec) -> Resolved:
    """The model as `resolving.resolve` finds it; every error is a UserError of one line."""
    with in_one_line(spec):
        return resolving.resolve(spec)


def _resolved(model: ModelSpec | Resolved) -> Resolved:
    return model if isinstance(model, Resolved) else resolve(model)
