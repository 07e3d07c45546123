"""A request from start to its last line in the terminal: run, keep, show, publish."""

from collections.abc import Callable

from rich.console import Console

from deepthink.app import job_view, progress_bar, suite_view, terminal, wandb_runs
from deepthink.app.journals import Tally, grouped
from deepthink.config.job import Config, Suite
from deepthink.errors import first_line
from deepthink.redaction import without_secrets
from deepthink.store import failures
from deepthink.store.leases import Busy
from deepthink.study import jobs, suites

STOPS = (Busy, KeyboardInterrupt, SystemExit)
"""What is no failure of the job at hand, and goes on to the caller."""


def perform(request: Config | Suite) -> Tally:
    """Do a job, or a suite's, whatever goes wrong; Busy where another process is at the job."""
    return _suite(request) if isinstance(request, Suite) else _job(request)


def _job(config: Config) -> Tally:
    console = terminal.console()
    try:
        with progress_bar.watching(console) as watch:
            outcome = jobs.run(config, watch)
    except STOPS:
        raise
    except BaseException as error:  # a panic of compiled code is no Exception
        return Tally(failed=1, reasons=(str(failures.note(config, error)),))
    failures.clear(config)
    _tell(lambda: job_view.show(outcome, console), console)
    left = _sent(wandb_runs.publish(outcome, config), console)
    done = outcome.scores is not None
    return Tally(done=int(done), read=int(not done), unsent=left)


def _suite(request: Suite) -> Tally:
    console = terminal.console()
    try:
        with progress_bar.watching(console) as watch:
            results = suites.run(request, watch)
    except STOPS:
        raise
    except BaseException as error:
        told = [failures.note(config, error) for config in request.jobs]
        return Tally(failed=len(told), reasons=(str(told[0]),))
    _tell(lambda: suite_view.show(request, results, console), console)
    left = _sent(wandb_runs.publish_suite(request, results), console)
    reasons = grouped(f"{name}: {reason}" for name, reason in results.failures.items())
    done = sum(outcome.scores is not None for outcome in results.outcomes.values())
    read = len(results.outcomes) - done
    return Tally(done, read, len(results.failures), reasons, left)


def _sent(wrong: wandb_runs.Sending | None, console: Console) -> int:
    """Tell what went wrong with a run; returns how many are left to be sent, 0 or 1."""
    if wrong is None:
        return 0
    console.print(wrong.told, highlight=False, soft_wrap=True)
    return int(wrong.left)


def _tell(show: Callable[[], None], console: Console) -> None:
    """Show what is already stored: a display error must not fail a job whose record is written."""
    try:
        show()
    except Exception as error:
        said = without_secrets(first_line(error))
        console.print(f"the result is kept but cannot be shown ({said})", markup=False)
