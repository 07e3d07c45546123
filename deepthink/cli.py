"""The command line: Hydra composes a config, jobs run, errors become one line each."""

import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from deepthink import workers
from deepthink.config import Config, Suite, in_group, parse
from deepthink.errors import UserError
from deepthink.overrides import COMPOSING, CONF, check_experiment, group, translate
from deepthink.rounds import Busy, until_done
from deepthink.tally import Tally

_told: set[str] = set()
_passed: list[Config | Suite] = []
"""Jobs that other processes were at."""
_tally = Tally()


def main() -> None:
    """Entry point of run.py. Exit code 0 if every job has its record, else 1."""
    global _tally
    os.environ["HYDRA_FULL_ERROR"] = "1"  # hand errors up, to be told in one line here
    _tally = Tally()
    _told.clear()
    _passed.clear()
    asked = sys.argv[1:]
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        with _terminable():
            _run()
    except COMPOSING as error:
        _fail(translate(error))
    except UserError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.filename or 'a file'} cannot be used ({error.strerror or error})")
    except KeyboardInterrupt as stop:
        where = f" {stop}" if str(stop) else ""
        _fail(f"interrupted{where}: finished jobs are kept, the same command continues")
    if _tally.jobs > 1:
        print(f"jobs: {_tally}")
        if _tally.failed:
            again = shlex.join(["python", "run.py", *(w for w in asked if w != "force=true")])
            print(f"{_tally.failed} failed; this runs only those: {again}")
    sys.exit(1 if _tally.failed else 0)


def _run() -> None:
    if (sharing := workers.asked(sys.argv[1:])) is not None:
        _count(workers.share(sharing, job))
        return
    check_experiment(sys.argv[1:])
    job()
    if _passed:
        print(f"{len(_passed)} jobs are done by other processes: waiting for them")
        until_done(_passed, _attempt)


@contextmanager
def _terminable() -> Iterator[None]:
    """A request to end (SIGTERM) is an interruption: what is held is let go."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def job(composed: DictConfig) -> None:
    """What Hydra calls: a job, a suite, or a worker of a sweep that several share."""
    dispatch(composed)


def dispatch(composed: DictConfig) -> None:
    """The failure of a job stops no other."""
    if composed.sweep is not None:
        workers.work(Path(composed.sweep), composed.worker)
        return
    try:
        request = parse(composed)
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            request = in_group(request, group(sys.argv[1:]))
    except UserError as error:
        _fail(str(error))
        return
    try:
        _attempt(request)
    except Busy:
        _passed.append(request)


def _attempt(request: Config | Suite) -> None:
    from deepthink import jobs  # slow to import: a typo should not wait

    _count(jobs.perform(request))


def _count(more: Tally) -> None:
    global _tally
    _tally += more
    for reason in more.reasons:
        line = " ".join(reason.split())
        if line not in _told:  # what all jobs of a sweep get wrong is told once
            print(f"error: {line}", file=sys.stderr)
        _told.add(line)


def _fail(message: str) -> None:
    _count(Tally(failed=1, reasons=(message,)))
