"""Files of scores: whether each is the one of its record, and gives the record's accuracies."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from deepthink.errors import UserError
from deepthink.plugins import CALIBRATIONS
from deepthink.report import calibrated
from deepthink.report.checking.findings import Finding
from deepthink.report.runs import Array, Run
from deepthink.store import scores
from deepthink.store.curves import Point
from deepthink.store.schema import Record
from deepthink.study.points import point as scored

_REDO = "put back the file that was written with the record, or run its job again with force=true"
_NUMBERS = {"step": "iu", "query": "iu", "candidate": "iu", "label": "iu", "score": "f"}
"""The columns beside `split`, and what NumPy calls the kinds of number that they hold."""

_METRICS = ("macro_f1", "log_likelihood", "calibration_error")
_TOLERANCE = 2e-6
"""Metrics have six digits, and libraries of another version may round the last one otherwise."""


def check(results: Path, run: Run) -> Iterator[Finding]:
    """Findings on the scores of a record that has any."""
    if not run.record.scores:
        return
    place = scores.place(run.path)
    try:
        table = scores.read(results / run.path, run.record.scores)
    except UserError:
        yield Finding(place, "is not the file that was written with its record", _REDO)
        return
    except Exception:  # whatever a reader of parquet raises on a foreign file
        yield Finding(place, "cannot be read as a table of scores", _REDO)
        return
    if table is None:
        yield Finding(run.path, f"names a file of scores, but {place.name} is missing", _REDO)
    elif missing := [name for name in ("split", *_NUMBERS) if name not in table]:
        yield Finding(place, f"lacks the column {missing[0]}", _REDO)
    elif any(table[name].dtype.kind not in kinds for name, kinds in _NUMBERS.items()):
        yield Finding(place, "has a column of another type than a table of scores", _REDO)
    elif table["score"].isna().any():
        yield Finding(place, "holds scores that are no numbers (NaN)", _REDO)
    elif not run.record.open:
        yield from _against_the_curve(place, table, run.record)


def _against_the_curve(place: Path, table: pd.DataFrame, record: Record) -> Iterator[Finding]:
    if record.identity.calibration is not None:
        yield from _calibrated(place, table, record)
        return
    parts = dict(iter(scores.of_rows(table).groupby(["step", "split"], observed=True)))
    for point in record.curve:
        part = parts.pop((point.step, point.split), None)
        where = f"on {point.split} at t = {point.step}"
        if part is None:
            yield Finding(place, f"has no scores {where}", _REDO)
        elif wrong := _wrong(part, point, record):
            yield Finding(place, f"{wrong} {where}", _REDO)
    for step, split in parts:
        yield Finding(place, f"has scores on {split} at t = {step} that no accuracy is of", _REDO)


def _wrong(part: pd.DataFrame, point: Point, record: Record) -> str:
    """What scores of a step and split say otherwise than the point of the curve; "" if nothing."""
    rows = _rows(part)
    gold = np.array(record.gold.of(point.split), dtype=int)
    predicted = np.array(point.predicted.split(), dtype=int)
    labels = part.drop_duplicates("query")["label"].to_numpy()
    if len(rows) != point.count or not np.array_equal(labels, gold):
        return "has other rows or gold labels than the record"
    if not all(answer < len(row) for answer, row in zip(predicted, rows, strict=True)):
        return "lacks the score of an answer that the record predicts"
    best = [row[answer] == row.max() for answer, row in zip(predicted, rows, strict=True)]
    if not all(best):
        return f"gives {best.count(False)} other predictions than the record"
    if not record.identity.task.labels:
        return ""  # equal texts of a question's own options count once, and texts are not stored
    ties = sum(int((row == row.max()).sum() > 1) for row in rows)
    logs = record.identity.answer_score != "probability"
    as_lists = [row.tolist() for row in rows]
    again = scored(
        point.step, point.split, as_lists, gold.tolist(), predicted.tolist(), ties, True, logs
    )
    return _metrics(again, point)


def _rows(part: pd.DataFrame) -> list[Array]:
    """For each query its candidates' scores."""
    queries = part["query"].to_numpy()
    return np.split(part["score"].to_numpy(), np.flatnonzero(np.diff(queries)) + 1)


def _metrics(again: Point, point: Point) -> str:
    for name in _METRICS:
        stored, found = getattr(point, name), getattr(again, name)
        if stored is None:
            continue
        if found is None or abs(stored - found) > _TOLERANCE * max(1, abs(stored)):
            return f"gives another {name.replace('_', ' ')} than the record"
    return ""


def _calibrated(place: Path, table: pd.DataFrame, record: Record) -> Iterator[Finding]:
    """As `_against_the_curve`, of a job that corrected its scores before the highest won."""
    described = record.identity.calibration or {}
    name = described["name"]
    if name not in calibrated.NAMES or described != CALIBRATIONS.described({"name": name}, None):
        wrong = f"was calibrated by {name}, which cannot be computed again here"
        todo = "its accuracies are compared with its predictions alone"
        yield Finding(place, wrong, todo, error=False)
        return
    try:
        again = [*calibrated.points(name, table, record)]
    except (ValueError, KeyError, IndexError, StopIteration):
        yield Finding(place, f"does not hold what the calibration {name} needs", _REDO)
        return
    for stored, made in zip(record.curve, again, strict=True):
        if abs(stored.correct - made.correct) > (made.ties or 0):  # ties are drawn by lot
            wrong = f"gives another accuracy on {stored.split} at t = {stored.step}"
            yield Finding(place, wrong, _REDO)
