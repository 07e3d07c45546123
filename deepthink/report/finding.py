"""Finding stored records by what a user names: a file, a folder, the words of a job, or an id."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deepthink.config.overrides import values
from deepthink.errors import UserError, unknown
from deepthink.installation import called
from deepthink.report import axes as named
from deepthink.report.axes import Axes
from deepthink.report.experiments import PUBLISHED, own_results
from deepthink.report.runs import Run
from deepthink.store import records

_ID = re.compile(r"[0-9a-f]{3,64}")


@dataclass(frozen=True)
class Found:
    """Records, in the order of their paths, and what is no record.

    broken: path → why it does not count.
    """

    runs: tuple[Run, ...]
    broken: Mapping[Path, str]

    @property
    def warning(self) -> str:
        """One line on the files that do not count; "" if all do."""
        if not self.broken:
            return ""
        path, why = next(iter(self.broken.items()))
        rest = f", and {len(self.broken) - 1} more" if len(self.broken) > 1 else ""
        return f"not counted: {path} {why}{rest}"


def under(place: Path) -> Found:
    """The records of a folder of results, of any folder, or of one file.

    Raises:
        UserError: there is no record, or the one file is none.
    """
    if place.is_file():
        return Found((Run(place, records.read(place)),), {})
    if not place.is_dir():
        raise UserError(f"{place} does not exist: {called()} results={place} would fill it")
    whole = any((place / name).is_dir() for name in ("records", "failures", "sweeps"))
    stored = records.load_under(place / "records" if whole else place)
    if not stored.records:
        broken = Found((), stored.broken).warning
        raise UserError(f"{place} has no records{f' ({broken})' if broken else ''}")
    return Found(tuple(Run(*pair) for pair in stored.records), stored.broken)


def find(word: str, results: Path | None = None) -> Found:
    """The records that a word names.

    word: the path of a record or of a folder; words of a job such as "task=sst2 method=vanilla",
        which all have to be so; or the beginning of a record's id.
    results: the folder of results in which words and ids are looked for. None takes the user's own,
        and for an id the published study's too.

    Raises:
        UserError: it names nothing.
    """
    if not word.strip():
        raise UserError("a record is named by its path, its id, or words such as 'task=sst2'")
    if Path(word).exists():
        return under(Path(word))
    if "=" in word:
        return _matching(word, results or own_results())
    if _ID.fullmatch(word):
        return _with_id(word, [results] if results else [own_results(), PUBLISHED])
    raise UserError(
        f"{word} is no file, no folder and no record's id; words of a job such as "
        "'task=sst2 method=vanilla' name records too"
    )


def _with_id(beginning: str, places: Sequence[Path]) -> Found:
    paths = {
        path.resolve(): path
        for place in places
        for path in sorted((place / "records").rglob(f"*-{beginning}*.json"))
        if path.stem.rpartition("-")[2].startswith(beginning)
    }
    if not paths:
        where = " or ".join(map(str, places))
        raise UserError(f"no record in {where} has an id that begins with {beginning}")
    if len(paths) > 1:
        few = ", ".join(path.name for path in [*paths.values()][:3])
        raise UserError(f"{len(paths)} records have ids that begin with {beginning}: {few}")
    return under(*paths.values())


def _matching(text: str, results: Path) -> Found:
    """The records whose axes have the values of these words."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UserError(f"{text} is not understood ({error})") from error
    if bare := [word for word in words if "=" not in word]:
        raise UserError(f"{bare[0]} is not understood: words are key=value, such as task=sst2")
    wanted = {word.partition("=")[0]: [*map(_plain, values(word))] for word in words}
    folder = wanted.pop("results", None)
    found = under(Path(folder[0]) if folder else results)
    kept = [(run, named.of_record(run.record, run.path.parent.name)) for run in found.runs]
    keys = {key for _, axes in kept for key in axes}
    for key, options in wanted.items():
        if key not in keys:
            raise unknown("key", key, keys)
        there = named.values((axes for _, axes in kept), key)
        kept = [pair for pair in kept if _has(pair[1], key, options)]
        if not kept:
            some = ", ".join(sorted(map(named.shown, there))[:8])
            asked = " or ".join(f"{key}={option}" for option in options)
            raise UserError(f"no record of these has {asked}: there is {some}")
    return Found(tuple(run for run, _ in kept), found.broken)


def _plain(value: str) -> str:
    """A value without its quotation marks."""
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value


def _has(axes: Axes, key: str, options: Sequence[str]) -> bool:
    value = axes.get(key)
    if named.shown(value) in options:
        return True
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return any(_number(option) == value for option in options)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
