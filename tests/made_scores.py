"""Made-up records with files of scores beside them, and what follows from the scores."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from made_records import made

from deepthink.config.job import Config
from deepthink.store import records
from deepthink.store import scores as score_files
from deepthink.store.schema import Gold
from deepthink.study.points import in_words, point

Scores = Mapping[int, np.ndarray]
"""t → [Q, C], the scores of a split's rows."""
Split = Literal["dev", "test"]


def put(
    results: Path,
    config: Config,
    dev: Scores,
    test: Scores,
    gold: Mapping[Split, np.ndarray],
    left_out: dict[int, float] | None = None,
) -> Path:
    """Store a record whose curve is that of these scores, and the scores beside it."""
    here = replace(config, results=str(results))
    splits: tuple[tuple[Split, Scores], ...] = (("dev", dev), ("test", test))
    curve = tuple(
        point(
            step, split, of[step].tolist(), gold[split].tolist(), of[step].argmax(axis=1).tolist(),
            ties=0, common=True, logs=True,
        )
        for step in test
        for split, of in splits
    )  # fmt: skip
    steps = dict.fromkeys(test, 0)
    record = made(here, steps, steps, rows=len(gold["test"]), left_out=left_out)
    words: dict[str, Any] = {split: in_words(gold[split].tolist()) for split in gold}
    path = records.path_of(here, record.identity)
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = score_files.write(path, table(splits, gold))
    rows = replace(record.data.rows, dev=len(gold["dev"]))
    whole = replace(
        record,
        curve=curve,
        gold=Gold(**words),
        scores=digest,
        data=replace(record.data, rows=rows),
    )
    path.write_text(records.as_text(whole), encoding="utf-8")
    return path


def table(
    splits: tuple[tuple[Split, Scores], ...], gold: Mapping[Split, np.ndarray]
) -> pd.DataFrame:
    """The rows of a file of scores."""
    return pd.DataFrame(
        [
            {"step": step, "split": split, "query": query, "candidate": candidate}
            | {"label": gold[split][query], "score": score}
            for step in splits[0][1]
            for split, of in splits
            for query, row in enumerate(of[step])
            for candidate, score in enumerate(row)
        ]
    )
