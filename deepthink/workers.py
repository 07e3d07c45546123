"""A sweep whose jobs several processes share: a launcher starts the workers, leases do the rest.

    python run.py launcher=slurm workers=8 experiment=table1 model=gpt2-xl

    results/sweeps/<time>-<pid>-<group>/sweep.json       the jobs, in order
    results/sweeps/<time>-<pid>-<group>/worker<k>.jsonl  a line for each job that worker k came to
    results/sweeps/<time>-<pid>-<group>/worker<k>.log    what it would have shown in a terminal
    results/sweeps/<time>-<pid>-<group>/launcher.log     what the engine that runs the workers said

Every worker goes through all jobs, model by model from a place of its own, does those that nobody
has done or is at, and keeps its model loaded between them. A worker that is killed loses the job it
was at, which another takes over; a launcher that starts it again loses nothing.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from hydra.core.global_hydra import GlobalHydra

from deepthink import overrides
from deepthink.config import in_group, parse
from deepthink.errors import UserError, first_line
from deepthink.files import atomically
from deepthink.rounds import until_done
from deepthink.tally import Tally

_MULTIRUN = ("-m", "--multirun")
_ENGINE_LOG = "launcher.log"


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


def share(sharing: Sharing, task: Callable[[], object]) -> Tally:
    """Start the workers, wait for them, and sum up what became of the jobs.

    task: Hydra's entry point, which reads sys.argv.

    Raises:
        UserError: for a sweep or launcher that is wrong, before anything is started.
    """
    jobs = overrides.expand(sharing.sweep)
    engine = [f"launcher={sharing.launcher}", *sharing.engine]
    composed = overrides.composed([*jobs[0], *engine])
    parse(composed)
    if (wanted := composed.workers) is None or wanted < 1:
        raise UserError(f"workers is {wanted}: it must be 1 or more")
    count = min(wanted, len(jobs))
    sweep = {
        "jobs": jobs,
        "workers": count,
        "apart": count if sharing.launcher == "local" else 1,
        "group": overrides.group(sharing.sweep),
        "cwd": str(Path.cwd()),
    }
    folder = _store(Path(composed.results).absolute(), sweep)
    print(f"{len(jobs)} jobs, {count} workers: tail -f {folder}/worker*.log")
    sys.argv = [
        sys.argv[0],
        "-m",
        *engine,
        f"sweep='{folder}'",
        f"worker={','.join(map(str, range(count)))}",
    ]
    lost = ""
    try:
        with _aside(folder / _ENGINE_LOG) as screen, _progress(folder, len(jobs), screen):
            task()
    except (KeyboardInterrupt, UserError, *overrides.COMPOSING):
        raise
    except Exception as error:  # whatever a launcher makes of a worker that died
        lost = first_line(error)
    return _summed(folder, jobs, lost)


def _store(results: Path, sweep: dict[str, Any]) -> Path:
    """The sweep's folder, with its jobs."""
    from deepthink import records  # slow to import: a typo should not wait

    name = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}-{sweep['group']}"
    folder = results / "sweeps" / name
    records.check_writable(folder)
    text = json.dumps(sweep, indent=1)
    atomically(folder / "sweep.json", lambda path: path.write_text(text, encoding="utf-8"))
    return folder


def work(folder: Path, worker: int) -> None:
    """Be a worker: go through the jobs until each is done, by whomever."""
    from deepthink import jobs as doing  # slow to import: starting workers should not wait

    sweep = json.loads((folder / "sweep.json").read_text(encoding="utf-8"))
    os.chdir(sweep["cwd"])
    GlobalHydra.instance().clear()  # it has done its part; jobs are composed by themselves
    _settle(worker, sweep["apart"])
    journal = folder / f"worker{worker}.jsonl"

    def attempt(place: int) -> None:
        if any(line["job"] == place for line in _journals(folder)):
            return  # another worker did it, or it failed there
        begin = time.perf_counter()
        try:
            request = overrides.compose(sweep["jobs"][place])
            found = doing.perform(in_group(request, sweep["group"]))
        except UserError as error:
            found = Tally(failed=1, reasons=(str(error),))
        seconds = round(time.perf_counter() - begin, 3)
        with journal.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"job": place, "seconds": seconds, **asdict(found)}) + "\n")

    with (
        (folder / f"worker{worker}.log").open("a", encoding="utf-8", buffering=1) as log,
        redirect_stdout(log),
        redirect_stderr(log),
    ):
        until_done(order(sweep["jobs"], worker, sweep["workers"]), attempt)


def order(jobs: Sequence[Sequence[str]], worker: int, workers: int) -> list[int]:
    """The places of all jobs as this worker goes through them: model by model, from its own on."""

    def model(place: int) -> str:
        return next((word for word in jobs[place] if word.startswith("model=")), "")

    places = sorted(range(len(jobs)), key=model)
    start = len(jobs) * worker // workers
    return places[start:] + places[:start]


def _settle(worker: int, apart: int) -> None:
    """Of a machine that `apart` workers share, a GPU of its own, else its part of the cores."""
    import torch

    if (count := torch.cuda.device_count()) > 1:
        torch.cuda.set_device(worker % count)
    if not count and apart > 1:
        torch.set_num_threads(max(1, torch.get_num_threads() // apart))


def _journals(folder: Path) -> Iterator[dict[str, Any]]:
    """Every line of every worker; the one a worker was killed in is left out."""
    for path in sorted(folder.glob("worker*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                continue


def _summed(folder: Path, jobs: Sequence[Sequence[str]], lost: str) -> Tally:
    """Each job once, and those that no worker came to."""
    lines = sorted(_journals(folder), key=lambda line: line["done"])  # who did it, not who read it
    found = {
        line["job"]: Tally(line["done"], line["read"], line["failed"], tuple(line["reasons"]))
        for line in lines
    }
    tally = sum(found.values(), Tally())
    if missing := len(jobs) - len(found):
        why = f"{lost or 'a worker was lost'}; see {folder / _ENGINE_LOG}"
        reason = (
            f"{missing} jobs were not reached ({why}): the same command runs them once that is put "
            "right"
        )
        tally += Tally(failed=missing, reasons=(reason,))
    return tally


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
        task = bar.add_task("jobs", total=total)

        def watch() -> None:
            while not over.wait(1.0):
                bar.update(task, completed=len({line["job"] for line in _journals(folder)}))

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
