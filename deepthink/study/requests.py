"""Doing a request's jobs. Those of a suite use the same loaded model, and have a record each."""

from dataclasses import dataclass
from pathlib import Path

from deepthink.config.request import Request
from deepthink.errors import UserError
from deepthink.garbage import uncollected
from deepthink.models.devices import resolve_devices
from deepthink.models.resolving import resolve
from deepthink.progress import Watcher
from deepthink.store import failures, records
from deepthink.store.leases import Busy, until_done
from deepthink.study import jobs
from deepthink.study.jobs import Job, Outcome


@dataclass(frozen=True)
class Results:
    """How a request's jobs ended.

    outcomes: task name → the outcome of its job. failures: task name → why a member of a suite has
    no outcome.
    """

    outcomes: dict[str, Outcome]
    failures: dict[str, str]


def run(request: Request, watch: Watcher) -> Results:
    """Do a request's jobs, or read the records of those that were done before.

    A member of a suite that fails does not stop the others.

    Raises:
        UserError: no job can be done, for example because the model cannot be loaded.
        Busy: another process does the only job. A suite waits for its members.
        KeyboardInterrupt: the user stopped it. For a suite the message says in which member, and
            how many are finished.
    """
    if request.suite is not None:
        return _members(request, watch)
    (config,) = request.jobs
    outcome = jobs.run(config, watch)
    failures.clear(config)
    return Results({config.task.name: outcome}, {})


def _members(request: Request, watch: Watcher) -> Results:
    """Do the jobs of a suite."""
    outcomes: dict[str, Outcome] = {}
    reasons: dict[str, str] = {}
    prepared: dict[str, Job] = {}
    first = request.jobs[0]
    model = resolve(first.model)
    for config in request.jobs:
        try:
            prepared[config.task.name] = jobs.prepare(config, watch)
        except Exception as error:
            reasons[config.task.name] = _reason(failures.note(config, error), config.task.name)
    waiting = [job for job in prepared.values() if not job.done]
    if waiting:
        records.check_writable(Path(first.results))
        watch.stage(model.stage)
        with uncollected():
            from deepthink.models import loading  # slow to import, and not needed to read records
        loading.load(first.model, *resolve_devices(first.device), tell=watch.tell)
    watch.start(sum(job.readings for job in waiting))

    def attempt(name: str) -> None:
        job = prepared[name]
        try:
            outcomes[name] = jobs.perform(job, watch)
            failures.clear(job.config)
        except Busy as other:
            watch.stage(f"{name}: {other}")
            raise
        except KeyboardInterrupt as stop:
            kept = f"{len(outcomes)} of {len(request.jobs)} members are kept"
            raise KeyboardInterrupt(f"in {name}, {kept}") from stop
        except Exception as error:
            reasons[name] = _reason(failures.note(job.config, error), name)

    until_done(prepared, attempt)
    return Results(outcomes, reasons)


def _reason(error: UserError, name: str) -> str:
    """The message without the member's name, so that equal reasons are equal texts."""
    return str(error).removeprefix(f"{name}: ")
