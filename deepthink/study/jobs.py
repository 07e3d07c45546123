"""One job from config to record. Start here: this calls every other part, in order."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import torch

from deepthink.config.job import Config
from deepthink.engine.out_of_memory import allocating
from deepthink.engine.token_budget import TokenBudget
from deepthink.errors import UserError
from deepthink.models import loading
from deepthink.models.resolving import Resolved
from deepthink.plugins import CALIBRATIONS, REFINEMENTS, RULES
from deepthink.progress import Watcher
from deepthink.selection.balance import check_count
from deepthink.selection.choosing import choose
from deepthink.selection.pool import Pool
from deepthink.selection.signals import ModelReader
from deepthink.store import curves, leases, records
from deepthink.store.identity import Identity, identity
from deepthink.store.leases import Busy
from deepthink.store.schema import SCHEMA, Execution, Gold, Record
from deepthink.store.settings import Settings
from deepthink.structures import Splits
from deepthink.study import accounts, provenance
from deepthink.study.calibrating import Calibration
from deepthink.study.evaluation import Evaluated, evaluate, in_words
from deepthink.study.prompting import Prompts, prompted
from deepthink.tasks import sources
from deepthink.tasks.prediction import gold

DEATHS = 3
"""A job counts as failed after so many processes in a row died in the middle of it."""


@dataclass(frozen=True)
class Outcome:
    """A job's record, its path, and every score.

    scores: one row per step, split, query and candidate; None if the job was done before and only
        its record was read.
    """

    path: Path
    record: Record
    scores: pd.DataFrame | None


@dataclass(frozen=True)
class Job:
    """A job that is ready to be done: its data are read, and the path of its record is known."""

    config: Config
    model: Resolved
    splits: Splits
    key: Identity
    path: Path

    @property
    def done(self) -> bool:
        """Whether its record exists and is not to be made again."""
        return self.path.exists() and not self.config.force

    @property
    def readings(self) -> int:
        """How many queries will be scored, each counted once for every scored step."""
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
    key = identity(config, dtype, data, model.weights, model.commit)
    return Job(config, model, splits, key, records.path_of(config, key))


def run(config: Config, watch: Watcher) -> Outcome:
    """Do a job, or read its record if it was done before (unless config.force).

    Raises:
        UserError: something that the user can put right. Nothing is half-written.
        Busy: another process is doing the job.
    """
    job = prepare(config, watch)
    watch.start(0 if job.done else job.readings)
    return perform(job, watch)


def perform(job: Job, watch: Watcher) -> Outcome:
    """Do a job whose data are read, or read its record; errors as in `run`."""
    if job.done:
        with suppress(records.BrokenRecord):
            return _read(job)
    check(job)
    lease = leases.of(Path(job.config.results)).take(leases.name_of(job.key))
    if not isinstance(lease, leases.Lease):
        raise Busy(f"done by {lease or 'another process'}")
    with lease:
        try:
            if job.done:  # another process finished it a moment ago
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
        record, scores = make(job, watch)
        if not lease.held:
            raise Busy("taken over by another process while this one showed no life")
        return Outcome(job.path, records.write(job.path, record, scores), scores)


def _read(job: Job) -> Outcome:
    """The outcome of a job that was done before; BrokenRecord as `records.read`."""
    return Outcome(job.path, records.read(job.path), None)


def make(job: Job, watch: Watcher) -> tuple[Record, pd.DataFrame]:
    """Load, choose, encode, think, score: a record that is not stored yet, and every score.

    Raises:
        UserError: as in `run`.
    """
    config, splits = job.config, job.splits
    devices = loading.resolve_devices(config.device)
    watch.stage(f"loading {config.model.name}")
    clock = provenance.Clock(*devices)
    lm = loading.load(job.model, *devices, tell=watch.tell)
    clock.lap("load")
    budget = TokenBudget.of(lm.model)
    if config.token_budget is not None:
        budget.tokens = config.token_budget
    watch.stage(f"{config.task.name}: {config.method.selector['name']} demonstrations")
    reader = ModelReader(lm, config, job.key, budget)
    scored = [example for _, part in splits.scored() for example in part]
    pool = Pool(splits.pool, splits.dev, reader, watch, [example.text for example in scored])
    with _fitting("the demonstrations the selector tried do not fit"):
        chosen = choose(pool, config)
    clock.lap("select")
    texts = [example.text for example in splits.pool]
    calibration = Calibration.of(config.calibration, config.plugins, texts, config.draw)
    asked = calibration.examples(scored)
    groups = [prompted(lm, group, splits.pool, scored, asked, config) for group in chosen]
    clock.lap("tokenise")
    longest = max((group.encoded for group in groups), key=lambda part: len(part.demonstrations))
    watch.stage(f"{config.task.name}: {longest.kept} demonstrations")
    tokens = f"{longest.kept} demonstrations of {len(longest.demonstrations)} tokens"
    with _fitting(f"{tokens} do not fit"):
        evaluated = evaluate(lm, groups, splits, config, calibration, budget, clock, watch)
    return _record(job, lm, pool, groups, evaluated, budget, clock), evaluated.scores


def _record(
    job: Job,
    lm: loading.LM,
    pool: Pool,
    groups: Sequence[Prompts],
    evaluated: Evaluated,
    budget: TokenBudget,
    clock: provenance.Clock,
) -> Record:
    """The record of a job that was done."""
    best = curves.by_dev(evaluated.curve)
    return Record(
        schema=SCHEMA,
        identity=job.key,
        config=Settings.of(job.config.resolved()),
        demonstrations=accounts.demonstrations(groups),
        data=accounts.data(job.splits, job.config),
        tokens=accounts.tokens(groups),
        selection=accounts.selection(groups, pool),
        gold=Gold(
            dev=in_words(map(gold, job.splits.dev)), test=in_words(map(gold, job.splits.test))
        ),
        curve=evaluated.curve,
        step_by_dev=best.step if best else None,
        drift=evaluated.drift,
        flops=accounts.operations(lm, groups, evaluated.thinking, pool),
        seconds=accounts.seconds(clock.laps),
        peak_memory_bytes=clock.peak_memory(),
        execution=Execution(
            device=provenance.device_name(*lm.devices),
            token_budget=budget.tokens,
            reused=accounts.scoring(lm, evaluated.reused),
        ),
        model_commit=job.model.commit,
        versions=provenance.versions(),
        code=provenance.code(),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
    )


@contextmanager
def _fitting(what: str) -> Iterator[None]:
    """Turn an out-of-memory error into a UserError that says what does not fit and what to do."""
    try:
        with allocating():
            yield
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"{what} into the device's memory: use fewer, a smaller model or a narrower dtype"
        ) from error


def check(job: Job) -> None:
    """Raise UserError for mistakes that would otherwise show after minutes of work."""
    records.check_writable(job.path.parent)
    RULES.load(job.config.method.selector, job.config.plugins)
    check_count(len(job.splits.pool), job.config.count)
    CALIBRATIONS.load(job.config.calibration, job.config.plugins)
    REFINEMENTS.load(job.config.method.refining(job.config.plugins), job.config.plugins)
