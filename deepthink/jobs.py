"""A request from start to its last line in the terminal: run, keep, show, publish."""

from collections.abc import Callable

from rich.console import Console

from deepthink import display, failures, study, suite, tracking
from deepthink.config import Config, Suite
from deepthink.errors import first_line
from deepthink.redaction import without_secrets
from deepthink.rounds import Busy
from deepthink.tally import Tally, grouped

STOPS = (Busy, KeyboardInterrupt, SystemExit)
"""What is no failure of the job at hand, and goes on to the caller."""


def perform(request: Config | Suite) -> Tally:
    """Do a job, or a suite's, whatever goes wrong; Busy where another process is at the job."""
    return _suite(request) if isinstance(request, Suite) else _job(request)


def _job(config: Config) -> Tally:
    console = display.console()
    try:
        with display.watching(console) as watch:
            outcome = study.run(config, watch)
    except STOPS:
        raise
    except BaseException as error:  # a panic of compiled code is no Exception
        return Tally(failed=1, reasons=(str(failures.note(config, error)),))
    failures.clear(config)
    _tell(lambda: display.show(outcome, console), console)
    if (failure := tracking.publish(outcome, config)) is not None:
        console.print(failure, highlight=False)
    return Tally(read=1) if outcome.scores is None else Tally(done=1)


def _suite(request: Suite) -> Tally:
    console = display.console()
    try:
        with display.watching(console) as watch:
            results = suite.run(request, watch)
    except STOPS:
        raise
    except BaseException as error:
        told = [failures.note(config, error) for config in request.jobs]
        return Tally(failed=len(told), reasons=(str(told[0]),))
    _tell(lambda: display.report(request, results, console), console)
    if (failure := tracking.publish_suite(request, results)) is not None:
        console.print(failure, highlight=False)
    reasons = grouped(f"{name}: {reason}" for name, reason in results.failures.items())
    done = sum(outcome.scores is not None for outcome in results.outcomes.values())
    read = len(results.outcomes) - done
    return Tally(done, read, len(results.failures), reasons)


def _tell(show: Callable[[], None], console: Console) -> None:
    """Show what is already stored; what a terminal makes of it costs no job."""
    try:
        show()
    except Exception as error:
        said = without_secrets(first_line(error))
        console.print(f"the result is kept but cannot be shown ({said})", markup=False)
