"""Made-up records of real jobs, to test what is made of records."""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from deepthink.config.job import Config
from deepthink.config.overrides import requested
from deepthink.store import records

ROWS = 6
"""Examples of dev and of test."""


@cache
def jobs(*overrides: str) -> tuple[Config, ...]:
    return requested(overrides).jobs


def put(
    results: Path,
    config: Config,
    hits: dict[int, int],
    dev: dict[int, int] | None = None,
    data: str = "data",
    rows: int = ROWS,
    **changes,
) -> Path:
    """Store a record of a job that was right on the first so many test rows after each t."""
    key = records.identity(config, "float32", data)
    curve = [
        {
            "step": step,
            "split": split,
            "correct": count,
            "count": rows,
            "predicted": " ".join(["1"] * count + ["0"] * (rows - count)),
        }
        for split, points in (("dev", dev or {}), ("test", hits))
        for step, count in points.items()
    ]
    body = {
        "schema": records.SCHEMA,
        "identity": key,
        "config": {**config.resolved(), "results": str(results)},
        "demonstrations": {
            "indices": [0, 1],
            "kept": 2,
            "truncated": False,
            "copies": 1,
            "tokens": 20,
        },
        "data": {
            "rows": {"pool": 9, "dev": rows if dev else 0, "test": rows},
            "read_rows": config.task.rows,
            "published_rows": config.task.rows,
            "left_out": 0,
        },
        "tokens": {"queries": 120, "candidates": 12},
        "gold": {split: " ".join(["1"] * rows) for split in ("dev", "test")},
        "selection": {"values": None, "log": {}, "stages": []},
        "curve": curve,
        "drift": [
            {"step": step, "keys": [0.1 * step] * 3, "values": [0.2 * step] * 3}
            for step in hits
            if step > 1
        ],
        "flops": {
            "selection": 0,
            "thinking": [10**9] * config.method.iterations,
            "scoring": 4 * 10**9,
        },
        "seconds": {"load": 1.0, "select": 0.0, "tokenise": 0.0, "think": 0.5, "score": 0.5},
        "execution": {"device": "cpu test"},
        "versions": {"torch": "0", "transformers": "0", "deepthink": "0"},
        "code": {"commit": "0" * 40, "dirty": False},
        **changes,
    }
    path = records.path_of(Config(**{**vars(config), "results": str(results)}), key)
    records.write(path, body, pd.DataFrame({"score": np.zeros(1)}))
    return path
