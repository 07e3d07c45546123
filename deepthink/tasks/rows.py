"""The rows of a dataset's splits, with where each row stands.

Files are read again each time. Nothing is kept that could be out of date.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from deepthink import content
from deepthink.errors import UserError, first_line
from deepthink.tasks.formats import BROKEN, read_columns
from deepthink.tasks.split_files import files_of


@dataclass(frozen=True)
class Rows:
    """Columns by name, and where each row stands: its file and its number there, from 1.

    names: the class names of the columns that have them.
    """

    columns: Mapping[str, Sequence[Any]]
    places: Sequence[tuple[Path, int]]
    names: Mapping[str, tuple[str, ...]]

    def __len__(self) -> int:
        return len(self.places)

    def where(self, index: int) -> str:
        """Where a row stands, in words."""
        path, number = self.places[index]
        return f"row {number} of {path}"

    def take(self, indices: Iterable[int]) -> "Rows":
        """The rows at these indices, in this order."""
        chosen = list(indices)
        columns = {name: [cells[i] for i in chosen] for name, cells in self.columns.items()}
        return Rows(columns, [self.places[i] for i in chosen], self.names)


def joined(parts: Sequence[Rows]) -> Rows:
    """The rows of several parts, one after the other; ValueError if their class names differ."""
    first = parts[0]
    if any(part.names != first.names for part in parts):
        raise ValueError("its files name the classes differently")
    columns = {
        name: list(chain.from_iterable(part.columns[name] for part in parts))
        for name in first.columns
    }
    places = list(chain.from_iterable(part.places for part in parts))
    return Rows(columns, places, first.names)


def read(
    folder: Path, split: str, patterns: Mapping[str, str] | None, wanted: Sequence[str]
) -> Rows:
    """The wanted columns of a split of the dataset in a folder.

    split: a name, or as in the datasets library a slice or a sum: "train[:80%]", "train+dev".
    patterns: from a split to its file pattern; with None the library's naming rules apply.

    Raises:
        Absent: the folder has no file of the split.
        UserError: a file that cannot be read or has not these columns, or a split without rows.
    """
    from datasets import ReadInstruction

    try:
        instruction = ReadInstruction.from_spec(split)
        names = [re.split(r"[\[(]", part)[0].strip() for part in split.split("+")]
        whole = {name: _whole(folder, name, patterns, wanted) for name in dict.fromkeys(names)}
        parts = instruction.to_absolute({name: len(rows) for name, rows in whole.items()})
        rows = joined([whole[p.splitname].take(range(p.from_, p.to)) for p in parts])
    except (ValueError, AssertionError) as error:
        raise UserError(
            f"{folder}: split '{split}' cannot be read ({first_line(error)})"
        ) from error
    if not len(rows):
        raise UserError(f"{folder}: split '{split}' has no rows")
    return rows


def common_rows(first: Rows, second: Rows) -> int:
    """How many rows of two splits are the same row of the same file, or of a copy of it."""
    paths = [{path for path, _ in rows.places} for rows in (first, second)]
    sizes = [{path: path.stat().st_size for path in of} for of in paths]
    common = set(sizes[0].values()) & set(sizes[1].values())
    marks = [
        {path: content.digest(path) for path, size in of.items() if size in common} for of in sizes
    ]
    rows = [
        {(mark[path], number) for path, number in rows.places if path in mark}
        for rows, mark in zip((first, second), marks, strict=True)
    ]
    return len(rows[0] & rows[1])


def _whole(
    folder: Path, split: str, patterns: Mapping[str, str] | None, wanted: Sequence[str]
) -> Rows:
    """All rows of a split, before it is sliced."""
    named = _card(folder, wanted, patterns is None)
    parts = []
    for path in files_of(folder, split, patterns):
        part = of_file(path, wanted, f"{path}, split '{split}',")
        parts.append(replace(part, names={**named, **part.names}))
    check_once(parts)
    return joined(parts)


def of_file(path: Path, wanted: Sequence[str] | None, called: str) -> Rows:
    """All rows of a file, with the wanted columns, or all.

    called: the beginning of the message of the UserError for a file that cannot be read.
    """
    try:
        cells, names = read_columns(path, wanted)
    except BROKEN as error:
        reason = (isinstance(error, OSError) and error.strerror) or first_line(error)
        if isinstance(error, UnicodeDecodeError):
            reason = "it is no UTF-8 text: save it in that encoding"
        raise UserError(f"{called} cannot be read ({reason})") from error
    count = len(next(iter(cells.values()), ()))
    return Rows(cells, [(path, number + 1) for number in range(count)], names)


def check_once(parts: Sequence[Rows]) -> None:
    """Raise ValueError if two files hold the same: a copy, or a link beside its target."""
    paths = [rows.places[0][0] for rows in parts if len(rows)]
    sizes = Counter(path.stat().st_size for path in paths)
    seen: dict[str, Path] = {}
    for path in paths:
        if sizes[path.stat().st_size] > 1:
            first = seen.setdefault(content.digest(path), path)
            if first != path:
                raise ValueError(
                    f"{first.name} and {path.name} hold the same and would count twice: say which "
                    "in the source's files"
                )


def _card(folder: Path, wanted: Sequence[str], alone: bool) -> dict[str, tuple[str, ...]]:
    """The class names in the dataset's README.md, for columns on which its configurations agree.

    alone: nothing else says which files are meant, so there must be a single configuration.
    """
    from datasets import ClassLabel
    from datasets.info import DatasetInfosDict

    try:
        known = DatasetInfosDict.from_directory(str(folder))
    except (*BROKEN, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{folder}/README.md says wrong things of the columns ({first_line(error)})"
        ) from error
    if alone and len(known) > 1:
        raise UserError(
            f"{folder} holds {len(known)} datasets ({', '.join(list(known)[:5])}): say in the "
            "source's files which is meant"
        )
    agreed = {}
    for column in wanted:
        features = [(info.features or {}).get(column) for info in known.values()]
        names = {tuple(kind.names) for kind in features if isinstance(kind, ClassLabel)}
        if len(names) == 1:
            agreed[column] = names.pop()
    return agreed
