"""The metrics of a job besides accuracy, in the terminal."""

from rich.console import Console
from rich.table import Table

from deepthink.app.terminal import plain_table
from deepthink.store import curves
from deepthink.store.schema import Record

_MISSING = "–"


def show(record: Record, console: Console) -> None:
    """Print the metrics, if the record has any: earlier ones have none."""
    if (made := table(record, console.width)) is not None:
        console.print(made)


def table(record: Record, width: int) -> Table | None:
    """A row for every scored t; None if the record has no metric.

    Columns are macro-F1, the mean log-likelihood of the gold answer among the candidates in nats
    (log p), and the expected calibration error (ECE) of every split. The last one is the mean
    log-likelihood of a token of the demonstrations' own answers behind the memory of the others. A
    column without a number is left out.

    width: the terminal's, in characters.
    """
    columns: dict[str, list[str]] = {}
    for points in (curves.of_split(record.curve, split) for split in ("dev", "test")):
        name = points[0].split if points else ""
        columns[f"{name}\nmacro-F1"] = [_shown(point.macro_f1, ".1%") for point in points]
        columns[f"{name}\nlog p"] = [_shown(point.log_likelihood, ".4f") for point in points]
        columns[f"{name}\nECE"] = [_shown(point.calibration_error, ".1%") for point in points]
    asked = {each.step: each.log_p for each in record.left_out}
    steps = sorted({point.step for point in record.curve})
    columns["leave-one-out\nlog p"] = [_shown(asked.get(step), ".4f") for step in steps]
    known = {name: cells for name, cells in columns.items() if {*cells} - {_MISSING}}
    if not known:
        return None
    made = plain_table("t", *known, width=width)
    for step, *cells in zip(steps, *known.values(), strict=True):
        made.add_row(str(step), *cells)
    return made


def _shown(value: float | None, form: str) -> str:
    return _MISSING if value is None else format(value, form)
