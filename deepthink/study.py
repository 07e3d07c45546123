"""One job from config to record. Read this first: it calls every other part, in order."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from deepthink import models, prompts, provenance, records, selectors, tasks
from deepthink.config import Config
from deepthink.errors import UserError
from deepthink.scoring import TokenBudget, score
from deepthink.structures import Example, Splits
from deepthink.thinking import think


@dataclass(frozen=True)
class Outcome:
    """A job's record, where it lies, and what cannot be read from it.

    scores: one row per step, split, query and candidate; None for a job that was only read.
    """

    path: Path
    record: records.Record
    scores: pd.DataFrame | None


class Watcher:
    """Told how a job advances; this one looks away. The terminal's stands in `display`."""

    def stage(self, text: str) -> None:
        """A stage begins."""

    def start(self, total: int) -> None:
        """`total` query readings lie ahead."""

    def advance(self, readings: int) -> None:
        """So many more queries were read."""

    def step(self, point: dict[str, Any]) -> None:
        """A point of the curve is known."""


@dataclass(frozen=True)
class Job:
    """A job that can be done: its data are read, and its record's place is known."""

    config: Config
    splits: Splits
    key: dict[str, Any]
    path: Path

    @property
    def done(self) -> bool:
        """Whether its record exists and is to be read."""
        return self.path.exists() and not self.config.force

    @property
    def readings(self) -> int:
        """How often a query will be read."""
        return self.config.method.iterations * (len(self.splits.dev) + len(self.splits.test))


def prepare(config: Config, watch: Watcher) -> Job:
    """Read a job's data; UserError as in `run`."""
    watch.stage(f"reading {config.task.name}")
    dtype = models.resolve_dtype(config.model.dtype, models.resolve_device(config.device))
    splits = tasks.load(config.task, config.data_root, config.test_size, config.dev_size)
    data = tasks.fingerprint(splits, config.task)
    key = records.identity(config, dtype, data, models.fingerprint(config.model))
    return Job(config, splits, key, records.path_of(config, key))


def run(config: Config, watch: Watcher) -> Outcome:
    """Do a job, or read its record if it was done before (unless config.force).

    Raises:
        UserError: whatever the user can put right, with nothing half-written.
    """
    job = prepare(config, watch)
    watch.start(0 if job.done else job.readings)
    return perform(job, watch)


