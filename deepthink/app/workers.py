"""A sweep whose jobs several processes share: a launcher starts the workers, leases do the rest.

    python run.py launcher=slurm workers=8 experiment=table1 model=gpt2-xl

    results/sweeps/<time>-<…>-<group>/sweep.json       the jobs, a suite's one by one
    results/sweeps/<time>-<…>-<group>/worker<k>.jsonl  a line for each job that worker k came to
    results/sweeps/<time>-<…>-<group>/worker<k>.log    what it would have shown in a terminal
    results/sweeps/<time>-<…>-<group>/launcher.log     what the engine that runs the workers said
    results/sweeps/<time>-<…>-<group>/leases           which worker lives, and who is at which job

Every worker goes through all jobs, model by model from a place of its own, does those that nobody
has done or is at, and keeps its model loaded between them. A worker that is killed loses the job it
was at, which another takes over when it has done all others, since it may be the job that kills; a
launcher that starts the worker again loses nothing.
"""

import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO
from uuid import uuid4

from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from deepthink.app.journals import Journals, Tally, add, grouped
from deepthink.config import overrides
from deepthink.config.job import Config, Suite, in_group
from deepthink.config.parsing import notes, parse
from deepthink.errors import UserError, first_line
from deepthink.files import atomically, unwritable
from deepthink.redaction import without_secrets
from deepthink.store import leases
from deepthink.store.leases import Busy, Holder, Lease, Leases, until_done

Words = list[str]
Members = tuple[Words, list[int]]
"""A suite's overrides, and the places of its members among the jobs."""

_MULTIRUN = ("-m", "--multirun")
_ENGINE_LOG = "launcher.log"
_GPUS = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Sharing:
    """A request to share a sweep. engine: overrides of the launcher's own settings."""

    launcher: str
    engine: tuple[str, ...]
    sweep: tuple[str, ...]


