"""Made-up records of real jobs, to test what is made of records."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

from deepthink.config.job import Config
from deepthink.config.overrides import requested
from deepthink.store import records
from deepthink.store.chosen import Demonstrations, Selection
from deepthink.store.curves import LeftOut, Point
from deepthink.store.identity import identity
from deepthink.store.schema import (
    SCHEMA,
    Code,
    Data,
    Drift,
    Execution,
    Flops,
    Gold,
    Record,
    Rows,
    Seconds,
    Sizes,
    Tokens,
)
from deepthink.store.settings import Settings

ROWS = 6
"""Examples of dev and of test."""


@cache
def jobs(*overrides: str) -> tuple[Config, ...]:
    return requested(overrides).jobs


def made(
    config: Config,
    hits: dict[int, int],
    dev: dict[int, int] | None = None,
    data: str = "data",
    rows: int = ROWS,
    likely: dict[int, float] | None = None,
    left_out: dict[int, float] | None = None,
    **changes: Any,
) -> Record:
    """A record of a job that was right on the first so many test rows after each t.

    likely: the log-likelihood of dev after each t. left_out: that of the demonstrations' answers.
    """
    of_splits: tuple[tuple[Literal["dev", "test"], dict[int, int]], ...] = (
        ("dev", dev or {}),
        ("test", hits),
    )
    curve = tuple(
        Point(
            step=step,
            split=split,
            correct=count,
            count=rows,
            predicted=" ".join(["1"] * count + ["0"] * (rows - count)),
            log_likelihood=(likely or {}).get(step) if split == "dev" else None,
        )
        for split, points in of_splits
        for step, count in points.items()
    )
    sizes: dict[str, Any] = config.task.rows
    read = Sizes(**sizes)
    record = Record(
        schema=SCHEMA,
        identity=identity(config, "float32", data),
        config=Settings.of(config.resolved()),
        demonstrations=Demonstrations(
            indices=(0, 1), labels=(0, 1), kept=2, truncated=False, copies=1, tokens=20
        ),
        data=Data(
            repository="made up",
            commit=None,
            rows=Rows(pool=9, dev=rows if dev else 0, test=rows),
            read_rows=read,
            left_out=0,
            published_rows=read,
        ),
        tokens=Tokens(queries=120, candidates=12),
        selection=Selection(values=None, log={}, stages=()),
        gold=Gold(dev=" ".join(["1"] * rows), test=" ".join(["1"] * rows)),
        curve=curve,
        step_by_dev=None,
        drift=tuple(
            Drift(step=step, keys=(0.1 * step,) * 3, values=(0.2 * step,) * 3)
            for step in hits
            if step > 1
        ),
        flops=Flops(selection=0, thinking=(10**9,) * config.method.iterations, scoring=4 * 10**9),
        seconds=Seconds(load=1.0, select=0.0, tokenise=0.0, think=0.5, score=0.5),
        peak_memory_bytes=10**9,
        execution=Execution(device="cpu test", token_budget=1024),
        model_commit=None,
        versions={"torch": "0", "transformers": "0", "deepthink": "0"},
        code=Code(commit="0" * 40, dirty=False),
        finished="2026-01-01T00:00:00+00:00",
        left_out=tuple(LeftOut(step=step, log_p=log_p) for step, log_p in (left_out or {}).items()),
    )
    return replace(record, **changes)


def put(
    results: Path,
    config: Config,
    hits: dict[int, int],
    dev: dict[int, int] | None = None,
    **options: Any,
) -> Path:
    """Store what `made` makes, without scores, as the published records are."""
    here = replace(config, results=str(results))
    record = made(here, hits, dev, **options)
    path = records.path_of(here, record.identity)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(records.as_text(record), encoding="utf-8")
    return path
