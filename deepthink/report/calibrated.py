"""Calibrations as readings of stored scores: what a run would have predicted, without a model.

Only calibrations that ask the model nothing can be read like this; the others have runs of their
own. A run counts if its file of scores is there and its task has label words, the same for all
rows. Equal scores go to the first of their labels, since the texts that decide by lot otherwise are
not stored; the points count them.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import pandas as pd

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
}
"""The calibrations that are read, and what a table calls them."""


def readings() -> tuple[Calibration, ...]:
    """Every calibration that can be read from stored scores."""
    return tuple(Calibration(label, partial(_applied, name)) for name, label in NAMES.items())


def reading(name: str) -> Calibration:
    """One of them."""
    return Calibration(NAMES[name], partial(_applied, name), name == "batch_dev")


def _applied(name: str, run: Run) -> Run | None:
    """The run with the curve that its calibrated scores give, see `readings.Calibration`."""
    record = run.record
    if run.folder is None or not record.scores or record.identity.calibration is not None:
        return None
    if not record.identity.task.labels or (name == "batch_dev" and not run.has_dev):
        return None
    table = _table(run.folder / run.path, record.scores)
    if table is None:
        return None
    return replace(run, record=replace(record, curve=tuple(_points(name, table, record))))


@lru_cache(maxsize=4)
def _table(path: Path, digest: str) -> pd.DataFrame | None:
    return scores.read(path, digest)


def _points(name: str, table: pd.DataFrame, record: Record) -> Iterator[Point]:
    """The points of the calibrated curve, in the order of the record's."""
    calibration = calibrating.Calibration.of({"name": name})
    corrected = {
        step: calibration.corrected(_by_split(rows), common=True)
        for step, rows in table.groupby("step", sort=True)
    }
    for point in record.curve:
        rows = np.array(corrected[point.step][point.split])
        predicted = rows.argmax(axis=1)
        gold = np.array(record.gold.of(point.split), dtype=int)
        yield scored(
            point.step,
            point.split,
            rows.tolist(),
            gold.tolist(),
            predicted.tolist(),
            int(((rows == rows.max(axis=1, keepdims=True)).sum(axis=1) > 1).sum()),
            common=True,
            logs=record.identity.answer_score != "probability",
        )


def _by_split(rows: pd.DataFrame) -> dict[str, list[list[float]]]:
    """[Q, C] scores for each split that has scores: the rows are in the order of queries."""
    return {
        str(split): part["score"].to_numpy().reshape(-1, part["candidate"].max() + 1).tolist()
        for split, part in rows.groupby("split", observed=True, sort=False)
    }
