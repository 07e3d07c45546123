"""The files in which the measuring scripts store their figures: docs/measured/<name>.json.

A file says how its figures were made: the exact command, the date, the code's commit, the versions
and the machine. The measured passages of README.md and docs are written from the committed files
(readme.py).
"""

import argparse
import json
import os
import platform
import shlex
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
import torch

from deepthink import __version__
from deepthink.files import atomically
from deepthink.study import provenance

MEASURED = Path(__file__).resolve().parent.parent / "docs" / "measured"


def add_out(parser: argparse.ArgumentParser, name: str) -> None:
    """Add the option that says where a script writes its figures."""
    parser.add_argument(
        "--out",
        type=Path,
        default=MEASURED / f"{name}.json",
        help="where to keep the figures; default: the file from which the documentation is written",
    )


def machine(device: torch.device) -> dict[str, Any]:
    """The processor, its cores that this process may use, its memory in GiB, and the GPU."""
    with_affinity = hasattr(os, "sched_getaffinity")
    return {
        "cpu": _processor(),
        "cores": len(os.sched_getaffinity(0)) if with_affinity else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "system": platform.platform(),
    }


def _processor() -> str:
    """The processor's name, from Linux's /proc where there is one."""
    about = Path("/proc/cpuinfo")
    lines = about.read_text().splitlines() if about.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def write(
    options: argparse.Namespace,
    results: dict[str, Any],
    device: torch.device | None = None,
    libraries: tuple[str, ...] = (),
) -> None:
    """Store the figures at `options.out`; if that file is in docs/measured, rewrite the pages.

    libraries: distributions whose versions are stored besides those that every record has.
    """
    settings = {
        key: value for key, value in vars(options).items() if key not in ("out", "data_root")
    }
    whole = {
        "command": _command(),
        "date": datetime.now(UTC).date().isoformat(),
        "code": provenance.code().stored(),
        "machine": machine(device or torch.device("cpu")),
        "versions": _recorded() | _versions(libraries),
        "settings": settings,
        "results": results,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(whole, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    atomically(options.out, lambda file: file.write_text(text, encoding="utf-8"))
    print(f"wrote {options.out}")
    if options.out.resolve().parent == MEASURED:
        from readme import update  # which needs more than a bare GPU machine has

        update()


def _command() -> str:
    """The command that runs, without the place of the data, which is another elsewhere."""
    words = iter(sys.argv[1:])
    told = []
    for word in words:
        if word == "--data-root":
            next(words, None)
        elif not word.startswith("--data-root="):
            told.append(word)
    return shlex.join(["python", f"scripts/{Path(sys.argv[0]).name}", *told])


def _recorded() -> dict[str, str]:
    """The versions that every record has, or of these what a bare GPU machine has."""
    try:
        return provenance.versions()
    except PackageNotFoundError:
        present = _versions(("torch", "transformers", "tokenizers", "numpy"))
        return {"python": platform.python_version(), "deepthink": __version__, **present}


def _versions(libraries: tuple[str, ...]) -> dict[str, str]:
    installed = {}
    for name in libraries:
        try:
            installed[name] = version(name)
        except PackageNotFoundError:
            continue
    return installed
