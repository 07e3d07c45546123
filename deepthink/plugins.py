"""Rules, refinements, readouts and calibrations: one file each, here or in a plugin.

A file belongs to one kind and holds one function. Its options are the function's further arguments,
whose annotations say what they may be. A config names the file and gives the options' values:

    {"name": "herding", "balance": "equal", …}

The file is looked for in this package, in installed plugins, and in the folder `plugins=FOLDER`:

    FOLDER/rules/<name>.py           select(pool, count, rng, **options)
    FOLDER/refinements/<name>.py     refine(shown, **options)
    FOLDER/readouts/<name>.py        read(ask, **options)
    FOLDER/calibrations/<name>.py    calibrate(scores, ask, **options)
    FOLDER/conf/…                    further methods, tasks and models, as in conf/

An installed package is a plugin if it has an entry point of the group `deepthink.plugins`, which
names the package that is such a folder. A file whose name begins with `_` is a part that others
import, with `from . import _name`.

A number depends on what such a file does, so the SHA-256 of a file from outside is part of the
identity of every job that uses it; see `Kind.described`. Files that it imports are not.
"""

import ast
import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from deepthink import content, foreign
from deepthink.errors import UserError, unknown
from deepthink.files import at_home
from deepthink.options import REQUIRED, Option, options_of

GROUP = "deepthink.plugins"
"""The group of entry points by which installed packages are found."""


@dataclass(frozen=True)
class Kind:
    """One kind of file that may be added.

    name: what messages call such a file. folder: its folder in a plugin. package: where this
    package's own files lie. function: what a file must define. given: the arguments that come
    before the options, by name. remedy: what to do where an option is missing, with {name} for the
    file's name.
    """

    name: str
    folder: str
    package: str
    function: str
    given: tuple[str, ...]
    remedy: str

    def files(self, plugins: str | None = None) -> dict[str, Path]:
        """Every file of this kind by its name, this package's own first.

        Raises UserError where two have one name, since neither may stand for the other.
        """
        packaged = _folder(self.package)
        files: dict[str, Path] = {}
        for folder in (packaged, *(folder / self.folder for folder in folders(plugins))):
            for path in sorted(folder.glob("[!_]*.py")):
                other = files.setdefault(path.stem, path)
                if other != path:
                    raise UserError(
                        f"there are two files of {self.name} {path.stem}, {other} and {path}: "
                        "give one of them another name"
                    )
        return files

    def load(self, named: Mapping[str, Any], plugins: str | None = None) -> Callable[..., Any]:
        """The function of the file that a config names, with the config's options bound.

        Raises UserError for a name or an option that does not exist, a value that an option does
        not take, an option without a value, and a file that cannot be imported or lacks the
        function.
        """
        given = dict(named)
        name = given.pop("name", None)
        files = self.files(plugins)
        if not isinstance(name, str) or name not in files:
            raise unknown(self.name, name, files)
        function = self._function(name, files[name])
        options = self._options(name, function)
        for key in given:
            if key not in options:
                raise unknown(f"option of {self.name} {name}", key, list(options))
        for key, option in options.items():
            if key not in given and option.default is REQUIRED:
                remedy = self.remedy.format(name=name)
                raise UserError(f"{self.name} {name} needs option {key}: {remedy}")
        return partial(function, **{key: options[key].taken(given[key]) for key in given})

    def options(self, name: str, plugins: str | None = None) -> dict[str, Option]:
        """The options of a file's function; UserError as `load`."""
        files = self.files(plugins)
        if name not in files:
            raise unknown(self.name, name, files)
        return self._options(name, self._function(name, files[name]))

    def described(self, named: Mapping[str, Any], plugins: str | None = None) -> dict[str, Any]:
        """What a number depends on: as the config has it, of a file from outside also its defaults.

        `source` is then the SHA-256 of the file.
        """
        path = self.files(plugins).get(named["name"])
        if path is None or self._packaged(path):
            return dict(named)
        options = self.options(named["name"], plugins)
        usual = {key: o.default for key, o in options.items() if o.default is not REQUIRED}
        values = {**usual, **named}
        stored = {key: o.stored(values[key]) for key, o in options.items() if key in values}
        return {**named, **stored, "source": content.digest(path)}

    def part(
        self, function: str, named: Mapping[str, Any], plugins: str | None = None
    ) -> Callable[..., Any] | None:
        """A further function of the file that a config names; None if the file has none."""
        name = named["name"]
        path = self.files(plugins)[name]
        if self._packaged(path):
            part = getattr(import_module(f"{self.package}.{name}"), function, None)
        else:
            with foreign.blamed(self.name, name, path):
                part = getattr(foreign.module(path), function, None)
            part = part and foreign.blaming(part, self.name, name, path)
        return typing.cast(Callable[..., Any] | None, part)

    def constant(
        self, name: str, named: Mapping[str, Any], plugins: str | None, default: bool
    ) -> bool:
        """True or False as the file that a config names has it; the default if it does not.

        The file is read and not imported, since this is asked of every job of a sweep.
        """
        path = self.files(plugins).get(named["name"])
        return (
            default
            if path is None
            else _constants(path, path.stat().st_mtime_ns).get(name, default)
        )

    def _packaged(self, path: Path) -> bool:
        """Whether a file is one of this package, and not from outside."""
        return path.parent == _folder(self.package)

    def _function(self, name: str, path: Path) -> Callable[..., Any]:
        """The function of a file; that of a file from outside says where it fails."""
        if self._packaged(path):
            return typing.cast(
                Callable[..., Any], getattr(import_module(f"{self.package}.{name}"), self.function)
            )
        with foreign.blamed(self.name, name, path):
            function = getattr(foreign.module(path), self.function, None)
        shape = f"{self.function}({', '.join(self.given)}, …)"
        if not callable(function):
            raise UserError(f"{path} has no function {shape}: every {self.name} needs one")
        with foreign.blamed(self.name, name, path):
            first = list(inspect.signature(function).parameters)[: len(self.given)]
            typing.get_type_hints(function, include_extras=True)
        if tuple(first) != self.given:
            raise UserError(
                f"{self.function} of {path} takes {', '.join(first) or 'nothing'} first: "
                f"it must begin as {shape} does"
            )
        return foreign.blaming(function, self.name, name, path)

    def _options(self, name: str, function: Callable[..., Any]) -> dict[str, Option]:
        return options_of(function, len(self.given), f"{self.name} {name}")