def asked(words: Sequence[str]) -> Sharing | None:
    """What a command line asks to share; None where it asks for no launcher, or for help alone.

    UserError for workers without a launcher.
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
    return Sharing(chosen[-1], tuple(engine), tuple(sweep))


def share(sharing: Sharing, task: Callable[[], object], tell: Callable[[str], object]) -> Tally:
    """Start the workers, wait for them, and sum up what became of the jobs.

    task: Hydra's entry point, which reads sys.argv; tell: shows a line.

    Raises:
        UserError: for a sweep or launcher that is wrong, before anything is started.
        KeyboardInterrupt: says what was done by then, and which workers go on.
    """
    expanded = overrides.expand(sharing.sweep)
    engine = [f"launcher={sharing.launcher}", *sharing.engine]
    composed = overrides.composed([*expanded[0], *engine])
    request = parse(composed)
    wanted = composed.workers
    if not isinstance(wanted, int) or isinstance(wanted, bool) or wanted < 1:
        raise UserError(f"workers is {wanted}: it must be a whole number, 1 or more")
    for note in _notes(expanded):
        tell(note)
    jobs, suites = _apart(expanded)
    count = min(wanted, len(jobs))
    sweep = {
        "jobs": jobs,
        "suites": suites,
        "workers": count,
        "local": sharing.launcher == "local",
        "gpus": os.environ.get(_GPUS),
        "group": overrides.group(sharing.sweep),
        "cwd": str(Path.cwd()),
    }
    results = (request.jobs[0] if isinstance(request, Suite) else request).results
    folder = _store(Path(results).absolute(), sweep)
    print(f"{len(jobs)} jobs, {count} workers: tail -f {folder}/worker*.log")
    sys.argv = [
        sys.argv[0],
        "-m",
        *engine,
        "sweep='{}'".format(str(folder).replace("'", r"\'")),
        f"worker={','.join(map(str, range(count)))}",
    ]
    lost = ""
    try:
        with _aside(folder / _ENGINE_LOG) as screen, _progress(folder, len(jobs), screen):
            try:
                with _seen_alike():
                    task()
            except (UserError, HydraException, OmegaConfBaseException):
                raise
            except Exception as error:  # whatever a launcher makes of a worker that died
                died = type(error).__module__.startswith("submitit")
                lost = "a worker was lost" if died else without_secrets(first_line(error))
                with suppress(OSError), (folder / _ENGINE_LOG).open("a", encoding="utf-8") as log:
                    log.write(without_secrets(traceback.format_exc()))
            _outlive(folder)
    except KeyboardInterrupt as stop:
        so_far = sum(Journals(folder).ended().values(), Tally())
        raise KeyboardInterrupt(f"{_stopped(folder)}after {so_far}") from stop
    return _summed(folder, jobs, suites, lost)


def _notes(expanded: Sequence[Words]) -> Iterator[str]:
    """What `config.notes` says of the methods of a sweep, each composed once."""
    methods = {tuple(word for word in words if word.startswith("method")) for words in expanded}
    for words in methods:
        if any(word.startswith("method.iterations=") for word in words):
            with suppress(UserError):  # whoever does it says why
                yield from notes(overrides.composed(words))


@contextmanager
def _seen_alike() -> Iterator[None]:
    """Processes that are started meanwhile import what this one does, from the same places.

    By themselves they would look into the working folder first, and not where run.py lies.
    """
    places = [str(Path(place).absolute()) for place in sys.path if place]
    ours = {"PYTHONPATH": os.pathsep.join(places), "PYTHONSAFEPATH": "1"}
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def _apart(expanded: Sequence[Words]) -> tuple[list[Words], list[Members]]:
    """The jobs, those of a suite one by one; and the suites, with the places of their members."""
    jobs: list[Words] = []
    suites: list[Members] = []
    for words in expanded:
        members = overrides.members(words)
        if members is not None:
            suites.append((words, list(range(len(jobs), len(jobs) + len(members)))))
        jobs += members or [words]
    return jobs, suites


def _outlive(folder: Path) -> None:
    """Wait for workers that go on after another was lost."""
    living = Leases(folder / "leases")
    for name in living.names("worker"):
        while not isinstance(found := living.take(name), Lease):
            leases.pause()
        found.release()


def _stopped(folder: Path) -> str:
    """Interrupt the workers on this machine; returns what to say of those on others."""
    here, elsewhere = Holder.here(), []
    living = Leases(folder / "leases")
    for name in living.names("worker"):
        found = living.take(name)
        if isinstance(found, Lease):
            found.release()
        elif found is not None and found.machine == here.machine:
            with suppress(ProcessLookupError):
                os.kill(found.pid, signal.SIGINT)
        elif found is not None:
            elsewhere.append(str(found))
    return f"(workers go on: {', '.join(elsewhere)}; end them with scancel) " if elsewhere else ""


def _store(results: Path, sweep: dict[str, Any]) -> Path:
    """The sweep's folder, with its jobs."""
    from deepthink.store import records  # slow to import: a typo should not wait

    name = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{uuid4().hex[:4]}-{sweep['group']}"
    folder = results / "sweeps" / name
    records.check_writable(folder)
    text = json.dumps(sweep, indent=1)
    try:
        atomically(folder / "sweep.json", lambda path: path.write_text(text, encoding="utf-8"))
        for worker in range(sweep["workers"]):  # network folders are slow to show a new file
            (folder / f"worker{worker}.jsonl").touch()
    except OSError as error:
        raise unwritable(folder, error) from error
    return folder


def work(folder: Path, worker: int) -> None:
    """Be a worker: go through the jobs until each is done, by whomever."""
    sweep = json.loads((folder / "sweep.json").read_text(encoding="utf-8"))
    from deepthink.app import perform as doing  # slow to import: starting workers should not wait

    os.chdir(sweep["cwd"])
    GlobalHydra.instance().clear()  # it has done its part; jobs are composed by themselves
    journals = Journals(folder)
    claims = Leases(folder / "leases")
    put_off: set[int] = set()

    def once(place: int, do: Callable[[], Tally]) -> None:
        """Unless it has ended, have it to oneself, do it, and write down what became of it."""
        if place in journals.ended():
            return
        claim = claims.take(f"job{place}")
        if not isinstance(claim, Lease):
            raise Busy(f"done by {claim or 'another worker'}")
        with claim:
            if claim.lost_by and place not in put_off:
                put_off.add(place)
                claim.leave()
                raise Busy("a worker died in the middle of it: all others first")
            if place in journals.ended():
                return
            begin = time.perf_counter()
            try:
                found = do()
            except UserError as error:
                found = Tally(failed=1, reasons=(str(error),))
            add(folder, worker, place, time.perf_counter() - begin, found)

    def attempt(place: int) -> None:
        once(place, lambda: doing.perform(_alone(requested(sweep["jobs"][place]))))

    def conclude(number: int) -> None:
        words, members = sweep["suites"][number]
        if any(journals.ended()[place].failed for place in members):
            return
        to_read = requested([*words, "force=false"])  # each was done, anew if that was asked for
        once(len(sweep["jobs"]) + number, lambda: _uncounted(doing.perform(to_read)))

    def requested(words: Sequence[str]) -> Config | Suite:
        return in_group(overrides.compose(words), sweep["group"])

    with (
        (folder / f"worker{worker}.log").open("a", encoding="utf-8", buffering=1) as log,
        redirect_stdout(log),
        redirect_stderr(log),
        _alive(claims, worker) as me,
    ):
        print(f"worker {worker} of {sweep['workers']}: {me}, {_settle(worker, sweep)}")
        until_done(order(sweep["jobs"], worker, sweep["workers"]), attempt)
        until_done(range(len(sweep["suites"])), conclude)


