"""One job from config to record. Start here: `making`, which does the work, is called by this."""

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from deepthink.config.job import Config
from deepthink.errors import UserError
from deepthink.garbage import uncollected
from deepthink.models.devices import resolve_device, resolve_dtype
from deepthink.models.resolving import Resolved, resolve
from deepthink.progress import Watcher
from deepthink.store import leases, memories, records
from deepthink.store.identity import Identity, identity
from deepthink.store.leases import Busy
from deepthink.store.schema import Record
from deepthink.structures import Splits
from deepthink.tasks import own, sources

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
    def kept(self) -> bool:
        """Whether its memories lie beside its record."""
        steps = self.config.method.steps
        return all(memories.exists(self.path, step) for step in steps)

    @property
    def readings(self) -> int:
        """How many queries will be scored, each once for every scored step and every order."""
        method = self.config.method
        rows = len(self.splits.dev) + len(self.splits.test)
        return len(method.steps) * method.orders * rows


def prepare(config: Config, watch: Watcher) -> Job:
    """Read a job's data; UserError as in `run`."""
    watch.stage(f"reading {config.task.name}")
    config = replace(config, task=own.resolved(config.task, watch.tell))
    model = resolve(config.model)
    dtype = resolve_dtype(config.model.dtype, resolve_device(config.device))
    with uncollected():
        splits = sources.load(
            config.task,
            config.data_root,
            config.test_size,
            config.dev_size,
            config.pool_size,
            config.pool.overlap,
        )
    data = sources.fingerprint(splits, config.task)
    key = identity(config, dtype, data, model.digest(config.prompt.chat), model.commit)
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
            outcome = _read(job)
            if job.config.keep_memory and not job.kept:
                watch.tell(
                    f"{job.path.name} was done before, without keeping its memories: "
                    "force=true does it again and keeps them"
                )
            return outcome
    with uncollected():
        from deepthink.study import making  # slow to import, and not needed to read a record
    making.check(job)
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
        record, scores = making.make(job, watch)
        if not lease.held:
            raise Busy("taken over by another process while this one showed no life")
        return Outcome(job.path, records.write(job.path, record, scores), scores)


def _read(job: Job) -> Outcome:
    """The outcome of a job that was done before; BrokenRecord as `records.read`."""
    return Outcome(job.path, records.read(job.path), None)
