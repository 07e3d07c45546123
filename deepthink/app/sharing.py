"""A sweep whose jobs several processes share: a launcher starts the workers, leases do the rest.

    python run.py launcher=slurm workers=8 experiment=table1 model=gpt2-xl

The command expands the sweep, starts the workers, waits for them and sums up. Nothing is lost if a
launcher starts a killed worker again. `sweep` says which files are kept, and `worker` what a worker
does.
"""

import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from deepthink.app import worker
from deepthink.app.entry import enter
from deepthink.app.journals import Journals, Tally, grouped
from deepthink.app.sweep import Sweep, Words, taken_apart
from deepthink.config import overrides
from deepthink.config.parsing import notes, parse
from deepthink.config.search import quoted
from deepthink.errors import UserError, first_line
from deepthink.progress import every_second
from deepthink.redaction import without_secrets
from deepthink.store import leases
from deepthink.store.leases import Holder, Lease, Leases

_MULTIRUN = ("-m", "--multirun")
_ENGINE_LOG = "launcher.log"
MOST_NAMED = 200
"""Of the jobs that no worker reached, the first so many are in the table at the end."""


@dataclass(frozen=True)
class Sharing:
    """A command line whose jobs several processes share.

    >>> Sharing.of(["launcher=local", "workers=2", "seed=0,1"]).sweep
    ('seed=0,1',)

    launcher: the name of a file in conf/launcher.
    engine: the words that set the launcher's options.
    sweep: the words that describe the jobs.
    """

    launcher: str
    engine: tuple[str, ...]
    sweep: tuple[str, ...]

    @classmethod
    def of(cls, words: Sequence[str]) -> "Sharing | None":
        """The sharing of a command line; None where it names no launcher, or only wants help.

        Raises UserError for workers without a launcher.
        """
        chosen = [word.partition("=")[2] for word in words if word.startswith("launcher=")]
        flags = [word for word in words if word.startswith("-") and word not in _MULTIRUN]
        if flags:
            return None
        if not chosen:
            if any(word.startswith("workers=") for word in words):
                raise UserError("workers= says how many a launcher starts: add launcher=local")
            return None
        rest = [word for word in words if word not in _MULTIRUN]
        engine = [w for w in rest if w.startswith(("hydra.", "workers="))]
        sweep = [w for w in rest if not w.startswith(("hydra.", "workers=", "launcher="))]
        return cls(chosen[-1], tuple(engine), tuple(sweep))


def share(sharing: Sharing, tell: Callable[[str], object]) -> Tally:
    """Start the workers, wait for them, and count how the jobs ended.

    tell: called with each line to show.

    Raises:
        UserError: the sweep or the launcher is wrong. No worker was started.
        KeyboardInterrupt: the user stopped it. The message says how many jobs had ended, and which
            workers go on.
    """
    expanded = overrides.expand(sharing.sweep)
    return share_jobs(sharing, expanded, overrides.group(sharing.sweep), tell)


def share_jobs(
    sharing: Sharing, expanded: Sequence[Words], group: str, tell: Callable[[str], object]
) -> Tally:
    """As `share`, of jobs that are no combination of values.

    expanded: the words of each job, of a suite as a whole. group: the name of their runs in W&B.
    """
    engine = [f"launcher={sharing.launcher}", *sharing.engine]
    composed = overrides.composed([*expanded[0], *engine])
    request = parse(composed)
    results = Path(request.jobs[0].results).absolute()
    wanted = composed.workers
    if not isinstance(wanted, int) or isinstance(wanted, bool) or wanted < 1:
        raise UserError(f"workers is {wanted}: it must be a whole number, 1 or more")
    if request.verbosity != "quiet":
        for note in _notes(expanded):
            tell(note)
    jobs, suites = taken_apart(expanded)
    sweep = Sweep(
        jobs=jobs,
        suites=suites,
        workers=min(wanted, len(jobs)),
        local=sharing.launcher == "local",
        gpus=os.environ.get(worker.GPUS),
        group=group,
        cwd=str(Path.cwd()),
    )
    folder = sweep.write(results)
    if request.verbosity != "quiet":
        print(f"{len(jobs)} jobs, {sweep.workers} workers: tail -f {folder}/worker*.log")
    numbers = ",".join(map(str, range(sweep.workers)))
    lost = _run_workers(folder, sweep, [*engine, f"worker={numbers}"], request.verbosity)
    return summary(folder, sweep, lost)


def _run_workers(folder: Path, sweep: Sweep, engine: Sequence[str], verbosity: str) -> str:
    """Start the workers and wait for all; returns what is known of a lost worker, "" if none was.

    engine: the words of the launcher's settings and of the workers' numbers.
    """
    lost, total = "", len(sweep.jobs)
    try:
        with (
            _aside(folder / _ENGINE_LOG) as screen,
            _progress(folder, total, screen, verbosity),
        ):
            try:
                with same_imports():
                    enter(worker.work, ["-m", *engine, f"sweep={quoted(folder)}"])
            except (UserError, HydraException, OmegaConfBaseException):
                raise
            except Exception as error:  # whatever a launcher makes of a worker that died
                died = type(error).__module__.startswith("submitit")
                lost = "a worker was lost" if died else without_secrets(first_line(error))
                with suppress(OSError), (folder / _ENGINE_LOG).open("a", encoding="utf-8") as log:
                    log.write(without_secrets(traceback.format_exc()))
            wait_for_workers(folder)
    except KeyboardInterrupt as stop:
        so_far = sum(Journals(folder).ended().values(), Tally())
        raise KeyboardInterrupt(f"{_stopped(folder)}after {so_far}") from stop
    return lost


