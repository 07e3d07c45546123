"""Records that Weights & Biases was to have and has not got yet: an empty file for each.

    results/unsent/<id>

It is made before the record and removed when the run was sent, so that a process killed between
the two leaves it, and the next that reads the record sends it.
"""

from pathlib import Path

from deepthink import records
from deepthink.config import Config


def mark(config: Config, path: Path) -> None:
    """The record at `path`, about to be written, is to be sent; UserError for a full disk."""
    if config.wandb.mode == "disabled":
        return
    file = marker(config, path)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    except OSError as error:
        raise records.unwritable(file.parent, error) from error


def marker(config: Config, path: Path) -> Path:
    """The file that says so."""
    results = Path(config.results)
    return results / "unsent" / records.digest(str(path.relative_to(results)))[:16]
