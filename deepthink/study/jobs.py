"""One job from config to record. Read this first: it calls every other part, in order."""

import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from deepthink.config.job import Config
from deepthink.engine.flops import Costs, scoring_flops, thinking_flops
from deepthink.engine.out_of_memory import allocating
from deepthink.engine.scoring import TokenBudget, score
from deepthink.engine.thinking import think
from deepthink.errors import UserError
from deepthink.models import loading
from deepthink.models.resolving import Resolved
from deepthink.progress import Watcher
from deepthink.selection import balance
from deepthink.selection.balance import Selection
from deepthink.selection.pool import Pool
from deepthink.selection.signals import ModelReader
from deepthink.store import curves, leases, outbox, records
from deepthink.store.leases import Busy
from deepthink.structures import Example, Splits
from deepthink.study import provenance
from deepthink.tasks import prompts, sources
from deepthink.tasks.labels import flipped, relabelled
from deepthink.tasks.prediction import accuracy, gold, predictions, ties

DEATHS = 3
"""How many processes may die in the middle of a job until it counts as failed."""


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
    model: Resolved
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
        return len(self.config.method.steps) * (len(self.splits.dev) + len(self.splits.test))


def prepare(config: Config, watch: Watcher) -> Job:
    """Read a job's data; UserError as in `run`."""
    watch.stage(f"reading {config.task.name}")
    model = loading.resolve(config.model)
    dtype = loading.resolve_dtype(config.model.dtype, loading.resolve_device(config.device))
    splits = sources.load(
        config.task,
        config.data_root,
        config.test_size,
        config.dev_size,
        config.pool_size,
        config.pool.overlap,
    )
    data = sources.fingerprint(splits, config.task)
    key = records.identity(config, dtype, data, model.weights, model.commit)
    return Job(config, model, splits, key, records.path_of(config, key))


def run(config: Config, watch: Watcher) -> Outcome:
    """Do a job, or read its record if it was done before (unless config.force).

    Raises:
        UserError: whatever the user can put right, with nothing half-written.
        Busy: another process is doing it.
    """
    job = prepare(config, watch)
    watch.start(0 if job.done else job.readings)
    return perform(job, watch)


def perform(job: Job, watch: Watcher) -> Outcome:
    """The part of `run` that follows the reading of the data."""
    if job.done:
        with suppress(records.BrokenRecord):
            return _read(job)
    check(job)
    lease = leases.of(Path(job.config.results)).take(records.digest(job.key)[:16])
    if not isinstance(lease, leases.Lease):
        raise Busy(f"done by {lease or 'another process'}")
    with lease:
        try:
            if job.done:  # finished a moment ago
                return _read(job)
        except records.BrokenRecord as error:
            aside = records.set_aside(job.path)
            watch.tell(f"{error}: set aside as {aside.name}, done again")
        if lease.lost_by >= DEATHS:
            raise UserError(
                f"{lease.lost_by} processes in a row died in the middle of {job.config.task.name}, "
                f"{job.config.label}, seed {job.config.draw}: was memory short? Free some or use a "
                "smaller model; the same command tries again"
            )
        body, scores = _make(job, watch)
        if not lease.held:
            raise Busy("taken over by another process while this one showed no life")
        outbox.mark(job.config, job.path)
        return Outcome(job.path, records.write(job.path, body, scores), scores)


def _read(job: Job) -> Outcome:
    """The outcome of a job that was done before; BrokenRecord as `records.read`."""
    return Outcome(job.path, records.read(job.path), None)


def _make(job: Job, watch: Watcher) -> tuple[records.Record, pd.DataFrame]:
    """Load, choose, read, think, score: the body of a record, and every candidate's score."""
    config, splits = job.config, job.splits
    device = loading.resolve_device(config.device)
    watch.stage(f"loading {config.model.name}")
    clock = provenance.Clock(device)
    lm = loading.load(config.model, device, watch.tell)
    if lm.found != job.model:
        raise UserError(
            f"the files of {config.model.name} changed after the job began: the same command "
            "starts it with those that are there now"
        )
    clock.lap("load")
    budget = TokenBudget.default(device)
    if config.token_budget is not None:
        budget.tokens = config.token_budget
    watch.stage(f"{config.task.name}: {config.method.selector['name']} demonstrations")
    pool = Pool(splits.pool, splits.dev, ModelReader(lm, config, job.key, budget), watch)
    try:
        with allocating():
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
        config.task.delimiter,
    )
    clock.lap("tokenise")
    watch.stage(f"{config.task.name}: {encoded.kept} demonstrations")
    try:
        with allocating():
            evaluated = evaluate(lm, encoded, splits, config, budget, clock, watch)
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
        "gold": {name: _words(map(gold, examples)) for name, examples in splits.scored()},
        "curve": evaluated.curve,
        "step_by_dev": (best := curves.by_dev(evaluated.curve)) and best["step"],
        "drift": evaluated.drift,
        "flops": _flops(lm, encoded, config, pool),
        "seconds": clock.laps,
        "peak_memory_bytes": clock.peak_memory(),
        "execution": {"device": provenance.device_name(device), "token_budget": budget.tokens},
        "model_commit": lm.found.commit,
        "versions": provenance.versions(),
        "code": provenance.code(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return body, evaluated.scores


def _what_was_read(
    splits: Splits,
    config: Config,
    chosen: Selection,
    shown: Sequence[Example],
    encoded: prompts.Encoded,
) -> dict[str, Any]:
    """A record's account of demonstrations, data and tokens."""
    unusual = {"beginnings": encoded.beginnings, "looks_special": encoded.looks_special}
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
            "overlap": splits.overlap,
            "told": list(splits.told),
            "published_rows": config.task.rows,
        },
        "tokens": {
            "queries": sum(map(len, encoded.queries)),
            "candidates": sum(len(ids) for row in encoded.candidates for ids in row),
            **{name: count for name, count in unusual.items() if count},
        },
    }


