"""A memory in a file: one safetensors file, which says what it was made of and who may use it.

Its tensors are `keys.{layer}` and `values.{layer}` [G, L, D], `ids` [L], and `probe.keys` and
`probe.values`. Its metadata are those of `Origin`, the iteration, the version of the format, and a
checksum over all of it. Nothing in it is code. A memory with gains or groups has version 2, which
adds `gains` [L] and `groups`; others have version 1, as ever.
"""

import hashlib
import json
import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from transformers import PreTrainedModel

from deepthink.engine.layout import single
from deepthink.engine.memory import Memory
from deepthink.engine.origin import Origin
from deepthink.engine.support import check_model, iterated
from deepthink.errors import UserError, first_line
from deepthink.files import at_home, atomically

FORMAT, VERSIONS = "deepthink memory", ("1", "2")

_TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3, torch.float16: 0.02}
"""By how much of its length a probe may differ from another device's; bfloat16: 0.05."""

_WORDS = ("model", "name", "config", "dtype", "refinement", "version")
"""The entries of `Origin` that are strings."""


@dataclass(frozen=True)
class _Stored:
    """What a file holds."""

    tensors: Mapping[str, Tensor]
    told: Mapping[str, str]


def save(memory: Memory, path: str | Path) -> None:
    """As `Memory.save`.

    >>> import tempfile
    >>> from transformers import GPT2Config, GPT2LMHeadModel
    >>> from deepthink import think
    >>> config = GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=11)
    >>> model = GPT2LMHeadModel(config).eval()
    >>> *_, memory = think(model, [5, 6, 7])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(memory, f"{folder}/thought.safetensors")
    ...     again = load(f"{folder}/thought.safetensors", model)
    >>> again.step, all(map(torch.equal, again.tensors, memory.tensors))
    (5, True)
    """
    origin, file = memory.origin, Path(at_home(str(path)))
    if origin is None:
        raise UserError(
            "this memory was computed of others, so a file could not say which model may use it: "
            "save the memories that think yields"
        )
    tensors = {
        **{f"keys.{layer}": tensor for layer, tensor in enumerate(memory.keys)},
        **{f"values.{layer}": tensor for layer, tensor in enumerate(memory.values)},
        "ids": torch.tensor(origin.ids),
        "probe.keys": origin.probe[0],
        "probe.values": origin.probe[1],
    }
    weighed = memory.gains is not None or bool(memory.groups)
    if weighed:
        tensors["gains"] = torch.zeros(memory.length) if memory.gains is None else memory.gains
    # tensors that share their numbers would be refused
    tensors = {name: x.detach().cpu().contiguous().clone() for name, x in tensors.items()}
    told = {
        **{name: getattr(origin, name) for name in _WORDS},
        "commit": origin.commit or "",
        "options": json.dumps(origin.options),
        "step": str(memory.step),
        "layers": str(len(memory.keys)),
        "format": FORMAT,
        "format version": VERSIONS[weighed],
        **({"groups": json.dumps(memory.groups)} if weighed else {}),
    }
    told["checksum"] = _checksum(_Stored(tensors, told))
    try:
        if file.is_dir():
            raise UserError(f"{path} is a folder: name a file, such as {path}/memory.safetensors")
        atomically(file, lambda temporary: save_file(tensors, temporary, metadata=told))
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or first_line(error)
        raise UserError(f"cannot write {path} ({reason}): name a file in a folder that is") from (
            error
        )


def load(
    path: str | Path, model: PreTrainedModel, device: torch.device | str | int | None = None
) -> Memory:
    """As `Memory.load`; an example is shown by `save`, where it runs.

    >>> load("nowhere.safetensors", None)
    Traceback (most recent call last):
    deepthink.errors.UserError: there is no file nowhere.safetensors
    """
    stored = _read(Path(at_home(str(path))), str(path))
    memory = _memory(stored)
    assert memory.origin is not None
    check_model(model)
    memory.origin.check(model)
    made, here = memory.origin.dtype, str(model.dtype).removeprefix("torch.")
    if made != here:
        raise UserError(
            f"the memory in {path} was made in {made}, but this model computes in {here}: load the "
            f"model with dtype=torch.{made}, or think again"
        )
    devices = _recognised(memory, memory.origin, model)
    if device is not None:
        return memory.to(device)
    return replace(
        memory,
        keys=tuple(x.to(d) for x, d in zip(memory.keys, devices, strict=True)),
        values=tuple(x.to(d) for x, d in zip(memory.values, devices, strict=True)),
    )


