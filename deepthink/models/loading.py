"""Loading language models: what was resolved is read, checked, and kept in memory."""

import errno
import gc
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from logging import CRITICAL
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import psutil
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
from transformers.utils import logging as transformers_logging

from deepthink import hub
from deepthink.config.job import ModelSpec
from deepthink.engine.out_of_memory import allocating
from deepthink.engine.prepack import prepack
from deepthink.engine.support import iterated
from deepthink.errors import UserError, first_line
from deepthink.installation import called
from deepthink.models import checkpoints, resolving
from deepthink.models.converting import converted
from deepthink.models.resolving import Resolved, asked_by

# what goes wrong is told once, in one line, by `explain`
hub_logging.set_verbosity_error()
# the hub would be asked, on a background thread, to convert repositories without safetensors
os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")


@dataclass(frozen=True)
class LM:
    """A frozen language model ready to think."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    found: Resolved

    @property
    def positions(self) -> int | None:
        """How many positions the model knows; None where it names no limit."""
        return getattr(self.model.config.get_text_config(), "max_position_embeddings", None)


def resolve_device(device: str) -> torch.device:
    """The device a config names; "auto" prefers CUDA, then Apple's, then the CPU."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        return torch.device(next((name for name, there in available.items() if there), "cpu"))
    if not available.get(device, True):
        raise UserError(f"device={device} was asked for, but PyTorch sees none: use device=auto")
    return torch.device(device)


def resolve_dtype(dtype: str, device: torch.device) -> str:
    """The dtype a config names; "auto" is bfloat16 on CUDA and float32 elsewhere."""
    if dtype != "auto":
        return dtype
    return "bfloat16" if device.type == "cuda" else "float32"


_loaded: dict[torch.device, LM] = {}


def load(spec: ModelSpec, device: torch.device, tell: Callable[[str], object] = print) -> LM:
    """Load a model, frozen and in eval mode, or return it if it was the last one loaded.

    It is returned from memory only if the files are the same still, see `resolve`. Weights come
    from the hub (its cache, or the network), a local folder or an installed package; code from a
    repository is never run, and pickled weights are read as plain tensors only.

    Raises:
        UserError: not installed, not cached and no network, gated, unknown, or not iterable.
    """
    found = resolve(spec)
    last = _loaded.get(device)
    if last is not None and last.found == found:
        return last
    del last
    _loaded.clear()  # before the next is read: two may not fit
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()  # else what it held counts as used
    tokenizer, model = load_plain(spec, device, tell)
    with iterated(model):  # refuses what cannot be iterated
        pass
    if resolve(spec) != found:
        raise UserError(f"the files of {spec.hub_id} changed while they were read: start again")
    _loaded[device] = LM(prepack(model), tokenizer, found)
    return _loaded[device]


def load_plain(
    spec: ModelSpec, device: torch.device, tell: Callable[[str], object] = print
) -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
    """A tokenizer and a model as transformers has them, neither checked nor made faster."""
    dtype = getattr(torch, resolve_dtype(spec.dtype, device))
    with told(spec), quietly():
        found = resolve(spec)
        where = found.place
        if found.gguf is not None:
            where = str(converted(found.gguf, found.name, tell))
        else:
            checkpoints.check_layers(found.folder)
        config = AutoConfig.from_pretrained(where, **found.options)
        checkpoints.check_kind(config, spec.hub_id)
        with torch.device("meta"):
            empty = AutoModelForCausalLM.from_config(config, dtype=dtype)
        check_memory(spec, empty, dtype, device)
        tokenizer = AutoTokenizer.from_pretrained(where, **found.options)
        checkpoints.check_tokenizer(tokenizer, empty, spec.hub_id)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            where,
            config=config,
            dtype=dtype,
            weights_only=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # told in one line by what follows
            **found.options,
        )
        model, report = loaded
        resolving.check_cached(found)
        checkpoints.check_tensors(model, report, spec.hub_id)
        model.to(device)
        if device.type == "cpu":  # else it follows its files, should they be written anew
            for tensor in (*model.parameters(), *model.buffers()):
                tensor.data = tensor.data.clone()
    return tokenizer, model.eval().requires_grad_(False)


def check_memory(
    spec: ModelSpec, empty: PreTrainedModel, dtype: torch.dtype, device: torch.device
) -> None:
    """Raise UserError if the weights alone are larger than what is free, before any is read."""
    needed = sum(weight.numel() * weight.element_size() for weight in empty.parameters())
    free = free_memory(device)
    if needed > free:
        raise UserError(
            f"{spec.name} needs {needed:,} bytes for its weights in {str(dtype)[6:]}, {device} has "
            f"{free:,} free: use a smaller model, model.dtype=bfloat16 or another device"
        )


