"""The files of a task of the user's own, and which of their rows are for training and for test."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from deepthink.config.own import OwnSpec
from deepthink.errors import UserError, shown
from deepthink.files import at_home
from deepthink.tasks.formats import KINDS, SHEET, kind
from deepthink.tasks.rows import Rows, check_once, joined, of_file
from deepthink.tasks.split_files import Absent, files_of

TRAIN, TEST, DEV = (
    frozenset({"train", "training"}),
    frozenset({"test", "testing"}),
    frozenset({"dev", "development", "valid", "validation", "val", "eval"}),
)
"""What a column may call the splits."""


@dataclass(frozen=True)
class Parts:
    """The rows of a task of the user's own.

    pool: the training rows, or all rows of a file that is not divided. test: the test rows; None
    where they are still to be held out. split: the column that divides the rows, if one does.
    told: lines for whoever reads the output.
    """

    pool: Rows
    test: Rows | None = None
    split: str | None = None
    told: tuple[str, ...] = ()

    @property
    def all(self) -> list[Rows]:
        """The parts that there are."""
        return [self.pool] if self.test is None else [self.pool, self.test]


def files(own: OwnSpec) -> list[list[Path]]:
    """The files of the training rows, and those of the test rows if these have files of their own.

    Raises:
        UserError: a file does not exist or is of no known kind, or a folder has no training file.
    """
    path = Path(at_home(own.file))
    if path.is_dir():
        if own.test_file is not None:
            raise UserError(f"task.file is the folder {path}: name a file beside task.test_file")
        return _of_folder(path)
    others = [] if own.test_file is None else [[_file("test_file", own.test_file)]]
    return [[_file("file", own.file)], *others]


def _of_folder(folder: Path) -> list[list[Path]]:
    try:
        train = files_of(folder, "train", None)
    except (UserError, ValueError) as error:
        raise UserError(f"task.file is the folder {folder}: {error}") from error
    for split in ("test", "validation"):
        try:
            return [train, files_of(folder, split, None)]
        except Absent:
            continue
    return [train]


def _file(key: str, name: str) -> Path:
    path = Path(at_home(name))
    if not path.exists():
        present = [other.name for other in path.parent.glob("*")] if path.parent.is_dir() else []
        near = get_close_matches(path.name, present, n=1)
        hint = f"did you mean {path.with_name(near[0])}?" if near else "look at its name and folder"
        raise UserError(f"task.{key} is {name}, which does not exist: {hint}")
    if not path.is_file():
        raise UserError(f"task.{key} is {name}, which is no file: name a file of rows")
    endings = (*KINDS, SHEET)
    if kind(path.name) not in endings:
        raise UserError(
            f"task.{key} is {name}: its name has none of the endings {', '.join(endings)}, so save "
            "the table as one of these"
        )
    return path


def read(own: OwnSpec, wanted: Sequence[str] | None = None) -> Parts:
    """The rows of the files, with the wanted columns, or all of them.

    Raises:
        UserError: a file is missing, cannot be read or has no rows, or the column `own.split` names
            no training rows or no test rows.
    """
    paths = files(own)
    columns = wanted if wanted is None or own.split is None else [*wanted, own.split]
    parts = [_joined([_rows(path, columns) for path in part]) for part in paths]
    if len(parts) == 2:
        return Parts(parts[0], parts[1])
    return by_column(parts[0], own)


def _rows(path: Path, wanted: Sequence[str] | None) -> Rows:
    rows = of_file(path, wanted, str(path))
    if not len(rows):
        heading = " but a heading" if rows.columns else ": is it empty?"
        raise UserError(f"{path} has no rows{heading}")
    if len(rows) == 1 and any(isinstance(cells[0], dict | list) for cells in rows.columns.values()):
        raise UserError(
            f"{path} is one object that holds whole columns: write an object for each row, as "
            "pandas does with orient='records'"
        )
    return rows


def _joined(parts: Sequence[Rows]) -> Rows:
    try:
        check_once(parts)
        for rows in parts:
            if {*rows.columns} != {*parts[0].columns}:
                raise ValueError("its files have different columns")
        return joined(parts)
    except ValueError as error:
        raise UserError(f"{parts[0].places[0][0].parent}: {error}") from error


def by_column(rows: Rows, own: OwnSpec) -> Parts:
    """The rows of one table, divided by its column of splits if it has one; UserError as `read`."""
    column = own.split if own.split is not None else _split_column(rows)
    if column is None:
        return Parts(rows)
    if column not in rows.columns:
        raise UserError(f"task.split is {shown(column)}, but {_listed(rows)}")
    words = [str(cell).strip().casefold() for cell in rows.columns[column]]
    for index, word in enumerate(words):
        if word not in TRAIN | TEST | DEV:
            cell = rows.columns[column][index]
            raise UserError(
                f"{rows.where(index)} has {shown(cell)} in column '{column}', which must say train "
                "or test (or dev) of each row"
            )
    of = {
        name: [index for index, word in enumerate(words) if word in named]
        for name, named in (("train", TRAIN), ("test", TEST), ("dev", DEV))
    }
    scored = of["test"] or of["dev"]
    if not of["train"] or not scored:
        lacks = "test" if of["train"] else "training"
        raise UserError(
            f"column '{column}' of {rows.places[0][0]} says of no row that it is a {lacks} row"
        )
    told: tuple[str, ...] = ()
    if of["dev"]:
        used = "are not used" if of["test"] else "are the test rows, since there are no others"
        told = (f"the {len(of['dev'])} rows whose '{column}' is '{words[of['dev'][0]]}' {used}",)
    return Parts(rows.take(of["train"]), rows.take(scored), column, told)


def _split_column(rows: Rows) -> str | None:
    """A column called "split" that says train and test, or dev, of the rows."""
    for name, cells in rows.columns.items():
        if name.casefold() == "split":
            words = {str(cell).strip().casefold() for cell in cells}
            if words <= TRAIN | TEST | DEV and words & TRAIN and words - TRAIN:
                return name
    return None


def _listed(rows: Rows) -> str:
    return f"the columns of {rows.places[0][0]} are {', '.join(rows.columns)}"
