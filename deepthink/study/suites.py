"""A suite's jobs under one loaded model and one progress bar, each with a record of its own."""

from dataclasses import dataclass
from pathlib import Path

from deepthink.config.job import Suite
from deepthink.errors import UserError
from deepthink.models import loading
from deepthink.progress import Watcher
from deepthink.store import failures, records
from deepthink.store.leases import Busy, until_done
from deepthink.study.jobs import Job, Outcome, perform, prepare


@dataclass(frozen=True)
class Results:
    """What became of a suite's members, by name, in the suite's order: outcomes and failures.

    failures: why a member has no outcome.
    """

    outcomes: dict[str, Outcome]
    failures: dict[str, str]


def run(suite: Suite, watch: Watcher) -> Results:
    """Do the members' jobs, or read the records of those that were done before.

    A member that fails stops no other.

    Raises:
        UserError: what would stop every member, such as a model that cannot be loaded.
        KeyboardInterrupt: says which member it stopped and how many were kept.
    """
    outcomes: dict[str, Outcome] = {}
    reasons: dict[str, str] = {}
    jobs: dict[str, Job] = {}
    loading.resolve(suite.jobs[0].model)
    for config in suite.jobs:
        try:
            jobs[config.task.name] = prepare(config, watch)
        except Exception as error:
            reasons[config.task.name] = _reason(failures.note(config, error), config.task.name)
    waiting = [job for job in jobs.values() if not job.done]
    if waiting:
        first = suite.jobs[0]
        records.check_writable(Path(first.results))
        watch.stage(f"loading {first.model.name}")
        loading.load(first.model, loading.resolve_device(first.device), watch.tell)
    watch.start(sum(job.readings for job in waiting))

    def attempt(name: str) -> None:
        job = jobs[name]
        try:
            outcomes[name] = perform(job, watch)
            failures.clear(job.config)
        except Busy as other:
            watch.stage(f"{name}: {other}")
            raise
        except KeyboardInterrupt as stop:
            kept = f"{len(outcomes)} of {len(suite.jobs)} members are kept"
            raise KeyboardInterrupt(f"in {name}, {kept}") from stop
        except Exception as error:
            reasons[name] = _reason(failures.note(job.config, error), name)

    until_done(jobs, attempt)
    return Results(outcomes, reasons)


def _reason(error: UserError, name: str) -> str:
    """What went wrong, without the member's name, so that equal reasons read equal."""
    return str(error).removeprefix(f"{name}: ")
