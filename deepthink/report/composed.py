"""Experiments that were composed once, kept between processes.

Hydra takes a tenth of a second for each combination of an experiment's values, and the page asks
for hundreds of them. What it makes depends on the files of `conf`, on this package and on the
libraries that compose, so a digest of all of these is part of a file's name. A file that cannot be
read is made again, and a folder that cannot be written keeps nothing.
"""

import pickle
from collections.abc import Callable, Sequence
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

from deepthink import hub
from deepthink.files import atomically
from deepthink.installation import CONF

Made = TypeVar("Made")
FOLDER = "experiments"
"""The folder within the cache of this package."""
_PACKAGE = Path(__file__).resolve().parent.parent
_NEWEST = 100
"""How many files are kept. A version of the package has one for each experiment and its words."""


def kept(name: str, words: Sequence[str], make: Callable[[], Made]) -> Made:
    """What `make` returns for the words of an experiment, from an earlier process if it is there.

    Words that name files of the user's are composed anew each time, since the digest does not see
    those files.
    """
    if any(word.startswith(("task.", "plugins=", "+", "~", "--")) for word in words):
        return make()
    folder = hub.cache_folder() / FOLDER
    place = folder / f"{name}-{sha256(repr((_sources(), words)).encode()).hexdigest()[:16]}.pickle"
    try:
        found: Made = pickle.loads(place.read_bytes())
        return found
    except Exception:  # whatever a damaged file makes pickle raise
        made = make()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        atomically(place, lambda path: path.write_bytes(pickle.dumps(made)))
        for old in sorted(folder.glob("*.pickle"), key=lambda p: -p.stat().st_mtime)[_NEWEST:]:
            old.unlink(missing_ok=True)
    except OSError:
        pass
    return made


@cache
def _sources() -> str:
    """A digest of everything that composing depends on: configs, package, libraries."""
    digest = sha256("".join(map(version, ("hydra-core", "omegaconf"))).encode())
    for root, kind in ((CONF, "*.yaml"), (_PACKAGE, "*.py")):
        for path in sorted(root.rglob(kind)):
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
