"""One job from config to record. Read this first: it calls every other part, in order."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from deepthink import models, prompts, provenance, readings, records, selectors, tasks
from deepthink.config import Config
from deepthink.errors import UserError
from deepthink.pool import Pool
from deepthink.relabel import flipped, relabelled
from deepthink.scoring import TokenBudget, score
from deepthink.selectors import Selection
from deepthink.signals import ModelReader
from deepthink.structures import Example, Splits
from deepthink.thinking import think
from deepthink.watcher import Watcher


@dataclass(frozen=True)
class Outcome:
    """A job's record, where it lies, and what cannot be read from it.

    scores: one row per step, split, query and candidate; None for a job that was only read.
    """

    path: Path
    record: records.Record
    scores: pd.DataFrame | None


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
    splits = tasks.load(
        config.task, config.data_root, config.test_size, config.dev_size, config.pool_size
    )
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
    check(job)
    device = models.resolve_device(config.device)
    watch.stage(f"loading {config.model.name}")
    clock = provenance.Clock(device)
    lm = models.load(config.model, device)
    clock.lap("load")
    budget = TokenBudget.default(device)
    if config.token_budget is not None:
        budget.tokens = config.token_budget
    watch.stage(f"{config.task.name}: {config.method.selector['name']} demonstrations")
    pool = Pool(splits.pool, splits.dev, ModelReader(lm, config, job.key, budget), watch)
    try:
        chosen = choose(pool, config)
    except torch.OutOfMemoryError as error:
        raise UserError(
            "the demonstrations the selector tried do not fit into the device's memory: use fewer, "
            "a smaller model or a narrower dtype"
        ) from error
    clock.lap("select")
    shown = [
        relabelled(splits.pool[i], config.demonstrations.labels, config.draw, i)
        for i in chosen.indices
    ]
    encoded = prompts.encode(
        lm.tokenizer,
        config.task.template,
        shown,
        splits.dev + splits.test,
        config.prompt.seam,
        config.prompt.overflow,
        lm.positions,
        config.method.copies,
        config.method.iterations > 1,
    )
    clock.lap("tokenise")
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
        **_what_was_read(splits, config, chosen, shown, encoded),
        "selection": {
            "values": chosen.values,
            "log": chosen.log,
            "stages": [asdict(stage) for stage in pool.stages],
        },
        "curve": curve,
        "step_by_dev": (best := readings.by_dev(curve)) and best["step"],
        "seconds": clock.laps,
        "peak_memory_bytes": clock.peak_memory(),
        "execution": {"device": provenance.device_name(device), "token_budget": budget.tokens},
        "model_commit": lm.commit,
        "versions": provenance.versions(),
        "code": provenance.code(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return Outcome(job.path, records.write(job.path, body, scores), scores)


def _what_was_read(
    splits: Splits,
    config: Config,
    chosen: Selection,
    shown: Sequence[Example],
    encoded: prompts.Encoded,
) -> dict[str, Any]:
    """A record's account of demonstrations, data and tokens."""
    return {
        "demonstrations": {
            "indices": chosen.indices,
            "labels": [example.label for example in shown],
            "kept": encoded.kept,
            "truncated": encoded.truncated,
            "copies": encoded.copies,
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
        "tokens": {
            "queries": sum(map(len, encoded.queries)),
            "candidates": sum(len(ids) for row in encoded.candidates for ids in row),
        },
    }


def evaluate(
    lm: models.LM,
    encoded: prompts.Encoded,
    splits: Splits,
    config: Config,
    budget: TokenBudget,
    clock: provenance.Clock,
    watch: Watcher,
) -> tuple[list[dict[str, Any]], pd.DataFrame]:
    """Think, and score dev and test after every step: the curve, and every candidate's score.

    Where the demonstrations show flipped labels, a point of the curve also says how many
    predictions `followed` them: are the flipped label of the example.
    """
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
            if config.demonstrations.labels == "flipped":
                point["followed"] = accuracy([flipped(e) for e in examples], rows)["correct"]
            curve.append(point)
            tables.append(_table(memory.step, split, examples, rows))
            watch.step(point)
    return curve, pd.concat(tables, ignore_index=True)


def check(job: Job) -> None:
    """Raise UserError for what would only be found after minutes of work on a job."""
    records.check_writable(job.path.parent)
    selectors.load(job.config.method.selector)
    selectors.check_count(len(job.splits.pool), job.config.count)


def choose(pool: Pool, config: Config) -> Selection:
    """The demonstrations in reading order: chosen by `seed`, permuted by `order`.

    Of given demonstrations, which are not chosen, the first `config.count`.
    """
    selectors.check_count(len(pool), config.count)
    if config.task.given:
        return _permuted(Selection(list(range(config.count))), config)
    select = selectors.load(config.method.selector)
    found = select(pool, config.count, np.random.default_rng([config.seed, 0]))
    chosen = found if isinstance(found, Selection) else Selection(list(found))
    indices = set(chosen.indices)
    if not len(indices) == len(chosen.indices) == config.count or not indices <= set(
        range(len(pool))
    ):
        name = config.method.selector["name"]
        raise UserError(f"selector {name} did not return {config.count} different pool indices")
    return _permuted(chosen, config)


def _permuted(chosen: Selection, config: Config) -> Selection:
    if not config.order:
        return chosen
    rng = np.random.default_rng([config.draw, config.order])
    places = rng.permutation(len(chosen.indices))
    values = chosen.values and [chosen.values[i] for i in places]
    return replace(chosen, indices=[chosen.indices[i] for i in places], values=values)


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
