"""Where this program lies and how it was started, so that commands in messages work as typed."""

import shlex
import sys
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent

IN_CHECKOUT = (_PACKAGE.parent / "run.py").is_file() and not (_PACKAGE / "conf").is_dir()
"""Whether the package is used from a checkout, with run.py, conf and the Makefile beside it."""

CONF = (_PACKAGE.parent if IN_CHECKOUT else _PACKAGE) / "conf"
"""The folder of the configs: the checkout's, or the copy of it that a wheel carries."""


def called() -> str:
    """The beginning of a command as this process was started, in front of a command's words.

    It is `python run.py`, `deepthink` or `python -m deepthink`. For a process that was started in
    another way, such as a notebook, it is what `usual` returns.
    """
    started = Path(sys.argv[0])
    if started.name == "run.py":
        return f"python {shlex.quote(sys.argv[0])}"
    if started.stem == "deepthink" and started.suffix in ("", ".exe"):
        return "deepthink"
    if started.name == "__main__.py" and started.parent == _PACKAGE:
        return "python -m deepthink"
    return usual()


def usual() -> str:
    """The beginning of a command in written files, however this process was started."""
    return "python run.py" if IN_CHECKOUT else "deepthink"


def make(target: str, otherwise: str) -> str:
    """The command of a target of the Makefile; `otherwise` for a user without a Makefile.

    >>> make("sync", "wandb sync --yes") in ("make sync", "wandb sync --yes")
    True
    """
    return otherwise if called() in ("deepthink", "python -m deepthink") else f"make {target}"
