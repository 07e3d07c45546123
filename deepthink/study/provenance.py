"""How a result was made: versions, code, machine, seconds and memory."""

import importlib.metadata
import platform
import subprocess
import sys
import time
from collections import Counter
from functools import lru_cache
from pathlib import Path

import psutil
import torch

from deepthink import __version__
from deepthink.installation import IN_CHECKOUT
from deepthink.store.schema import Code

if sys.platform != "win32":
    import resource

_LIBRARIES = (
    "torch",
    "transformers",
    "tokenizers",
    "datasets",
    "numpy",
    "scipy",
    "scikit-learn",
)


class Clock:
    """Seconds of each stage, summed if a stage repeats, and the peak memory since the start."""

    def __init__(self, *devices: torch.device) -> None:
        self.laps: dict[str, float] = {}
        self._devices = [device for device in devices if device.type != "cpu"]
        self._last = time.perf_counter()
        for device in self._devices:
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(device)

    def lap(self, stage: str) -> None:
        """Add the time since the last lap to `stage`."""
        for device in self._devices:
            torch.accelerator.synchronize(device)
        now = time.perf_counter()
        self.laps[stage] = round(self.laps.get(stage, 0.0) + now - self._last, 3)
        self._last = now

    def peak_memory(self) -> int:
        """Peak bytes of the GPU, or of this process since its start where there is no GPU.

        Of several GPUs it is the sum of each one's peak.
        """
        cards = [device for device in self._devices if device.type == "cuda"]
        if cards:
            return sum(map(torch.cuda.max_memory_allocated, cards))
        if sys.platform == "win32":
            return int(psutil.Process().memory_info().peak_wset)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def device_name(*devices: torch.device) -> str:
    """The GPU's name, or the processor's kind and thread count.

    Of a model that is spread, the GPUs' names with how many there are, and whether the host's
    memory holds a part.
    """
    cards = Counter(torch.cuda.get_device_name(x) for x in devices if x.type == "cuda")
    if cards:
        names = [name if count == 1 else f"{count} × {name}" for name, count in cards.items()]
        host = ["host memory"] if any(device.type == "cpu" for device in devices) else []
        return " and ".join([*names, *host])
    threads = torch.get_num_threads()
    return f"{devices[0].type} {platform.machine()}, {threads} thread{'s' * (threads > 1)}"


@lru_cache
def versions() -> dict[str, str]:
    """Versions of Python, this package and the libraries whose numerics matter."""
    libraries = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    return {"python": platform.python_version(), "deepthink": __version__, **libraries}


@lru_cache
def code() -> Code:
    """The git commit of this package, and whether it has changes; None outside a checkout."""
    if not IN_CHECKOUT:  # an installed package may lie in the folder of another repository
        return Code(commit=None, dirty=None)
    folder = Path(__file__).parent.parent

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        changes = git("status", "--porcelain", "--untracked-files=no", "--", str(folder))
        return Code(commit=git("rev-parse", "HEAD"), dirty=bool(changes))
    except (OSError, subprocess.CalledProcessError):
        return Code(commit=None, dirty=None)
