"""The command line: Hydra composes a config, jobs run, errors become one line each."""

import os
import shlex
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig

from deepthink.app import commands, streams
from deepthink.app.entry import enter
from deepthink.app.journals import Tally
from deepthink.app.sharing import Sharing, share
from deepthink.config.overrides import check, expand, group, translate
from deepthink.config.parsing import notes, parse
from deepthink.config.request import Request
from deepthink.errors import UserError, first_line
from deepthink.garbage import uncollected
from deepthink.installation import called
from deepthink.store.leases import Busy, until_done


def main() -> None:
    """Entry point of `deepthink` and of run.py.

    The first word may be one of `commands.NAMES`. Otherwise the words describe a job or a sweep.
    The exit code is 0 if every job has its record, else 1. Errors are printed, not raised.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come up to here, which prints one line
    streams.settle()
    name, *words = sys.argv[1:] or [""]
    if name in commands.NAMES:
        commands.run(name, words)
        return
    sys.exit(Session(sys.argv[1:]).run())


class Session:
    """One command line, from its words to its exit code.

    words: what stands after the program's name.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self._words = tuple(words)
        self._tally = Tally()
        self._lines: set[str] = set()
        self._busy: list[Request] = []
        self._reached = 0

    def run(self) -> int:
        """Do what the words describe, print how it ended, and return the exit code."""
        try:
            with _terminable():
                self._do()
                self._close()
        except UserError as error:
            self._fail(str(error))
        except KeyboardInterrupt as stop:
            where = f" {stop}" if str(stop) else ""
            so_far = f" after {self._tally}" if self._tally.jobs else ""
            kept = "finished jobs are kept, the same command continues"
            self._once(f"error: interrupted{where}{so_far}: {kept}", error=True)
            return 1
        except BrokenPipeError:
            streams.abandon()
        except Exception as error:
            self._fail(self._explained(error))
        self._print_sums()
        return 1 if self._tally.failed else 0

    def _do(self) -> None:
        check(self._words)
        if (sharing := Sharing.of(self._words)) is not None:
            self._count(share(sharing, self._once))
            return
        enter(self._job, self._words)
        if self._busy:
            count = len(self._busy)
            streams.tell(f"{count} jobs are done by other processes: waiting for them")
            until_done(self._busy, self._attempt)

    def _job(self, composed: DictConfig) -> None:
        """Do one config of the command line. Its failure does not stop the others."""
        self._reached += 1
        try:
            if (sweep := composed.get("sweep")) is not None:
                raise UserError(f"sweep is {sweep!r}: leave it out, a launcher sets it for workers")
            request = parse(composed)
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                request = request.in_group(group(self._words))
        except UserError as error:
            self._fail(str(error))
            return
        except Exception as error:  # Hydra would print lines of its own
            self._fail(self._explained(error))
            return
        if request.verbosity != "quiet":
            for note in notes(composed):
                self._once(note)
        try:
            self._attempt(request, self._place())
        except Busy:
            self._busy.append(request)

    def _place(self) -> str:
        """Where in the sweep the job stands, such as "job 3 of 40"; empty for a job by itself."""
        if HydraConfig.get().mode != RunMode.MULTIRUN:
            return ""
        with suppress(UserError):  # words that only Hydra's sweeper understands
            count = len(expand([word for word in self._words if not word.startswith("-")]))
            if self._reached <= count:
                return f"job {self._reached} of {count}" if count > 1 else ""
        return f"job {self._reached}"

    def _attempt(self, request: Request, place: str = "") -> None:
        with uncollected():
            from deepthink.app import perform  # slow to import: a mistyped word is reported before
        self._count(perform.perform(request, place))

    def _explained(self, error: Exception) -> str:
        """The line for an error: a mistake of the user if Hydra raised it, else a fault."""
        if isinstance(error, OSError) and not isinstance(error, HydraException):
            return f"{error.filename or 'a file'} cannot be used ({error.strerror or error})"
        *_, last = traceback.extract_tb(error.__traceback__)
        if Path(__file__).parent.parent not in Path(last.filename).parents:
            return translate(error, self._words)
        where = f"{Path(last.filename).name}, line {last.lineno}"
        said = f"{type(error).__name__}: {first_line(error)}, {where}"
        return f"failed unexpectedly ({said}): report it"

    def _close(self) -> None:
        """End a sweep with one table over its jobs."""
        if self._tally.jobs > 1:
            with uncollected():
                from deepthink.app import closing_view  # slow to import, and only sweeps need it
            closing_view.close(self._tally)

    def _print_sums(self) -> None:
        tally = self._tally
        if left := tally.unsent:
            what, them = ("1 record was", "it") if left == 1 else (f"{left} records were", "them")
            streams.tell(f"{what} not sent to Weights & Biases: the same command sends {them}")
        if tally.jobs > 1:
            streams.tell(f"jobs: {tally}")
            if tally.failed:
                words = shlex.join(word for word in self._words if word != "force=true")
                streams.tell(f"{tally.failed} failed; this runs only those: {called()} {words}")

    def _count(self, more: Tally) -> None:
        self._tally += more
        for reason in more.reasons:
            self._once(f"error: {' '.join(reason.split())}", error=True)

    def _once(self, line: str, error: bool = False) -> None:
        """Print a line unless it was printed before: jobs of a sweep may give the same line."""
        if line not in self._lines:
            streams.tell(line, error)
        self._lines.add(line)

    def _fail(self, message: str) -> None:
        self._count(Tally(failed=1, reasons=(message,)))


@contextmanager
def _terminable() -> Iterator[None]:
    """Treat SIGTERM as an interruption, so that leases are released."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
