"""Rules, refinements, calibrations and configs that lie outside this package."""

from functools import lru_cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

from deepthink.errors import UserError
from deepthink.files import at_home

GROUP = "deepthink.plugins"
"""The entry points by which an installed package names the package that holds its plugins."""


def folders(plugins: str | None) -> tuple[Path, ...]:
    """The folders that hold plugins: those of installed packages, then the user's.

    plugins: the value of `plugins=`, a folder; None where none was named.

    Raises UserError for a folder or package that is not there.
    """
    if plugins is None:
        return _installed()
    folder = Path(at_home(plugins)).absolute()
    if not folder.is_dir():
        raise UserError(f"plugins={plugins} is not a folder: name the one that holds yours")
    return (*_installed(), folder)


@lru_cache
def _installed() -> tuple[Path, ...]:
    places = []
    for entry in sorted(entry_points(group=GROUP)):
        try:
            package = find_spec(entry.module)
        except ImportError:
            package = None
        if package is None or not package.submodule_search_locations:
            raise UserError(
                f"the plugin {entry.name} names {entry.module}, which is not a package: reinstall "
                "or remove what it belongs to"
            )
        places.append(Path(package.submodule_search_locations[0]).absolute())
    return tuple(places)