def _notes(expanded: Sequence[Words]) -> Iterator[str]:
    """The notes on the methods of a sweep. Each method is composed once."""
    about = ("method", "plugins=")
    methods = {tuple(word for word in words if word.startswith(about)) for words in expanded}
    for words in methods:
        if any(word.startswith("method.iterations=") for word in words):
            with suppress(UserError):  # the worker that does the job reports it
                yield from notes(overrides.composed(words))


@contextmanager
def same_imports() -> Iterator[None]:
    """While this lasts, processes that are started import modules from where this process does.

    Without it they would look in the working folder first, and not in that of run.py.
    """
    places = [str(Path(place).absolute()) for place in sys.path if place]
    changed = {"PYTHONPATH": os.pathsep.join(places), "PYTHONSAFEPATH": "1"}
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def wait_for_workers(folder: Path) -> None:
    """Wait for the workers that still run, which may outlive a launcher that lost one of them."""
    living = Leases(folder / "leases")
    for name in living.names("worker"):
        while not isinstance(lease := living.take(name), Lease):
            leases.pause()
        lease.release()


def _stopped(folder: Path) -> str:
    """Interrupt the workers on this machine; returns the words that name those on others."""
    here, elsewhere = Holder.here(), []
    living = Leases(folder / "leases")
    for name in living.names("worker"):
        holder = living.take(name)
        if isinstance(holder, Lease):
            holder.release()
        elif holder is not None and holder.machine == here.machine:
            with suppress(ProcessLookupError):
                os.kill(holder.pid, signal.SIGINT)
        elif holder is not None:
            elsewhere.append(str(holder))
    return f"(workers go on: {', '.join(elsewhere)}; end them with scancel) " if elsewhere else ""


def summary(folder: Path, sweep: Sweep, lost: str = "") -> Tally:
    """How all jobs and suites of a sweep ended. A job that no worker reached counts as failed.

    lost: what is known of workers that were lost.
    """
    ended = Journals(folder).ended()
    tally = sum((ended[place] for place in sorted(ended)), Tally())
    why = f"{lost or 'a worker was lost'}; see {folder / _ENGINE_LOG}"
    if unreached := sorted({*range(len(sweep.jobs))} - {*ended}):
        reason = (
            f"{len(unreached)} jobs were not reached ({why}): the same command runs them once "
            "that is put right"
        )
        missing = tuple(_axes(sweep.jobs[place] for place in unreached[:MOST_NAMED]))
        tally += Tally(failed=len(unreached), reasons=(reason,), missing=missing)
    for place, (words, members) in enumerate(sweep.suites, len(sweep.jobs)):
        if place not in ended and all(ended.get(m, Tally(failed=1)).failed == 0 for m in members):
            reason = (
                f"{' '.join(words)} was done and not reported ({why}): the same command does that"
            )
            tally += Tally(failed=1, reasons=(reason,))
    return replace(tally, reasons=grouped(tally.reasons))


def _axes(jobs: Iterable[Words]) -> Iterator[dict[str, Any]]:
    """What jobs are that no worker reached, as far as their words can be composed."""
    from deepthink.report import axes  # slow to import, and most sweeps reach all jobs

    for words in jobs:
        with suppress(UserError):
            yield from map(axes.of_config, overrides.requested(words).jobs)


@contextmanager
def _aside(path: Path) -> Iterator[TextIO]:
    """Redirect what a launcher and its processes print to a file; yields the screen."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    with path.open("a", encoding="utf-8") as log, os.fdopen(kept[0], "w") as screen:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        try:
            yield screen
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            screen.flush()
            os.dup2(kept[0], 1)
            os.dup2(kept[1], 2)
            os.close(kept[1])


@contextmanager
def _progress(folder: Path, total: int, screen: TextIO, verbosity: str) -> Iterator[None]:
    """Show how many jobs have ended, and how many failed, while the workers run."""
    from deepthink.app import progress_bar, terminal  # slow to import

    console = terminal.console(screen)
    with progress_bar.watching(console, verbosity, unit="jobs") as watch:
        journals, seen = Journals(folder), dict[int, Tally]()
        watch.stage("sweep")
        watch.start(total)

        def look() -> None:
            new = {job: end for job, end in journals.ended().items() if job not in seen}
            seen.update(new)
            watch.advance(sum(job < total for job in new))
            if any(end.failed for end in new.values()):
                failed = sum(end.failed for end in seen.values())
                watch.stage(f"sweep, {failed} failed")

        with every_second(look):
            yield
