"""What the words "auto" mean for a device and a dtype on this machine."""

import torch

from deepthink.errors import UserError


def resolve_device(device: str) -> torch.device:
    """The device a config names; "auto" prefers CUDA, then Apple's GPU, then the CPU."""
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
