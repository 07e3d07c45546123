"""Where this program lies and how it is called, so that the commands in messages work as typed."""

import shlex
import sys
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent

IN_CHECKOUT = (_PACKAGE.parent / "run.py").is_file() and not (_PACKAGE / "conf").is_dir()
"""Whether the package is used from a checkout, with run.py, conf and the Makefile beside it."""

CONF = (_PACKAGE.parent if IN_CHECKOUT else _PACKAGE) / "conf"
"""The folder of the configs: the checkout's, or the copy of it that a wheel carries."""


def called() -> str:
    """What stands before the words of a command, as this process was started.

    It is `python run.py`, `deepthink` or `python -m deepthink`. A process that was started
    otherwise, such as a notebook, takes what `usual` says.
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
    """What stands before the words of a command in files, however this process was started."""
    return "python run.py" if IN_CHECKOUT else "deepthink"


def make(target: str, otherwise: str) -> str:
    """The command for a target of the Makefile; `otherwise` for a user who has no Makefile."""
    return otherwise if called() in ("deepthink", "python -m deepthink") else f"make {target}"
