"""The columns of one file: Parquet, JSON Lines (or one JSON list), CSV, TSV and Excel.

JSON, CSV and TSV may also be packed (.gz, .bz2, .xz). A cell of a text table is text, whatever it
looks like.
"""

import bz2
import csv
import gzip
import io
import json
import lzma
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq
from yaml import YAMLError

from deepthink.errors import first_line

LINE = 10_000_000
"""The most characters of a line. A longer one is a mistake, such as a missing quotation mark."""

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


Table = tuple[dict[str, list[Any]], dict[str, tuple[str, ...]]]
"""Columns by name, and the class names of the columns that have them."""


def read_columns(path: Path, wanted: Sequence[str] | None) -> Table:
    """The wanted columns of a file, or all, each a list of cells; raises one of `BROKEN`."""
    ending = kind(path.name)
    if ending == ".parquet":
        return _parquet(path, wanted)
    if path.suffix.lower() == SHEET:
        return _sheet(path, wanted), {}
    if ending not in _TEXTS:
        raise ValueError(f"its name has none of the endings {', '.join(KINDS)}")
    with _PACKED.get(path.suffix.lower(), _unpacked)(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
        return _TEXTS[ending](text, wanted), {}


def kind(name: str) -> str:
    """The ending that says what a file is; an ending for compression is ignored.

    >>> kind("train.jsonl.gz")
    '.jsonl'
    """
    path = PurePosixPath(name.lower())
    return PurePosixPath(path.stem).suffix if path.suffix in _PACKED else path.suffix


def _unpacked(path: Path) -> IO[bytes]:
    return path.open("rb")


def _parquet(path: Path, named: Sequence[str] | None) -> Table:
    from datasets import ClassLabel, Features

    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        wanted = _checked_columns(schema.names, named)
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


def _sheet(path: Path, named: Sequence[str] | None) -> dict[str, list[Any]]:
    """The columns of an Excel file with one filled sheet, whose first row names them."""
    from openpyxl import load_workbook

    try:
        with closing(load_workbook(path, read_only=True, data_only=True)) as book:
            tables = {sheet.title: [*_filled(sheet)] for sheet in book.worksheets}
    except BROKEN:
        raise
    except Exception as error:  # openpyxl lets what its parts raise for a wreck pass
        raise ValueError(f"it is no whole Excel file: {first_line(error)}") from error
    filled = {title: rows for title, rows in tables.items() if rows}
    if len(filled) > 1:
        raise ValueError(
            f"it has {len(filled)} filled sheets ({', '.join(filled)}): save one alone"
        )
    heading, *rows = next(iter(filled.values()), [()])
    names = ["" if cell is None else str(cell).strip() for cell in heading]
    places = {name: names.index(name) for name in _checked_columns(names, named)}
    return {
        name: [row[place] if place < len(row) else None for row in rows]
        for name, place in places.items()
    }


def _filled(sheet: Any) -> Iterator[tuple[Any, ...]]:
    """The rows of a sheet that hold something."""
    for _, row in _counted(sheet.iter_rows(values_only=True)):
        if any(cell is not None for cell in row):
            yield row


def _json(text: IO[str], named: Sequence[str] | None) -> dict[str, list[Any]]:
    """The columns of one JSON list of objects, or of one object per line."""
    pieces = _pieces(text)
    first = next((piece for piece in pieces if piece.strip()), "")
    if first.lstrip().startswith("["):
        objects = json.loads(first + "".join(pieces), object_pairs_hook=_object)
    else:
        filled = (line for line in _lines(chain([first], pieces)) if line.strip())
        objects = (_parsed(line, number) for number, line in enumerate(filled, 1))
    cells: dict[str, list[Any]] = {}
    for number, row in _counted(objects):
        if not isinstance(row, dict):
            raise ValueError(f"row {number} is no object of columns")
        if number == 1:
            cells = {name: [] for name in _checked_columns(list(row), named)}
        for name in row if named is None else ():
            cells.setdefault(name, [None] * (number - 1))
        for name in cells:
            cells[name].append(row.get(name))
    return cells


def _parsed(line: str, number: int) -> Any:
    try:
        return json.loads(line, object_pairs_hook=_object)
    except ValueError as error:
        raise ValueError(f"row {number} is cut or no JSON: {first_line(error)}") from error


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    columns = dict(pairs)
    if len(columns) < len(pairs):
        twice = next(
            name for name, count in Counter(name for name, _ in pairs).items() if count > 1
        )
        raise ValueError(f"an object has '{twice}' twice")
    return columns


def _csv(text: IO[str], named: Sequence[str] | None, delimiter: str = ",") -> dict[str, list[Any]]:
    csv.field_size_limit(LINE)
    table = csv.reader(_lines(_pieces(text)), delimiter=delimiter, strict=True)
    heading = [name.strip() for name in next(table, [])]
    if named is None:
        _check_delimiter(heading, delimiter)
    wanted = _checked_columns(heading, named)
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


def _tsv(text: IO[str], named: Sequence[str] | None) -> dict[str, list[Any]]:
    return _csv(text, named, "\t")


def _check_delimiter(heading: Sequence[str], delimiter: str) -> None:
    """Raise ValueError for a heading of one column that another sign would divide."""
    for sign, what in ((";", "semicolons"), ("\t", "tabs"), (",", "commas"), ("|", "bars")):
        if len(heading) == 1 and sign != delimiter and sign in heading[0]:
            usual = "tabs" if delimiter == "\t" else "commas"
            raise ValueError(
                f"its heading is one column, '{heading[0]}', divided by {what}: save it with "
                f"{usual} between the columns"
            )


_TEXTS: dict[str, Callable[[IO[str], Sequence[str] | None], dict[str, list[Any]]]] = {
    **{".jsonl": _json, ".ndjson": _json, ".json": _json, ".csv": _csv, ".tsv": _tsv}
}
KINDS = (".parquet", *_TEXTS)
SHEET = ".xlsx"
"""The ending of Excel files, which are read where one is named and not looked for in folders."""


def _pieces(text: IO[str]) -> Iterator[str]:
    """The lines of a text of at most `SIZE` characters, in pieces of at most `LINE`."""
    size = 0
    while piece := text.readline(LINE):
        size += len(piece)
        if size > SIZE:
            raise ValueError(f"it holds more than {SIZE:,} characters: make parquet files of it")
        yield piece


def _lines(pieces: Iterable[str]) -> Iterator[str]:
    """The pieces; ValueError for one that is not a whole line."""
    for number, piece in enumerate(pieces, 1):
        if len(piece) >= LINE:
            raise ValueError(f"line {number} is longer than {LINE:,} characters")
        yield piece


def _counted(rows: Iterable[Any]) -> Iterator[tuple[int, Any]]:
    """Rows with their numbers, from 1; ValueError for more than `ROWS`."""
    for number, row in enumerate(rows, 1):
        _check_count(number)
        yield number, row


def _check_count(number: int) -> None:
    if number > ROWS:
        raise ValueError(f"it has more than {ROWS:,} rows: take a part of them")


def _checked_columns(present: Sequence[str], named: Sequence[str] | None) -> list[str]:
    """The named columns, or all that have a name, of those that are present."""
    wanted = [name for name in present if name] if named is None else list(named)
    if len(present) > COLUMNS:
        raise ValueError(f"it has {len(present):,} columns, more than {COLUMNS:,}")
    for name in wanted:
        if present.count(name) > 1:
            raise ValueError(f"it has {present.count(name)} columns '{name}'")
        if name not in present:
            others = ", ".join(present[:10]) + (", …" if len(present) > 10 else "")
            raise ValueError(f"it has no column '{name}' but {others or 'none'}")
    return wanted