def _recognised(memory: Memory, origin: Origin, model: PreTrainedModel) -> list[torch.device]:
    """The device of each layer; UserError if the weights are not those that made the memory.

    The model reads the first of the memory's tokens again, and the last layer's keys and values are
    compared. So other weights are recognised whatever their device or their layout is.
    """
    first = origin.ids[: origin.probe[0].shape[1]]
    start = max(memory.groups) - memory.groups[0] if memory.groups else 0
    with iterated(model) as forward:
        keys, values = forward.read(first, single(len(first), model.device), None, start)
    for now, then in zip((keys[-1], values[-1]), origin.probe, strict=True):
        then = then.to(now)
        if not (now - then).norm() <= _TOLERANCE.get(model.dtype, 0.05) * then.norm():
            raise origin.refusal("this model has other weights")
    return [tensor.device for tensor in keys]


def _read(file: Path, name: str) -> _Stored:
    """What a file holds, checked; UserError if it is no whole file of a memory."""
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise UserError(f"{name} is not a file: name the file that memory.save wrote")
        with safe_open(file, framework="pt") as opened:
            told = opened.metadata() or {}
            # copies, so that they do not change with the file
            tensors = {key: opened.get_tensor(key).clone() for key in opened.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise UserError(f"there is no file {name}") from error
    except OSError as error:
        raise UserError(f"{name} cannot be read ({error.strerror or error})") from error
    except SafetensorError as error:
        cut = "not fully covered" in str(error)
        what = "is not whole, it was cut or added to" if cut else "is no safetensors file"
        raise UserError(f"{name} {what}: take the file that memory.save wrote") from error
    if told.get("format") != FORMAT:
        raise UserError(
            f"{name} is a safetensors file, but holds no memory: take one that memory.save wrote"
        )
    if told.get("format version") not in VERSIONS:
        raise UserError(
            f"{name} has version {told.get('format version')} of the format, this version of "
            f"deepthink reads {' and '.join(VERSIONS)}: install the deepthink that wrote it"
            + (f" ({told['version']})" if "version" in told else "")
        )
    stored = _Stored(tensors, told)
    if lacking := _lacking(stored):
        raise UserError(f"{name} lacks {lacking}: take the file that memory.save wrote")
    if _checksum(stored) != told.get("checksum"):
        raise UserError(
            f"{name} was changed after it was written: take the file that memory.save wrote"
        )
    return stored


def _lacking(stored: _Stored) -> str:
    """The first part of a memory that a file has not; empty if it has all."""
    entries = {*_WORDS, "commit", "options", "step", "layers", "checksum"}
    weighed = stored.told["format version"] != VERSIONS[0]
    entries |= {"groups"} if weighed else set()
    if missing := sorted(entries - set(stored.told)):
        return missing[0]
    layers = range(int(stored.told["layers"]) if stored.told["layers"].isdecimal() else 0)
    names = [f"{kind}.{layer}" for layer in layers for kind in ("keys", "values")]
    names += ["ids", "probe.keys", "probe.values", *(["gains"] if weighed else [])]
    return next((name for name in names if name not in stored.tensors), "")


def _memory(stored: _Stored) -> Memory:
    told, tensors = stored.told, stored.tensors
    layers = range(int(told["layers"]))
    origin = Origin(
        **{name: told[name] for name in _WORDS},
        commit=told["commit"] or None,
        ids=tuple(tensors["ids"].tolist()),
        options=json.loads(told["options"]),
        probe=(tensors["probe.keys"], tensors["probe.values"]),
    )
    return Memory(
        tuple(tensors[f"keys.{layer}"] for layer in layers),
        tuple(tensors[f"values.{layer}"] for layer in layers),
        int(told["step"]),
        origin,
        tensors.get("gains"),
        tuple(json.loads(told.get("groups", "[]"))),
    )


def _checksum(stored: _Stored) -> str:
    """SHA-256 of all metadata but the checksum, and of every tensor with its name and shape."""
    told = {key: value for key, value in stored.told.items() if key != "checksum"}
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    for name, tensor in sorted(stored.tensors.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
