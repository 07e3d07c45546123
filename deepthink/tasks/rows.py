"""Rows out of files: which files are a split, and what stands in them.

Parquet, JSON Lines (or one JSON list), CSV and TSV, the last three also packed (.gz, .bz2, .xz).
A path is taken literally; only a source's `files` are patterns. A cell of a text table is text,
whatever it looks like. Files are read anew each time: nothing is kept that could be out of date.
"""

import bz2
import csv
import gzip
import io
import json
import lzma
import os
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from glob import escape
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.utils import glob_translate
from yaml import YAMLError

from deepthink import content
from deepthink.errors import UserError, first_line

LINE = 10_000_000
"""The most characters of a line; a longer one is a mistake, such as a missing quotation mark."""

SIZE = 2**29
"""The most characters of a text file, and bytes of a parquet file's columns, once unpacked."""

ROWS, COLUMNS = 4_000_000, 10_000
"""The most rows and columns of a file."""

BROKEN = (
    *(OSError, ValueError, EOFError, RecursionError, csv.Error, zlib.error, lzma.LZMAError),
    *(pa.ArrowException, YAMLError),
)
"""What the readers raise for a file that is cut, damaged or of another kind than its name says."""

_PACKED: dict[str, Callable[[Path], Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


class Absent(UserError):
    """Rows that are not there at all, so that another source may have them."""


@dataclass(frozen=True)
class Rows:
    """Columns by name, and where each row stands: its file and its number there, from 1.

    names: the names of the classes of columns that have them.
    """

    columns: Mapping[str, Sequence[Any]]
    places: Sequence[tuple[Path, int]]
    names: Mapping[str, tuple[str, ...]]

    def __len__(self) -> int:
        return len(self.places)

    def where(self, index: int) -> str:
        """A row in words."""
        path, number = self.places[index]
        return f"row {number} of {path}"

    def take(self, indices: Iterable[int]) -> "Rows":
        """Some of the rows, in the order asked for."""
        chosen = list(indices)
        columns = {name: [cells[i] for i in chosen] for name, cells in self.columns.items()}
        return Rows(columns, [self.places[i] for i in chosen], self.names)


def joined(parts: Sequence[Rows]) -> Rows:
    """The rows of several parts, one after the other; ValueError for classes of other names."""
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
    patterns: split to file pattern; None: the files are told by the library's naming rules.

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
        found = joined([whole[p.splitname].take(range(p.from_, p.to)) for p in parts])
    except (ValueError, AssertionError) as error:
        raise UserError(
            f"{folder}: split '{split}' cannot be read ({first_line(error)})"
        ) from error
    if not len(found):
        raise UserError(f"{folder}: split '{split}' has no rows")
    return found


def shared(one: Rows, other: Rows) -> int:
    """How many rows of two splits are the same row of the same file, or of a copy of it."""
    sizes = [{path: path.stat().st_size for path, _ in rows.places} for rows in (one, other)]
    common = set(sizes[0].values()) & set(sizes[1].values())
    marks = [
        {path: content.digest(path) for path, size in of.items() if size in common} for of in sizes
    ]
    rows = [
        {(mark[path], number) for path, number in rows.places if path in mark}
        for rows, mark in zip((one, other), marks, strict=True)
    ]
    return len(rows[0] & rows[1])


def _whole(
    folder: Path, split: str, patterns: Mapping[str, str] | None, wanted: Sequence[str]
) -> Rows:
    """All rows of a split that is no slice."""
    named = _card(folder, wanted, patterns is None)
    parts = []
    for path in _files(folder, split, patterns):
        try:
            cells, names = _table(path, wanted)
        except BROKEN as error:
            reason = (isinstance(error, OSError) and error.strerror) or first_line(error)
            if isinstance(error, UnicodeDecodeError):
                reason = "it is no UTF-8 text: save it in that encoding"
            raise UserError(f"{path}, split '{split}', cannot be read ({reason})") from error
        count = len(cells[wanted[0]])
        parts.append(Rows(cells, [(path, n + 1) for n in range(count)], {**named, **names}))
    _check_once(parts)
    return joined(parts)


def _files(folder: Path, split: str, patterns: Mapping[str, str] | None) -> list[Path]:
    """The files of a split in order; where no pattern names them, of one kind in one folder."""
    listed = _listed(folder)
    if patterns is None:
        found = _by_name([name for name in listed if _kind(name) in KINDS], split)
        if len({_series(name, split) for name in found}) > 1:
            raise UserError(
                f"{folder}: split '{split}' may be {' or '.join(found[:3])}: say which in the "
                "source's files"
            )
    elif split in patterns:
        found = _matching(patterns[split], listed)
    else:
        raise UserError(f"the source's files have no split '{split}' but {', '.join(patterns)}")
    if not found:
        raise Absent(f"{folder} has no file of split '{split}' (one of {', '.join(KINDS)})")
    meant = [n for n in _missing(found) if patterns is None or _matching(patterns[split], [n])]
    if meant:
        raise UserError(f"{folder}: split '{split}' lacks {len(meant)} of its files ({meant[0]})")
    return [folder / name for name in found]


def _series(name: str, split: str) -> tuple[str, PurePosixPath, str]:
    """What the files of one split share: kind, folder and, where it names the split, the name.

    Numbers in the name may differ.
    """
    from datasets.data_files import SPLIT_KEYWORDS

    path = PurePosixPath(name)
    words = {str(key): words for key, words in SPLIT_KEYWORDS.items()}.get(split, [split])
    named = any(word in path.name for word in words)
    return _kind(name), path.parent, re.sub(r"\d+", "0", path.name) if named else ""


_PART = re.compile(r"(.*-)(\d{4,6})(-of-)(\d{4,6})(?!\d)(.*)")
"""A file's name as the hub and the datasets library number the parts of a split."""


def _missing(names: Sequence[str]) -> Iterator[str]:
    """The numbered parts that lack beside these files; ValueError for two divisions of one."""
    series: dict[tuple[str, str], dict[str, set[int]]] = {}
    for name in names:
        if part := _PART.fullmatch(name):
            totals = series.setdefault((part[1], part[5].partition(".")[2]), {})
            totals.setdefault(part[4], set()).add(int(part[2]))
    for (stem, ending), totals in series.items():
        if len(totals) > 1:
            ways = " and ".join(f"{stem}*-of-{total}.{ending}" for total in totals)
            raise ValueError(f"{ways} may hold the same rows: say which in the source's files")
        for total, found in totals.items():
            first = 0 if int(total) not in found else 1
            for number in sorted({*range(first, first + int(total))} - found):
                yield f"{stem}{number:0{len(total)}}-of-{total}.{ending}"


def _check_once(parts: Sequence[Rows]) -> None:
    """ValueError if two files with rows are one: a copy, or a link beside what it leads to."""
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


def _listed(folder: Path) -> list[str]:
    """The files below a folder, hidden ones left out, by their paths from there, sorted."""
    from datasets.data_files import FILES_TO_IGNORE

    found, seen = [], set()
    for place, folders, files in os.walk(folder, followlinks=True):
        seen.add(os.path.realpath(place))
        folders[:] = [
            name
            for name in folders
            if not name.startswith((".", "__"))
            and os.path.realpath(Path(place, name)) not in seen  # a link in a circle
        ]
        paths = [Path(place, name) for name in files if name not in FILES_TO_IGNORE]
        found += [
            path.relative_to(folder).as_posix()
            for path in paths
            if path.is_file() and not path.name.startswith(".")
        ]
    return sorted(found)


def _by_name(listed: Sequence[str], split: str) -> list[str]:
    """The files whose names or folders name a split, by the rules of the datasets library."""
    from datasets import data_files as rules

    keywords = {str(name): words for name, words in rules.SPLIT_KEYWORDS.items()}
    ways = (
        [rules.SPLIT_PATTERN_SHARDED.replace("{split}", escape(split))],
        rules.KEYWORDS_IN_DIR_NAME_BASE_PATTERNS,
        rules.KEYWORDS_IN_FILENAME_BASE_PATTERNS,
    )
    for way in ways:
        patterns = [
            pattern.format(keyword=escape(word), sep=rules.NON_WORDS_CHARS)
            for pattern in way
            for word in keywords.get(split, [split])
        ]
        found = {name for pattern in patterns for name in _matching(pattern, listed)}
        if found:
            return sorted(found)
    others = [name for name in keywords if name != "train"]
    if split == "train" and not any(_by_name(listed, name) for name in others):
        return list(listed)
    return []


def _matching(pattern: str, listed: Sequence[str]) -> list[str]:
    """The files a pattern means: the one of this very name, else those that match."""
    plain = PurePosixPath(pattern).as_posix()
    if plain in listed:
        return [plain]
    try:
        matches = re.compile(glob_translate(plain)).match
    except ValueError as error:
        raise UserError(f"the source's files have '{pattern}' ({first_line(error)})") from error
    return [name for name in listed if matches(name)]


def _card(folder: Path, wanted: Sequence[str], alone: bool) -> dict[str, tuple[str, ...]]:
    """The class names in the dataset's README.md, of columns on which its configurations agree.

    alone: nothing else says which files are meant, so there must be one configuration.
    """
    from datasets import ClassLabel
    from datasets.info import DatasetInfosDict

    try:
        known = DatasetInfosDict.from_directory(str(folder))
    except (*BROKEN, KeyError, TypeError, AttributeError) as error:
        told = first_line(error)
        raise UserError(f"{folder}/README.md says wrong things of the columns ({told})") from error
    if alone and len(known) > 1:
        raise UserError(
            f"{folder} holds {len(known)} datasets ({', '.join(list(known)[:5])}): say in the "
            "source's files which is meant"
        )
    found = {}
    for column in wanted:
        features = [(info.features or {}).get(column) for info in known.values()]
        names = {tuple(one.names) for one in features if isinstance(one, ClassLabel)}
        if len(names) == 1:
            found[column] = names.pop()
    return found


Table = tuple[dict[str, list[Any]], dict[str, tuple[str, ...]]]
"""Columns, and the names of classes."""


def _table(path: Path, wanted: Sequence[str]) -> Table:
    """The wanted columns of a file; one of `BROKEN` if they cannot be had."""
    kind = _kind(path.name)
    if kind == ".parquet":
        return _parquet(path, wanted)
    if kind not in _TEXTS:
        raise ValueError(f"its name has none of the endings {', '.join(KINDS)}")
    with _PACKED.get(path.suffix.lower(), _unpacked)(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
        return _TEXTS[kind](text, wanted), {}


def _kind(name: str) -> str:
    """The ending that says what a file is, that of its packing left out."""
    path = PurePosixPath(name.lower())
    return PurePosixPath(path.stem).suffix if path.suffix in _PACKED else path.suffix


def _unpacked(path: Path) -> IO[bytes]:
    return path.open("rb")


def _parquet(path: Path, wanted: Sequence[str]) -> Table:
    from datasets import ClassLabel, Features

    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        _check_columns(schema.names, wanted)
        cells: dict[str, list[Any]] = {name: [] for name in wanted}
        size = 0
        for batch in file.iter_batches(4096, columns=list(cells)):
            size += batch.nbytes
            _check_count(len(cells[wanted[0]]))
            if size > SIZE:
                raise ValueError(f"its columns hold more than {SIZE:,} bytes")
            for name in cells:
                cells[name] += batch.column(name).to_pylist()
        if b"huggingface" not in (schema.metadata or {}):
            return cells, {}
        features = Features.from_arrow_schema(schema)
    kinds = {name: features[name] for name in wanted}
    return cells, {n: tuple(k.names) for n, k in kinds.items() if isinstance(k, ClassLabel)}


def _json(text: IO[str], wanted: Sequence[str]) -> dict[str, list[Any]]:
    """A list of objects, or an object a line."""
    pieces = _pieces(text)
    first = next((piece for piece in pieces if piece.strip()), "")
    if first.lstrip().startswith("["):
        found = json.loads(first + "".join(pieces), object_pairs_hook=_object)
    else:
        filled = (line for line in _lines(chain([first], pieces)) if line.strip())
        found = (_parsed(line, number) for number, line in enumerate(filled, 1))
    cells: dict[str, list[Any]] = {name: [] for name in wanted}
    for number, row in _counted(found):
        if not isinstance(row, dict):
            raise ValueError(f"row {number} is no object of columns")
        if number == 1:
            _check_columns(list(row), wanted)
        for name in cells:
            cells[name].append(row.get(name))
    return cells


def _parsed(line: str, number: int) -> Any:
    try:
        return json.loads(line, object_pairs_hook=_object)
    except ValueError as error:
        raise ValueError(f"row {number} is cut or no JSON: {first_line(error)}") from error


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(
            name for name, count in Counter(name for name, _ in pairs).items() if count > 1
        )
        raise ValueError(f"an object has '{twice}' twice")
    return found


def _csv(text: IO[str], wanted: Sequence[str], delimiter: str = ",") -> dict[str, list[Any]]:
    csv.field_size_limit(LINE)
    table = csv.reader(_lines(_pieces(text)), delimiter=delimiter, strict=True)
    heading = next(table, [])
    _check_columns(heading, wanted)
    cells: dict[str, list[Any]] = {name: [] for name in wanted}
    places = {name: heading.index(name) for name in wanted}
    for number, row in _counted(row for row in table if row):
        if len(row) != len(heading):
            raise ValueError(
                f"row {number} has {len(row)} cells where the heading has {len(heading)}: a comma "
                "or a quotation mark in a text needs quotation marks around the text"
            )
        for name, place in places.items():
            if delimiter == "\t" and "\t" in row[place] and "\n" in row[place]:
                raise ValueError(
                    f"row {number} holds a tab and a line break: where a text begins with a "
                    "quotation mark, all of it needs quotation marks, or the next rows belong to it"
                )
            cells[name].append(row[place])
    return cells


def _tsv(text: IO[str], wanted: Sequence[str]) -> dict[str, list[Any]]:
    return _csv(text, wanted, "\t")


_TEXTS: dict[str, Callable[[IO[str], Sequence[str]], dict[str, list[Any]]]] = {
    **{".jsonl": _json, ".ndjson": _json, ".json": _json, ".csv": _csv, ".tsv": _tsv}
}
KINDS = (".parquet", *_TEXTS)


def _pieces(text: IO[str]) -> Iterator[str]:
    """The lines of a text of at most `SIZE` characters, in pieces of at most `LINE`."""
    size = 0
    while piece := text.readline(LINE):
        size += len(piece)
        if size > SIZE:
            raise ValueError(f"it holds more than {SIZE:,} characters: make parquet files of it")
        yield piece


def _lines(pieces: Iterable[str]) -> Iterator[str]:
    """Pieces that have to be whole lines."""
    for number, piece in enumerate(pieces, 1):
        if len(piece) >= LINE:
            raise ValueError(f"line {number} is longer than {LINE:,} characters")
        yield piece


def _counted(rows: Iterable[Any]) -> Iterator[tuple[int, Any]]:
    """Rows with their numbers, from 1, of which there are at most `ROWS`."""
    for number, row in enumerate(rows, 1):
        _check_count(number)
        yield number, row


def _check_count(number: int) -> None:
    if number > ROWS:
        raise ValueError(f"it has more than {ROWS:,} rows: take a part of them")


def _check_columns(found: Sequence[str], wanted: Sequence[str]) -> None:
    if len(found) > COLUMNS:
        raise ValueError(f"it has {len(found):,} columns, more than {COLUMNS:,}")
    for name in wanted:
        if found.count(name) > 1:
            raise ValueError(f"it has {found.count(name)} columns '{name}'")
        if name not in found:
            others = ", ".join(found[:10]) + (", …" if len(found) > 10 else "")
            raise ValueError(f"it has no column '{name}' but {others or 'none'}")
