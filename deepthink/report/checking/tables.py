"""Tables: whether the numbers in a folder's CSV files are those that its records give."""

from collections.abc import Iterator
from pathlib import Path

from deepthink.installation import called
from deepthink.report import page
from deepthink.report.checking.findings import Finding
from deepthink.report.runs import Runs


def check(results: Path, runs: Runs) -> Iterator[Finding]:
    """A finding for each CSV file under `tables` that redrawing would change, add or remove.

    In them stands every number of the report, with the t that its reading chooses. So a number
    whose t was chosen otherwise, on test for example, is found. The folder is left as it is.
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
            yield Finding(Path(name), "is missing, though other tables are there", redraw)
        elif (wrong := _differs(path, text)) is not None:
            yield Finding(Path(name), wrong, redraw)
    for other in there:
        yield Finding(other, "is no table that the records give", f"delete it, or {redraw}")


def _differs(path: Path, text: str) -> str | None:
    """What differs first; None if the file holds this text."""
    try:
        found = path.read_bytes()
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    if found == text.encode():
        return None
    lines = zip(found.decode(errors="replace").splitlines(), text.splitlines(), strict=False)
    line = next((n for n, (a, b) in enumerate(lines, start=1) if a != b), None)
    where = "in its last lines" if line is None else f"first in line {line}"
    return f"is not what the records give, {where}"