@contextmanager
def _alive(claims: Leases, worker: int) -> Iterator[Holder]:
    """The worker's own lease, from which the driver sees that it lives.

    Each start has one of its own: whether the last one's process has ended need not be known.
    """
    for last in claims.folder.glob(f"worker{worker}-*"):
        last.unlink(missing_ok=True)
    mine = claims.take(f"worker{worker}-{uuid4().hex[:8]}")
    try:
        yield Holder.here()
    finally:
        if isinstance(mine, Lease):
            mine.release()


def _alone(request: Config | Suite) -> Config:
    """The one job of a request: a suite's were taken apart."""
    if isinstance(request, Suite):
        (job,) = request.jobs
        return job
    return request


def _uncounted(found: Tally) -> Tally:
    """What a suite adds to the tally of its members: that something went wrong, or was not sent."""
    return Tally(failed=min(found.failed, 1), reasons=found.reasons, unsent=found.unsent)


def order(jobs: Sequence[Sequence[str]], worker: int, workers: int) -> list[int]:
    """The places of all jobs as this worker goes through them: model by model, from its own on."""

    def model(place: int) -> list[str]:
        return [word for word in jobs[place] if word.startswith("model")]

    places = sorted(range(len(jobs)), key=model)
    start = len(jobs) * worker // workers
    return places[start:] + places[:start]


def _settle(worker: int, sweep: Mapping[str, Any]) -> str:
    """Take a GPU, or this worker's part of the cores; says which.

    Processes with more threads than cores between them wait for each other, many times as long as
    they work.
    """
    if sweep["local"]:  # submitit hides every GPU from workers that it was not told to give any
        os.environ.pop(_GPUS, None)
        if sweep["gpus"] is not None:
            os.environ[_GPUS] = sweep["gpus"]
    import torch

    if count := torch.cuda.device_count():
        torch.cuda.set_device(worker % count)
        return f"GPU {worker % count} of {count}"
    threads = torch.get_num_threads()
    if granted := os.environ.get("SLURM_CPUS_PER_TASK"):  # not every cluster binds its tasks
        threads = min(threads, int(granted))
    if sweep["local"]:
        threads //= sweep["workers"]
    torch.set_num_threads(max(1, threads))
    return f"no GPU, {torch.get_num_threads()} threads"


def _summed(folder: Path, jobs: Sequence[Words], suites: Sequence[Members], lost: str) -> Tally:
    """What became of all jobs, and of the suites they belong to, if no worker came to it too."""
    ended = Journals(folder).ended()
    tally = sum(ended.values(), Tally())
    why = f"{lost or 'a worker was lost'}; see {folder / _ENGINE_LOG}"
    if missing := len(set(range(len(jobs))) - set(ended)):
        reason = (
            f"{missing} jobs were not reached ({why}): the same command runs them once that is put "
            "right"
        )
        tally += Tally(failed=missing, reasons=(reason,))
    for place, (words, members) in enumerate(suites, len(jobs)):
        if place not in ended and all(ended.get(m, Tally(failed=1)).failed == 0 for m in members):
            reason = (
                f"{' '.join(words)} was done and not reported ({why}): the same command does that"
            )
            tally += Tally(failed=1, reasons=(reason,))
    return replace(tally, reasons=grouped(tally.reasons))


@contextmanager
def _aside(path: Path) -> Iterator[TextIO]:
    """Send what an engine and its processes print to a file; yields the screen."""
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
def _progress(folder: Path, total: int, screen: TextIO) -> Iterator[None]:
    """A bar of the jobs that workers have ended, while they are at it."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

    console = Console(file=screen)
    over = threading.Event()
    columns = (*Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task, journals = bar.add_task("jobs", total=total), Journals(folder)

        def watch() -> None:
            while not over.wait(1.0):
                bar.update(task, completed=sum(job < total for job in journals.ended()))

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
