"""The command line: Hydra composes a config, jobs run, errors become one line each."""

import logging
import os
import shlex
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from deepthink.app import streams, workers
from deepthink.app.journals import Tally
from deepthink.config.job import Config, Suite, in_group
from deepthink.config.overrides import CONF, check, group, translate
from deepthink.config.parsing import notes, parse
from deepthink.errors import UserError, first_line
from deepthink.store.leases import Busy, until_done

LIBRARIES = (
    "transformers", "huggingface_hub", "datasets", "torch", "pyarrow", "fsspec", "opentelemetry",
)  # fmt: skip
"""What goes wrong in them is told once, in one line, by who called them."""

_told: set[str] = set()
_passed: list[Config | Suite] = []
"""Jobs that other processes were at."""
_tally = Tally()


def main() -> None:
    """Entry point of run.py. Exit code 0 if every job has its record, else 1."""
    global _tally
    os.environ["HYDRA_FULL_ERROR"] = "1"  # hand errors up, to be told in one line here
    streams.settle()
    _tally = Tally()
    _told.clear()
    _passed.clear()
    asked = sys.argv[1:]
    interrupted = False
    try:
        with _terminable():
            _run()
    except UserError as error:
        _fail(str(error))
    except KeyboardInterrupt as stop:
        interrupted = True
        where = f" {stop}" if str(stop) else ""
        so_far = f" after {_tally}" if _tally.jobs else ""
        kept = "finished jobs are kept, the same command continues"
        _once(f"error: interrupted{where}{so_far}: {kept}", error=True)
    except BrokenPipeError:
        streams.abandon()
    except OSError as error:
        _fail(f"{error.filename or 'a file'} cannot be used ({error.strerror or error})")
    except Exception as error:
        _fail(_explained(error))
    if interrupted:
        sys.exit(1)
    if left := _tally.unsent:
        what = "1 record was" if left == 1 else f"{left} records were"
        them = "it" if left == 1 else "them"
        streams.tell(f"{what} not sent to Weights & Biases: the same command sends {them}")
    if _tally.jobs > 1:
        streams.tell(f"jobs: {_tally}")
        if _tally.failed:
            again = shlex.join(["python", "run.py", *(w for w in asked if w != "force=true")])
            streams.tell(f"{_tally.failed} failed; this runs only those: {again}")
    sys.exit(1 if _tally.failed else 0)


def _explained(error: Exception) -> str:
    """What reached `main`: a word or file that is wrong, if Hydra raised it; else a fault here."""
    *_, last = traceback.extract_tb(error.__traceback__)
    if Path(__file__).parent.parent not in Path(last.filename).parents:
        return translate(error)
    where = f"{Path(last.filename).name}, line {last.lineno}"
    return f"failed unexpectedly ({type(error).__name__}: {first_line(error)}, {where}): report it"


def _run() -> None:
    check(sys.argv[1:])
    if (sharing := workers.asked(sys.argv[1:])) is not None:
        _count(workers.share(sharing, job, _once))
        return
    job()
    if _passed:
        streams.tell(f"{len(_passed)} jobs are done by other processes: waiting for them")
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
    if (sweep := composed.get("sweep")) is not None:
        if not (isinstance(sweep, str) and Path(sweep, "sweep.json").is_file()):
            _fail(f"sweep is {sweep!r}: leave it out, a launcher sets it for its workers")
            return
        workers.work(Path(sweep), composed.worker)
        return
    try:
        request = parse(composed)
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            request = in_group(request, group(sys.argv[1:]))
    except UserError as error:
        _fail(str(error))
        return
    except Exception as error:  # Hydra would print lines of its own
        _fail(_explained(error))
        return
    for note in notes(composed):
        _once(note)
    try:
        _attempt(request)
    except Busy:
        _passed.append(request)


def _attempt(request: Config | Suite) -> None:
    from deepthink.app import perform  # slow to import: a typo should not wait

    for name in LIBRARIES:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    _count(perform.perform(request))


def _count(more: Tally) -> None:
    global _tally
    _tally += more
    for reason in more.reasons:
        _once(f"error: {' '.join(reason.split())}", error=True)


def _once(line: str, error: bool = False) -> None:
    """What all jobs of a sweep have in common is told once."""
    if line not in _told:
        streams.tell(line, error)
    _told.add(line)


def _fail(message: str) -> None:
    _count(Tally(failed=1, reasons=(message,)))
