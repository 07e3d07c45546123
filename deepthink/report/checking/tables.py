"""Tables: whether the numbers in a folder's CSV files are those that its records give."""

import csv
from collections.abc import Iterator
from io import StringIO
from itertools import zip_longest
from pathlib import Path

from deepthink.installation import called
from deepthink.report import page
from deepthink.report.checking.findings import Finding
from deepthink.report.runs import Runs


def check(results: Path, runs: Runs) -> Iterator[Finding]:
    """A finding for each CSV file under `tables` that redrawing would change, add or remove.

    In them stands every number of the report, with the t that its reading chooses. So a number
    whose t was chosen otherwise, on test for example, is found. Commands are not compared, since
    they name the folder. A missing table hides no number and is a note. Nothing is written.
    """
    folder = results / "tables"
    if not folder.is_dir():
        return
    there = {Path("tables", path.name): path for path in sorted(folder.glob("*.csv"))}
    redraw = f"`{called()} tables results={results}` writes what the records give"
    for name, text in page.texts(results, runs, drawn=()):
        if not name.endswith(".csv"):
            continue
        path = there.pop(Path(name), None)
        if path is None:
            missing = "is missing, though other tables are there"
            yield Finding(Path(name), missing, redraw, error=False)
        elif (wrong := _differs(path, text)) is not None:
            yield Finding(Path(name), wrong, redraw)
    for other in there:
        yield Finding(other, "is no table that the records give", f"delete it, or {redraw}")


def _differs(path: Path, text: str) -> str | None:
    """Which row differs first; None if the file has the rows of this text."""
    try:
        found = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    rows = zip_longest(_rows(found), _rows(text))
    number = next((n for n, (one, other) in enumerate(rows, start=1) if one != other), None)
    return None if number is None else f"is not what the records give, first in row {number}"


def _rows(text: str) -> list[list[str]]:
    """The rows of a table, without the commands, which name the folder and the program."""
    try:
        rows = [*csv.reader(StringIO(text))]
    except csv.Error:
        return [[text]]
    header = rows[0] if rows else []
    if "command" not in header:
        return rows
    place = header.index("command")
    return [[*row[:place], *row[place + 1 :]] for row in rows]
