"""Bytes that a model may take on a device, and whether its weights fit into them."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil
import torch
from torch import Tensor
from transformers import PreTrainedModel

from deepthink.config.job import ModelSpec
from deepthink.errors import UserError
from deepthink.models.devices import every_device

ROOM = 0.9
"""Where a model is spread, the share of a device's free memory that weights may take.

A forward computes in the rest.
"""


def check_memory(
    spec: ModelSpec, empty: PreTrainedModel, dtype: torch.dtype, device: torch.device
) -> None:
    """Raise UserError if the weights alone take more than the free memory, before any is read."""
    needed = weight_bytes(empty.parameters())
    free = free_memory(device)
    if needed <= free:
        return
    choices = "a smaller model, model.dtype=bfloat16 or another device"
    if torch.cuda.is_available() and needed <= (together := sum(map(room, every_device()))):
        choices = f"device=spread (all GPUs and the host have room for {together:,}), {choices}"
    raise UserError(
        f"{spec.name} needs {needed:,} bytes for its weights in {str(dtype)[6:]}, {device} has "
        f"{free:,} free: use {choices}"
    )


def weight_bytes(weights: Iterable[Tensor]) -> int:
    """Bytes that weights take.

    >>> weight_bytes([torch.zeros(2, 3), torch.zeros(1, dtype=torch.bfloat16)])
    26
    """
    return sum(weight.numel() * weight.element_size() for weight in weights)


def room(device: torch.device) -> int:
    """Bytes of a device that weights may take where a model is spread."""
    return int(ROOM * free_memory(device))


def free_memory(device: torch.device) -> int:
    """Bytes that can still be allocated: on the GPU, or of this machine's memory."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return min([int(psutil.virtual_memory().available), *_cgroup_free()])


def _cgroup_free() -> list[int]:
    """Bytes that each control group of this process (a container, a SLURM job) leaves it."""
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
                with suppress(OSError, ValueError):  # unlimited, or not readable by this user
                    free.append(
                        int((folder / limit).read_text())
                        - int((folder / used).read_text())
                        + _reclaimable(folder)
                    )
    return free


def _reclaimable(folder: Path) -> int:
    """Bytes that a control group holds of cached files, and would give up."""
    words = (folder / "memory.stat").read_text().split()
    return int(words[words.index("inactive_file") + 1])