@dataclass(frozen=True)
class Evaluated:
    """What thinking and scoring gave.

    curve: points of step, split, correct, count and `predicted`, every example's predicted label in
        order, in words; `ties`, of how many the highest score was shared;
        where the demonstrations show flipped labels, also how many predictions `followed` them:
        are the flipped label of the example.
    drift: how far K̃_t, Ṽ_t of every layer are from t = 1, see `Memory.drift`, four digits each.
    scores: one row per step, split, query and candidate.
    """

    curve: list[dict[str, Any]]
    drift: list[dict[str, Any]]
    scores: pd.DataFrame


def evaluate(
    lm: loading.LM,
    encoded: prompts.Encoded,
    splits: Splits,
    config: Config,
    budget: TokenBudget,
    clock: provenance.Clock,
    watch: Watcher,
) -> Evaluated:
    """Think, and score dev and test after every step that is to be scored."""
    curve: list[dict[str, Any]] = []
    drift: list[dict[str, Any]] = []
    tables: list[pd.DataFrame] = []
    origin = None
    for memory in think(lm.model, encoded.demonstrations, **config.method.thinking):
        origin = origin or memory
        if memory.step not in config.method.steps:
            continue
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
        if any(math.isnan(one) for row in scores for one in row):
            raise UserError(
                f"{config.model.name} gives scores that are no numbers (NaN) at t = {memory.step}: "
                "use model.dtype=float32, or look at its weights"
            )
        if memory.step > 1:
            moved = {name: _rounded(far) for name, far in memory.drift(origin).items()}
            drift.append({"step": memory.step, **moved})
        rest = iter(scores)
        for split, examples in splits.scored():
            rows = list(islice(rest, len(examples)))
            predicted = predictions(examples, rows)
            point = {
                "step": memory.step,
                "split": split,
                **accuracy(examples, predicted),
                "predicted": _words(predicted),
                "ties": ties(examples, rows),
            }
            if config.demonstrations.labels == "flipped":
                turned = [flipped(example) for example in examples]
                point["followed"] = accuracy(turned, predicted)["correct"]
            curve.append(point)
            tables.append(_table(memory.step, split, examples, rows))
            watch.step(point)
    return Evaluated(curve, drift, pd.concat(tables, ignore_index=True))


def _flops(
    lm: loading.LM, encoded: prompts.Encoded, config: Config, pool: Pool
) -> dict[str, int | list[int]]:
    """A record's operations: of selection, of each iteration, of scoring dev and test once.

    Selection counts the linear layers of every token its answers took, also of those that were
    known from before; attention is left out there.
    """
    costs = Costs.of(lm.model)
    length = len(encoded.demonstrations)
    return {
        "selection": costs.token * sum(stage.tokens for stage in pool.stages),
        "thinking": [
            thinking_flops(costs, length, step) for step in range(1, config.method.iterations + 1)
        ],
        "scoring": scoring_flops(costs, length, encoded.queries, encoded.candidates),
    }


def check(job: Job) -> None:
    """Raise UserError for what would only be found after minutes of work on a job."""
    records.check_writable(job.path.parent)
    balance.load(job.config.method.selector)
    balance.check_count(len(job.splits.pool), job.config.count)


def choose(pool: Pool, config: Config) -> Selection:
    """The demonstrations in reading order: chosen by `seed`, permuted by `order`.

    Of given demonstrations, which are not chosen, the first `config.count`.
    """
    balance.check_count(len(pool), config.count)
    if config.task.given:
        return _permuted(Selection(list(range(config.count))), config)
    select = balance.load(config.method.selector)
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


def _words(labels: Iterable[int]) -> str:
    """Labels in one line, as records keep them."""
    return " ".join(map(str, labels))


def _rounded(values: Iterable[float]) -> list[float]:
    return [float(f"{value:.4g}") for value in values]


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
            "label": np.repeat([*map(gold, examples)], numbers).astype(np.int16),
            "score": np.concatenate(scores),
        }
    )
