"""The rows of a record as lines of the exchange format, without the sentences of a data set.

A row is named by its place among the test rows and by the SHA-256 of all rows of its job, which
together are the same for every model and method. What stands in the place of its text says this in
words.
"""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pandas as pd

from deepthink.report.exchange import logs
from deepthink.report.runs import Run
from deepthink.store import curves, scores
from deepthink.store.curves import Point
from deepthink.store.schema import Record

_Scores = dict[tuple[int, int], dict[str, float]]
"""(t, row) → candidate → score."""


def lines(run: Run) -> Iterator[str]:
    """A line for each scored t and test row; none for an open task, whose answers have no label.

    Raises:
        UserError: the file of scores is not the one that was written with the record.
    """
    record = run.record
    given = _scores(run)
    for point in curves.of_split(record.curve, "test"):
        for row in range(point.count):
            yield json.dumps(_line(record, point, row, given.get((point.step, row))))


def _line(record: Record, point: Point, row: int, given: dict[str, float] | None) -> dict[str, Any]:
    names = record.identity.task.labels
    gold, answer = (
        _named(int(labels[row]), names)
        for labels in (record.gold.of("test"), point.predicted.split())
    )
    raw = f"test row {row} of the data with SHA-256 {record.identity.task.data}"
    about = {"t": str(point.step)}
    if given is not None:
        about["scores"] = json.dumps(given)
    return {
        "schema_version": logs.SCHEMA,
        "evaluation_id": logs.evaluation_id(record),
        "model_id": logs.model_id(record),
        "evaluation_name": logs.evaluation_name(record, point.step),
        "evaluation_result_id": logs.result_id(record, point.step, "accuracy"),
        "sample_id": f"{record.config.task.name}.test.{row}",
        "sample_hash": _hash(raw, [gold]),
        "interaction_type": "single_turn",
        "input": {"raw": raw, "reference": [gold], **({"choices": [*names]} if names else {})},
        "output": {"raw": [answer]},
        "answer_attribution": [
            {
                "turn_idx": 0,
                "source": "output.raw",
                "extracted_value": answer,
                "extraction_method": "candidate with the highest score",
                "is_terminal": True,
            }
        ],
        "evaluation": {"score": float(gold == answer), "is_correct": gold == answer},
        "metadata": about,
    }


def _hash(raw: str, reference: list[str]) -> str:
    """As the format's own converters take it: SHA-256 of canonical JSON."""
    both = {"raw": raw, "reference": reference}
    text = json.dumps(both, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _named(label: int, names: tuple[str, ...]) -> str:
    """A candidate by its label word, or by its place among a row's own options."""
    return names[label] if names else str(label)


def _scores(run: Run) -> _Scores:
    """The stored scores of the test rows; empty if the record has none, or their file is gone."""
    if run.folder is None or not run.record.scores:
        return {}
    table = scores.read(run.folder / run.path, run.record.scores)
    if table is None:
        return {}
    names = run.record.identity.task.labels
    found: _Scores = {}
    rows: pd.DataFrame = table[table["split"] == "test"]
    columns = (rows[name].tolist() for name in ("step", "query", "candidate", "score"))
    for step, row, candidate, score in zip(*columns, strict=True):
        found.setdefault((step, row), {})[_named(candidate, names)] = score
    return found
