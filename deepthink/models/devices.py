"""What the words "auto" and "spread" mean for a device and a dtype on this machine."""

import torch

from deepthink.errors import UserError


def every_device() -> tuple[torch.device, ...]:
    """Every GPU, and then the CPU for the host's memory, unless that is the GPUs' own too."""
    cards = [torch.device("cuda", index) for index in range(torch.cuda.device_count())]
    shared = any(torch.cuda.get_device_properties(card).is_integrated for card in cards)
    return tuple(cards if shared else [*cards, torch.device("cpu")])


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
