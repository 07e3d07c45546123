"""The command line: Hydra composes a config, jobs run, errors become one line each."""

import os
import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from deepthink import workers
from deepthink.config import Config, Suite, in_group, parse
from deepthink.errors import UserError
from deepthink.overrides import COMPOSING, CONF, group, translate
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
    try:
        if (sharing := workers.asked(sys.argv[1:])) is not None:
            _count(workers.share(sharing, job))
        else:
            job()
            if _passed:
                print(f"{len(_passed)} jobs are done by other processes: waiting for them")
                until_done(_passed, _attempt)
    except COMPOSING as error:
        _fail(translate(error))
    except UserError as error:
        _fail(str(error))
    except KeyboardInterrupt as stop:
        where = f" {stop}" if str(stop) else ""
        _fail(f"interrupted{where}: finished jobs are kept, the same command continues")
    if _tally.jobs > 1:
        print(f"jobs: {_tally}")
    if len(_tally.reasons) > 1:
        print(f"{_tally.failed} jobs failed; the same command runs only those", file=sys.stderr)
    sys.exit(1 if _tally.failed else 0)


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
