"""Made-up records with files of scores, for what is read from scores."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from made_records import made

from deepthink.config.job import Config
from deepthink.store import records, scores
from deepthink.store.curves import Point
from deepthink.store.identity import identity, record_id
from deepthink.store.schema import Gold, Rows
from deepthink.study.points import in_words, point

ROWS = 24
"""Rows of dev and of test."""


def put_scored(results: Path, config: Config, steps: Sequence[int]) -> Path:
    """Store a record of a job that was scored after these t, with scores drawn by its key.

    The gold candidate's score rises with t, and one label is favoured whatever the row is.
    """
    here = replace(config, results=str(results))
    key = record_id(identity(here, "float32", "data"))
    rng = np.random.default_rng(int(key, 16))
    gold = np.arange(ROWS) % len(config.task.labels)
    curve: list[Point] = []
    lines = []
    for step in steps:
        for split in ("dev", "test"):
            numbers = rng.normal(size=(ROWS, len(config.task.labels))) - 3
            numbers[np.arange(ROWS), gold] += 0.1 * step
            numbers[:, 0] += 1
            predicted = numbers.argmax(axis=1).tolist()
            known = gold.tolist()
            curve.append(point(step, split, numbers.tolist(), known, predicted, 0, True, True))
            lines += [
                (step, split, query, candidate, gold[query], score)
                for query, of in enumerate(numbers.tolist())
                for candidate, score in enumerate(of)
            ]
    record = made(
        here,
        dict.fromkeys(steps, 0),
        dict.fromkeys(steps, 0),
        rows=ROWS,
        left_out={step: -1.0 / step for step in steps} if len(steps) > 1 else None,
    )
    path = records.path_of(here, record.identity)
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = ["step", "split", "query", "candidate", "label", "score"]
    digest = scores.write(path, pd.DataFrame(lines, columns=columns))
    words = in_words(gold.tolist())
    data = replace(record.data, rows=Rows(pool=9, dev=ROWS, test=ROWS))
    whole = replace(
        record, curve=tuple(curve), gold=Gold(dev=words, test=words), scores=digest, data=data
    )
    path.write_text(records.as_text(whole), encoding="utf-8")
    return path