def free_memory(device: torch.device) -> int:
    """Bytes that can still be allocated: on the GPU, or of this machine's memory."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return min([int(psutil.virtual_memory().available), *_cgroup_free()])


def _cgroup_free() -> list[int]:
    """What the control groups of this process (a container, a SLURM job) leave it, if limited."""
    free = []
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, kinds, path = line.split(":", 2)
            if kinds not in ("", "memory"):
                continue
            root = Path("/sys/fs/cgroup", kinds)
            limit, used = (
                ("memory.limit_in_bytes", "memory.usage_in_bytes")
                if kinds
                else ("memory.max", "memory.current")
            )
            for folder in (root / path.lstrip("/"), *(root / path.lstrip("/")).parents):
                if not folder.is_relative_to(root):
                    break
                with suppress(OSError, ValueError):  # unlimited, or not this one's to say
                    free.append(
                        int((folder / limit).read_text())
                        - int((folder / used).read_text())
                        + _reclaimable(folder)
                    )
    return free


def _reclaimable(folder: Path) -> int:
    """Bytes of files that a control group keeps in memory and would give up."""
    words = (folder / "memory.stat").read_text().split()
    return int(words[words.index("inactive_file") + 1])


def fetch(spec: ModelSpec) -> None:
    """Bring a model's files to this machine without loading the weights; errors as `load`'s."""
    with told(spec), quietly():
        found = resolve(spec)
        if found.gguf is not None:
            converted(found.gguf, found.name, print)
        elif found.commit is not None:
            names = list_repo_files(found.place, revision=found.commit)
            weights = "*.safetensors" if any(n.endswith(".safetensors") for n in names) else "*.bin"
            patterns = ["*.json", "*.txt", "*.model", weights]
            snapshot_download(found.place, revision=found.commit, allow_patterns=patterns)


def resolve(spec: ModelSpec) -> Resolved:
    """`resolving.resolve`, with all that can go wrong in one line."""
    with told(spec):
        return resolving.resolve(spec)


@contextmanager
def quietly() -> Iterator[None]:
    """Nothing that transformers says by itself: what matters is raised."""
    before = transformers_logging.get_verbosity()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity(CRITICAL)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        transformers_logging.set_verbosity(before)


@contextmanager
def told(spec: ModelSpec) -> Iterator[None]:
    """Turn what goes wrong on the way to a model's files into one line."""
    try:
        with allocating():
            yield
    except UserError:
        raise
    except torch.OutOfMemoryError as error:
        raise UserError(f"{spec.name} does not fit into the device's memory") from error
    except Exception as error:
        raise UserError(explain(error, spec)) from error


_FULL = (errno.ENOSPC, errno.EDQUOT)
_UNREADABLE = (errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EROFS, errno.EIO, errno.ELOOP)


def explain(error: Exception, spec: ModelSpec) -> str:
    """One line for what went wrong on the way to a model's files."""
    chain = [*_chain(error)]
    text = " ".join(f"{type(one).__name__}: {one}" for one in chain)
    trouble = f" ({found})" if (found := hub.token_trouble()) else ""
    if "GatedRepo" in text or "gated repo" in text:
        return (
            f"{spec.hub_id} is gated: accept its licence on the hub, then run 'hf auth login' "
            f"or set HF_TOKEN{trouble}"
        )
    if "RepositoryNotFound" in text or "RevisionNotFound" in text:
        return f"the hub has no model '{spec.hub_id}' at revision '{spec.revision}'{trouble}"
    if "RemoteEntryNotFound" in text:
        return f"{spec.hub_id} on the hub is no model of transformers: it lacks config.json"
    for one in chain:
        if isinstance(one, OSError) and one.errno in _FULL:
            return f"no space is left for {spec.hub_id} (HF_HOME says where the hub's files go)"
        if isinstance(one, OSError) and one.errno in _UNREADABLE:
            return f"{one.filename or spec.hub_id} cannot be used ({one.strerror})"
    if any(word in text for word in ("Offline", "ConnectionError", "ConnectError", "LocalEntry")):
        return (
            f"{spec.hub_id} is no folder here, not cached, and the hub cannot be reached: run "
            f"'{called()} prefetch {asked_by(spec)}' where there is a network"
        )
    if isinstance(error, UnpicklingError):
        return f"the weights of {spec.hub_id} hold pickled objects that are not tensors: refused"
    what = f"{type(error).__name__}: {first_line(error)}"
    return f"{spec.hub_id} cannot be loaded, a file may be incomplete or of another kind ({what})"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it came from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