RULES = Kind(
    name="selector",
    folder="rules",
    package="deepthink.selection.rules",
    function="select",
    given=("pool", "count", "rng"),
    remedy="method={name} sets it, and combines with method.iterations",
)
"""Which demonstrations are shown: see `deepthink.selection.rules`."""

REFINEMENTS = Kind(
    name="refinement",
    folder="refinements",
    package="deepthink.engine.refinements",
    function="refine",
    given=("shown",),
    remedy="set +method.refinement.OPTION=VALUE",
)
"""How a memory is thought over: see `deepthink.engine.refinements`."""

READOUTS = Kind(
    name="readout",
    folder="readouts",
    package="deepthink.study.readouts",
    function="read",
    given=("ask",),
    remedy="set +method.readout.OPTION=VALUE",
)
"""How a memory becomes scores of the candidates: see `deepthink.study.readouts`."""

CALIBRATIONS = Kind(
    name="calibration",
    folder="calibrations",
    package="deepthink.study.calibrations",
    function="calibrate",
    given=("scores", "ask"),
    remedy="set +calibration.OPTION=VALUE",
)
"""How scores are corrected before the highest wins: see `deepthink.study.calibrations`."""


FOLDERS = (*(kind.folder for kind in (RULES, REFINEMENTS, READOUTS, CALIBRATIONS)), "conf")
"""What a plugin may hold."""


def folders(plugins: str | None) -> tuple[Path, ...]:
    """The folders of plugins: those of installed packages, then the user's own.

    plugins: the folder that the key `plugins` names, or None. UserError where it is none.
    """
    return (*_installed(), *((_user_folder(plugins),) if plugins else ()))


@cache
def _constants(path: Path, changed: int) -> dict[str, bool]:
    """The names of a file that are True or False, as it was when it was last `changed`."""
    try:
        body = ast.parse(path.read_bytes()).body
    except (OSError, SyntaxError, ValueError):
        return {}  # whoever imports the file says what is wrong with it
    return {
        line.targets[0].id: line.value.value
        for line in body
        if isinstance(line, ast.Assign)
        and isinstance(line.targets[0], ast.Name)
        and isinstance(line.value, ast.Constant)
        and isinstance(line.value.value, bool)
    }


@cache
def _installed() -> tuple[Path, ...]:
    """The folders of installed plugin packages, by the names of their entry points."""
    places = []
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        try:
            spec = find_spec(point.value)
        except ImportError:
            spec = None
        if spec is None or not spec.submodule_search_locations:
            raise UserError(
                f"the plugin {point.name} names {point.value}, which is no package: reinstall or "
                "remove the distribution that brings it"
            )
        places.append(Path(spec.submodule_search_locations[0]).resolve())
    return tuple(places)


def _user_folder(plugins: str) -> Path:
    folder = Path(at_home(plugins)).resolve()
    listed = f"{', '.join(FOLDERS[:-1])} and {FOLDERS[-1]}"
    if not folder.is_dir():
        raise UserError(f"plugins is {plugins}, which is no folder: it holds folders {listed}")
    if not any((folder / name).is_dir() for name in FOLDERS):
        raise UserError(
            f"{plugins} has none of the folders {listed}: a rule of your own is rules/NAME.py there"
        )
    return folder


@cache
def _folder(package: str) -> Path:
    """The folder of one of this package's own packages."""
    spec = find_spec(package)
    assert spec is not None and spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]).resolve()
