"""Records that Weights & Biases is to have and has not got yet: a file for each.

    results/unsent/<id>

It is made before the record and removed when the run was sent, so that a process killed between
the two leaves it, and the next that reads the record sends it (of a suite's member, with its
suite). Each holds a word of its own: a marker made anew meanwhile is not the one that was met.
"""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from deepthink.config.job import Config
from deepthink.store import records


def mark(config: Config, path: Path) -> None:
    """The record about to be written at `path` is to be sent; as far as the disk allows."""
    if config.wandb.mode == "disabled":
        return
    file = marker(config, path)
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(uuid4().hex)


def marker(config: Config, path: Path) -> Path:
    """The file that says so."""
    results = Path(config.results)
    return results / "unsent" / records.digest(str(path.relative_to(results)))[:16]


def waiting(markers: Iterable[Path]) -> dict[Path, str]:
    """Those that are there, with their words."""
    found = {}
    for path in markers:
        if path.is_file():
            with suppress(FileNotFoundError):
                found[path] = path.read_text()
    return found


def clear(met: dict[Path, str]) -> None:
    """Their records were sent."""
    for path, word in met.items():
        with suppress(OSError):  # sent twice at worst
            if path.read_text() == word:
                path.unlink()
