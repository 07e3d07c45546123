"""Calibrations as readings of stored scores: what a run would have predicted, without a model.

A calibration that asks the model nothing can be read from any run with a file of scores. One that
asks about texts can be read from the runs that scored them too, with `readings=[NAME]`. The task
must have the same candidates for all rows: label words, or letters. Equal scores go to the first of
their labels, since the texts that decide by lot otherwise are not stored; the points count them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import pandas as pd

from deepthink.errors import unknown
from deepthink.report.readings import Calibration
from deepthink.report.runs import Run
from deepthink.store import scores
from deepthink.store.curves import Point
from deepthink.store.schema import Record
from deepthink.study import calibrating
from deepthink.study.points import point as scored

NAMES = {
    "batch": "batch calibration (transductive)",
    "batch_dev": "batch calibration from dev (inductive)",
    "contextual": "contextual calibration",
    "domain": "domain-context calibration",
    "pmi": "domain-conditional PMI",
}
"""The calibrations that are read, and what a table calls them."""

FREE = ("batch", "batch_dev")
"""Those that ask the model nothing."""

Rows = dict[str, list[list[float]]]
"""Split → [Q, C] scores of its queries."""


def readings() -> tuple[Calibration, ...]:
    """Every calibration that can be read from the scores of any run."""
    return tuple(map(reading, FREE))


def reading(name: str) -> Calibration:
    """A calibration by the name that a config has for it; UserError for one that is not read.

    >>> reading("domain").name
    'domain-context calibration'
    """
    if name not in NAMES:
        raise unknown("reading", name, NAMES)
    return Calibration(NAMES[name], partial(_applied, name), dev=name == "batch_dev")


def log_scores(run: Run) -> dict[int, dict[str, np.ndarray]] | None:
    """The scores stored beside a run as the model gave them: t → split → [Q, C] float64, in nats.

    None where no calibration can be read: without a file of scores, where a calibration was applied
    when the job ran, where scores are no log-probabilities, or where rows differ in candidates.
    """
    stored = _stored(run)
    return None if stored is None else _log_scores(stored)


def _applied(name: str, run: Run) -> Run | None:
    """The run with the curve that its calibrated scores give, see `readings.Calibration`."""
    stored = _stored(run)
    if stored is None or (name == "batch_dev" and not run.has_dev):
        return None
    curve = _curve(name, stored)
    return None if curve is None else replace(run, record=replace(run.record, curve=curve))


@dataclass(frozen=True)
class _Stored:
    """A file of scores beside a record at `path`. The digest of the file says what is in it."""

    path: Path
    digest: str
    record: Record = field(compare=False)


def _stored(run: Run) -> _Stored | None:
    """Where the scores of a run are; None if it has none that a calibration may correct."""
    record = run.record
    key = record.identity
    if run.folder is None or not record.scores or key.calibration is not None:
        return None
    if key.answer_score == "probability":
        return None
    return _Stored(run.folder / run.path, record.scores, record)


@lru_cache(maxsize=4096)
def _curve(name: str, stored: _Stored) -> tuple[Point, ...] | None:
    """The calibrated curve, kept since many readings of one run ask for it; None without scores."""
    table = _table(stored)
    if table is None:
        return None
    if name not in FREE and not (table["split"] == scores.texts_of(name)).any():
        return None
    return tuple(points(name, table, stored.record))


@lru_cache(maxsize=1024)
def _log_scores(stored: _Stored) -> dict[int, dict[str, np.ndarray]] | None:
    """As `log_scores`."""
    table = _table(stored)
    if table is None:
        return None
    rows = scores.of_rows(table)
    return {
        int(step): {split: np.array(part) for split, part in _by_split(of).items()}
        for step in table["step"].unique()
        if len(of := rows[rows["step"] == step])
    }


@lru_cache(maxsize=4)
def _table(stored: _Stored) -> pd.DataFrame | None:
    """The table of scores; None if the file is missing or its rows differ in their candidates."""
    table = scores.read(stored.path, stored.digest)
    return None if table is None or not _common(table, stored.record) else table


def _common(table: pd.DataFrame, record: Record) -> bool:
    """Whether all rows have the same candidates: label words, or equally many letters."""
    task = record.identity.task
    if task.labels or task.answer != "letter":
        return bool(task.labels)
    rows = scores.of_rows(table)
    return rows.groupby(["step", "split", "query"], observed=True).size().nunique() == 1


def points(name: str, table: pd.DataFrame, record: Record) -> Iterator[Point]:
    """The points of the calibrated curve, in the order of the record's.

    name: one of `NAMES`. table: the record's scores, with those of the calibration's texts.
    """
    calibration = calibrating.Calibration.of({"name": name})
    corrected = {}
    for step, part in table.groupby("step", sort=True):
        rows = _by_split(scores.of_rows(part))
        answers = None
        if name not in FREE:
            asked = part[part["split"] == scores.texts_of(name)]
            answers = _of_queries(asked, record, {split: len(of) for split, of in rows.items()})
            texts = next(iter(answers.values())).shape[1]
            calibration = replace(calibration, texts=tuple(map(str, range(texts))))
        corrected[step] = calibration.corrected(rows, common=True, answers=answers)
    for point in record.curve:
        numbers = np.array(corrected[point.step][point.split])
        predicted = numbers.argmax(axis=1)
        gold = np.array(record.gold.of(point.split), dtype=int)
        yield scored(
            point.step,
            point.split,
            numbers.tolist(),
            gold.tolist(),
            predicted.tolist(),
            int(((numbers == numbers.max(axis=1, keepdims=True)).sum(axis=1) > 1).sum()),
            common=True,
            logs=record.identity.answer_score != "probability",
        )


def _by_split(rows: pd.DataFrame) -> Rows:
    """The scores of each split that has any: the rows are in the order of queries."""
    return {
        str(split): part["score"].to_numpy().reshape(-1, part["candidate"].max() + 1).tolist()
        for split, part in rows.groupby("split", observed=True, sort=False)
    }


def _of_queries(
    asked: pd.DataFrame, record: Record, sizes: Mapping[str, int]
) -> dict[str, np.ndarray]:
    """Split → [Q, n, C], the scores of n texts behind the demonstrations of each query.

    sizes: how many queries each split has, dev first.
    """
    groups = (record.demonstrations.groups or ())[:: record.identity.orders]
    several = max(1, len(groups))
    of_group = asked["score"].to_numpy().reshape(several, -1, asked["candidate"].max() + 1)
    place = np.zeros(sum(sizes.values()), dtype=int)
    for number, group in enumerate(groups):
        place[list(group.queries)] = number
    ends = np.cumsum([*sizes.values()])[:-1]
    parts = np.split(of_group[place], ends)
    return dict(zip(sizes, parts, strict=True))
