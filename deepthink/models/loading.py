"""Loading language models: a resolved model is read, checked, and kept in memory."""

import gc
import os
from collections.abc import Callable, Sequence
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
from deepthink.models import checkpoints
from deepthink.models.converting import converted
from deepthink.models.devices import resolve_dtype
from deepthink.models.free_memory import check_memory
from deepthink.models.notices import notice
from deepthink.models.reading import reading
from deepthink.models.resolving import Resolved, check_cached, resolve
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
        return positions_of(self.model)

    @property
    def devices(self) -> tuple[torch.device, ...]:
        """The devices that hold the weights: one, or all over which the model is spread."""
        return devices_of(self.model)


def positions_of(model: PreTrainedModel) -> int | None:
    """How many positions a model knows; None where it names no limit."""
    return getattr(model.config.get_text_config(), "max_position_embeddings", None)


_loaded: dict[tuple[torch.device, ...], LM] = {}


def load(
    model: ModelSpec | Resolved, *devices: torch.device, tell: Callable[[str], object] = print
) -> LM:
    """Load a model, frozen and in eval mode, or return it if it was the last one loaded.

    It is returned from memory only if it is in the very state that is asked for: that of the files
    now, or the one that was resolved before; and if its weights were not changed since. Weights
    come from the hub (its cache, or the network), a local folder or an installed package. Code from
    a repository is never run, and pickled weights are read as plain tensors only.

    tell: is given a line where the weights are converted anew or have terms of use.
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
    tokenizer, weights = read(wanted, devices, tell)
    with iterated(weights):  # refuses what cannot be iterated
        pass
    if (said := notice(weights.config, wanted.spec.name)) is not None:
        tell(said)
    packed = _independent(prepack(weights))
    if resolve(wanted.spec) != wanted:
        raise UserError(
            f"the files of {wanted.spec.hub_id} changed while they were read or since the job "
            "began: the same command starts again, with those that are there now"
        )
    _loaded[devices] = LM(packed, tokenizer, wanted, state(packed))
    return _loaded[devices]


def unload() -> None:
    """Forget the models that were loaded, and free their memory."""
    if not _loaded:
        return
    _loaded.clear()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()  # otherwise what they held counts as used


def load_plain(
    model: ModelSpec | Resolved, *devices: torch.device, tell: Callable[[str], object] = print
) -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
    """A tokenizer and a model as transformers has them, neither tested for iterating nor packed."""
    tokenizer, weights = read(_resolved(model), devices, tell)
    return tokenizer, _independent(weights)


def read(
    wanted: Resolved, devices: Sequence[torch.device], tell: Callable[[str], object]
) -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
    """As `load_plain`, but on a CPU the weights may still be a view of their files.

    What is packed is copied anyhow, so `load` copies only the rest.
    """
    spec, options, where = wanted.spec, wanted.options, wanted.place
    dtype = getattr(torch, resolve_dtype(spec.dtype, devices[0]))
    with reading(spec):
        if wanted.gguf:
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
        check_cached(wanted)
        checkpoints.check_tensors(weights, report, spec.hub_id)
        if placed is not None:
            keep_own_copies(weights)
        else:
            weights.to(devices[0])
    return tokenizer, weights.eval().requires_grad_(False)


def _independent(model: PreTrainedModel) -> PreTrainedModel:
    """The model, no longer following its files should they be written again."""
    if model.device.type == "cpu":  # elsewhere it is a copy already
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.data = tensor.data.clone()
    return model


def fetch(spec: ModelSpec) -> None:
    """Bring a model's files to this machine without loading the weights; errors as in `load`."""
    with reading(spec):
        model = resolve(spec)
        if model.gguf:
            converted(model.gguf, model.name, print)
        elif model.commit is not None:
            names = list_repo_files(model.place, revision=model.commit)
            weights = "*.safetensors" if any(n.endswith(".safetensors") for n in names) else "*.bin"
            patterns = ["*.json", "*.txt", "*.model", "*.jinja", weights]
            snapshot_download(model.place, revision=model.commit, allow_patterns=patterns)


def _resolved(model: ModelSpec | Resolved) -> Resolved:
    return model if isinstance(model, Resolved) else resolve(model)
