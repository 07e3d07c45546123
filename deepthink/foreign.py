"""Plugins' files: they are imported under unique names, and their errors name the file."""

import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from hashlib import sha256
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from deepthink import content
from deepthink.errors import UserError, first_line


def module(path: Path) -> ModuleType:
    """Import a plugin's file as a module of its folder; a changed file is imported again.

    What runs is compiled from the file itself. Python keeps compiled files by their time and size,
    which a changed file may have in common with the one before.
    """
    package = f"deepthink_plugin_{sha256(str(path.parent).encode()).hexdigest()[:12]}"
    if package not in sys.modules:
        spec = ModuleSpec(package, None, is_package=True)
        spec.submodule_search_locations = [str(path.parent)]
        sys.modules[package] = module_from_spec(spec)
    name, digest = f"{package}.{path.stem}", content.digest(path)
    known = sys.modules.get(name)
    if known is None or known.__dict__.get("__digest__") != digest:
        file = spec_from_file_location(name, path)
        assert file is not None
        known = sys.modules[name] = module_from_spec(file)
        try:
            exec(compile(path.read_bytes(), path, "exec", dont_inherit=True), known.__dict__)
        except BaseException:
            del sys.modules[name]
            raise
        known.__dict__["__digest__"] = digest
    return known


@contextmanager
def blamed(kind: str, name: str, path: Path) -> Iterator[None]:
    """Turn an error of a plugin's file into a UserError that names the file and the line.

    A UserError passes unchanged. So does an out-of-memory error, which the caller handles. A file
    that exits has failed, since its job has no result.
    """
    try:
        yield
    except (UserError, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        if type(error).__name__ == "OutOfMemoryError":
            raise
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if Path(frame.filename) == path]
        line = error.lineno if isinstance(error, SyntaxError) else (lines or [None])[-1]
        where = f"{path}, line {line}" if line else str(path)
        raise UserError(
            f"{kind} {name} failed ({type(error).__name__}: {first_line(error)}): see {where}"
        ) from error


def blaming(function: Callable[..., Any], kind: str, name: str, path: Path) -> Callable[..., Any]:
    """The same function with `blamed` around a call, and for an iterator around all its steps."""

    @wraps(function)
    def called(*given: Any, **options: Any) -> Any:
        with blamed(kind, name, path):
            result = function(*given, **options)
        return _yielding(result, kind, name, path) if isinstance(result, Iterator) else result

    return called


def _yielding(values: Iterator[Any], kind: str, name: str, path: Path) -> Iterator[Any]:
    with blamed(kind, name, path):
        yield from values
