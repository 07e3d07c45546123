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


def run(config: Config, watch: Watcher) -> Outcome:
    """Do a job, or read its record if it was done before (unless config.force).

    Raises:
        UserError: whatever the user can put right, with nothing half-written.
    """
    select = selectors.load(config.method.selector)
    device = models.resolve_device(config.device)
    dtype = models.resolve_dtype(config.model.dtype, device)
    watch.stage(f"reading {config.task.name}")
    splits = tasks.load(config.task, config.data_root, config.test_size, config.dev_size)
    key = records.identity(
        config, dtype, tasks.fingerprint(splits), models.fingerprint(config.model)
    )
    path = records.path_of(config, key)
    if path.exists() and not config.force:
        return Outcome(path, records.read(path), None)
    records.check_writable(path.parent)

    chosen = demonstration_order(select, splits.pool, config)
    watch.stage(f"loading {config.model.name}")
    clock = provenance.Clock(device)
    lm = models.load(config.model, device)
    clock.lap("load")
    watch.stage("tokenising")
    encoded = prompts.encode(
        lm.tokenizer,
        config.task.template,
        config.task.labels,
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
    watch.stage(f"thinking over {encoded.kept} demonstrations")
    try:
        curve, scores = evaluate(lm, encoded, splits, config, budget, clock, watch)
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"{encoded.kept} demonstrations of {len(encoded.demonstrations)} tokens do not fit "
            "into the device's memory: use fewer, a smaller model or a narrower dtype"
        ) from error
    body = {
        "schema": records.SCHEMA,
        "identity": key,
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
            "rows": {name: len(getattr(splits, name)) for name in ("pool", "dev", "test")},
            "read_rows": splits.read_rows,
            "published_rows": config.task.rows,
        },
        "curve": curve,
        "tokens": {
            "queries": sum(map(len, encoded.queries)),
            "candidates": [len(ids) for ids in encoded.candidates],
        },
        "seconds": clock.laps,
        "peak_memory_bytes": clock.peak_memory(),
        "execution": {"device": provenance.device_name(device), "token_budget": budget.tokens},
        "model_commit": lm.commit,
        "versions": provenance.versions(),
        "code": provenance.code(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return Outcome(path, records.write(path, body, scores), scores)


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
    candidates = [encoded.candidates] * len(encoded.queries)
    watch.start(config.method.iterations * len(encoded.queries))
    curve: list[dict[str, Any]] = []
    tables: list[pd.DataFrame] = []
    for memory in think(lm.model, encoded.demonstrations, **config.method.thinking):
        clock.lap("think")
        scores = score(
            lm.model,
            memory,
            encoded.queries,
            candidates,
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


def demonstration_order(
    select: selectors.Select, pool: tuple[Example, ...], config: Config
) -> list[int]:
    """Pool indices of the demonstrations in reading order: drawn by `seed`, permuted by `order`."""
    selectors.check_count(pool, config.count)
    chosen = select(pool, config.count, np.random.default_rng([config.seed, 0]))
    if len(set(chosen)) != config.count or not set(chosen) <= set(range(len(pool))):
        name = config.method.selector["name"]
        raise UserError(f"selector {name} did not return {config.count} different pool indices")
    if config.order:
        rng = np.random.default_rng([config.seed, config.order])
        chosen = [chosen[i] for i in rng.permutation(len(chosen))]
    return chosen


def accuracy(examples: Sequence[Example], scores: Sequence[Sequence[float]]) -> dict[str, int]:
    """How many predictions (first of the highest scores) are the gold label, of how many."""
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
    values = np.array(scores)
    queries, candidates = np.indices(values.shape)
    return pd.DataFrame(
        {
            "step": np.int16(step),
            "split": pd.Categorical([split] * values.size, categories=["dev", "test"]),
            "query": queries.ravel().astype(np.int32),
            "candidate": candidates.ravel().astype(np.int16),
            "label": np.repeat([e.label for e in examples], values.shape[1]).astype(np.int16),
            "score": values.ravel(),
        }
    )