def perform(job: Job, watch: Watcher) -> Outcome:
    """The part of `run` that follows the reading of the data."""
    config, splits = job.config, job.splits
    if job.done:
        return Outcome(job.path, records.read(job.path), None)
    records.check_writable(job.path.parent)
    chosen = demonstration_order(splits.pool, config)
    device = models.resolve_device(config.device)
    watch.stage(f"loading {config.model.name}")
    clock = provenance.Clock(device)
    lm = models.load(config.model, device)
    clock.lap("load")
    watch.stage("tokenising")
    encoded = prompts.encode(
        lm.tokenizer,
        config.task.template,
        [splits.pool[i] for i in chosen],
        splits.dev + splits.test,
        config.prompt.seam,
        config.prompt.overflow,
        lm.positions,
    )
    clock.lap("tokenise")
    budget = TokenBudget.default(device)
    if config.token_budget is not None:
        budget.tokens = config.token_budget
    watch.stage(f"{config.task.name}: {encoded.kept} demonstrations")
    try:
        curve, scores = evaluate(lm, encoded, splits, config, budget, clock, watch)
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"{encoded.kept} demonstrations of {len(encoded.demonstrations)} tokens do not fit "
            "into the device's memory: use fewer, a smaller model or a narrower dtype"
        ) from error
    body = {
        "schema": records.SCHEMA,
        "identity": job.key,
        "config": config.resolved(),
        "demonstrations": {
            "indices": chosen,
            "labels": [splits.pool[i].label for i in chosen],
            "kept": encoded.kept,
            "truncated": encoded.truncated,
            "tokens": len(encoded.demonstrations),
        },
        "data": {
            "repository": splits.repository,
            "commit": splits.commit,
            "rows": {name: len(getattr(splits, name)) for name in ("pool", "dev", "test")},
            "read_rows": splits.read_rows,
            "left_out": splits.left_out,
            "published_rows": config.task.rows,
        },
        "curve": curve,
        "tokens": {
            "queries": sum(map(len, encoded.queries)),
            "candidates": sum(len(ids) for row in encoded.candidates for ids in row),
        },
        "seconds": clock.laps,
        "peak_memory_bytes": clock.peak_memory(),
        "execution": {"device": provenance.device_name(device), "token_budget": budget.tokens},
        "model_commit": lm.commit,
        "versions": provenance.versions(),
        "code": provenance.code(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return Outcome(job.path, records.write(job.path, body, scores), scores)


def evaluate(
    lm: models.LM,
    encoded: prompts.Encoded,
    splits: Splits,
    config: Config,
    budget: TokenBudget,
    clock: provenance.Clock,
    watch: Watcher,
) -> tuple[list[dict[str, Any]], pd.DataFrame]:
    """Think, and score dev and test after every step: the curve, and every candidate's score."""
    curve: list[dict[str, Any]] = []
    tables: list[pd.DataFrame] = []
    for memory in think(lm.model, encoded.demonstrations, **config.method.thinking):
        clock.lap("think")
        scores = score(
            lm.model,
            memory,
            encoded.queries,
            encoded.candidates,
            config.answer_score,
            budget,
            watch.advance,
        )
        clock.lap("score")
        for split, examples, rows in _by_split(splits, scores):
            point = {"step": memory.step, "split": split, **accuracy(examples, rows)}
            curve.append(point)
            tables.append(_table(memory.step, split, examples, rows))
            watch.step(point)
    return curve, pd.concat(tables, ignore_index=True)


def demonstration_order(pool: tuple[Example, ...], config: Config) -> list[int]:
    """Pool indices of the demonstrations in reading order: drawn by `seed`, permuted by `order`.

    Of given demonstrations, which are not drawn, the first `config.count`.
    """
    selectors.check_count(pool, config.count)
    if config.task.given:
        chosen = list(range(config.count))
    else:
        select = selectors.load(config.method.selector)
        chosen = select(pool, config.count, np.random.default_rng([config.seed, 0]))
    if len(set(chosen)) != config.count or not set(chosen) <= set(range(len(pool))):
        name = config.method.selector["name"]
        raise UserError(f"selector {name} did not return {config.count} different pool indices")
    if config.order:
        rng = np.random.default_rng([config.draw, config.order])
        chosen = [chosen[i] for i in rng.permutation(len(chosen))]
    return chosen


def accuracy(examples: Sequence[Example], scores: Sequence[Sequence[float]]) -> dict[str, int]:
    """How many predictions (first of the highest scores) are the gold label, of how many.

    A few MMLU questions list a choice twice; scored by text the two are equal, and the first wins.
    """
    hits = sum(
        max(range(len(row)), key=row.__getitem__) == example.label
        for example, row in zip(examples, scores, strict=True)
    )
    return {"correct": hits, "count": len(examples)}


def _by_split(
    splits: Splits, scores: list[list[float]]
) -> Iterator[tuple[str, tuple[Example, ...], list[list[float]]]]:
    cut = len(splits.dev)
    if cut:
        yield "dev", splits.dev, scores[:cut]
    yield "test", splits.test, scores[cut:]


def _table(
    step: int, split: str, examples: Sequence[Example], scores: list[list[float]]
) -> pd.DataFrame:
    """Long form: one row per query and candidate."""
    numbers = [len(row) for row in scores]
    return pd.DataFrame(
        {
            "step": np.int16(step),
            "split": pd.Categorical([split] * sum(numbers), categories=["dev", "test"]),
            "query": np.repeat(np.arange(len(scores), dtype=np.int32), numbers),
            "candidate": np.concatenate([np.arange(n, dtype=np.int16) for n in numbers]),
            "label": np.repeat([e.label for e in examples], numbers).astype(np.int16),
            "score": np.concatenate(scores),
        }
    )
