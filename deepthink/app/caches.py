"""The caches on this machine: where each lies, what it holds, how large it is, how to move it."""

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import constants

from deepthink import hub
from deepthink.report import composed

_WEIGHTS, _SIGNALS, _DOWNLOADS = "converted weights", "signals", "downloads"
_EXPERIMENTS = "experiments"
OURS = (_WEIGHTS, _SIGNALS, _EXPERIMENTS, _DOWNLOADS)
"""The caches of this package, which may be cleared: everything in them is made or fetched again."""


@dataclass(frozen=True)
class Cache:
    """A cache on this machine.

    holds: in words. places: its files and folders; empty if there are none. moved: how another
    place is named for it. ours: whether this package alone uses it.
    """

    name: str
    folder: Path
    holds: str
    places: tuple[Path, ...]
    moved: str
    ours: bool

    @property
    def size(self) -> int:
        """Bytes of all files. A file with several links in it counts once, a link nothing."""
        seen: dict[tuple[int, int], int] = {}
        for place in self.places:
            for path in _files(place):
                try:
                    about = path.lstat()
                except OSError:  # it was removed at this moment
                    continue
                if not path.is_symlink():
                    seen[about.st_dev, about.st_ino] = about.st_size
        return sum(seen.values())


def every() -> list[Cache]:
    """The caches of this package, then those that it shares with other programs."""
    own = hub.cache_folder()
    inside = sorted(own.iterdir()) if own.is_dir() else []
    kinds: dict[str, list[Path]] = {kind: [] for kind in OURS}
    for path in inside:
        if path.name != hub.HELD:
            kinds[_kind(path)].append(path)
    holds = (
        "GGUF files as transformers reads them",
        "what models said of pools: hidden states and scores",
        "experiments as Hydra composed them",
        "files of tasks from GitHub",
    )
    mine = [
        Cache(kind, own, what, tuple(kinds[kind]), "DEEPTHINK_CACHE", ours=True)
        for kind, what in zip(OURS, holds, strict=True)
    ]
    offline = Path(os.environ.get("WANDB_DIR", ".")) / "wandb"
    others = (
        ("Hugging Face hub", Path(constants.HF_HUB_CACHE), "models and data", "HF_HUB_CACHE"),
        ("datasets", _datasets(), "data as Arrow files", "HF_DATASETS_CACHE"),
        ("Weights & Biases", offline, "runs that were not uploaded", "WANDB_DIR"),
    )
    return [
        *mine,
        *(
            Cache(name, folder, what, (folder,) if folder.is_dir() else (), moved, ours=False)
            for name, folder, what, moved in others
        ),
    ]


def clear(kinds: Iterable[str] = OURS) -> int:
    """Delete caches of this package; returns how many bytes that frees.

    kinds: names from `OURS`.

    Raises:
        UserError: a process uses the caches, or a file cannot be deleted. What was deleted before
            is made again by the next job that needs it.
    """
    wanted = [cache for cache in every() if cache.ours and cache.name in {*kinds}]
    freed = sum(cache.size for cache in wanted)
    with hub.alone():
        for cache in wanted:
            for place in cache.places:
                if place.is_dir():
                    shutil.rmtree(place)
                else:
                    place.unlink(missing_ok=True)
    return freed


def _kind(path: Path) -> str:
    """What a file or folder in this package's cache is."""
    if path.name == "signals":
        return _SIGNALS
    if path.name == composed.FOLDER:
        return _EXPERIMENTS
    converted = (path / "CHECKSUM").is_file() or path.name.startswith("converting")
    return _WEIGHTS if converted or not path.is_dir() else _DOWNLOADS


def _datasets() -> Path:
    """The folder of the library datasets, which is not imported for this."""
    home = Path(os.environ.get("HF_HOME", constants.HF_HOME))
    return Path(os.environ.get("HF_DATASETS_CACHE", home / "datasets"))


def _files(place: Path) -> Iterable[Path]:
    return (path for path in place.rglob("*") if path.is_file()) if place.is_dir() else (place,)
