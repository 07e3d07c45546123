"""Doing a request, from its start to its last line in the terminal: run, show, send."""

from rich.console import Console

from deepthink.app import job_view, libraries, progress_bar, suite_view, terminal, wandb_runs
from deepthink.app.journals import Tally, grouped
from deepthink.config.request import Request
from deepthink.report import axes
from deepthink.store import failures
from deepthink.store.leases import Busy
from deepthink.study import requests
from deepthink.study.requests import Results

STOPS = (Busy, KeyboardInterrupt, SystemExit)
"""These are not failures of a job: the caller handles them."""


def perform(request: Request, place: str = "") -> Tally:
    """Do a request's jobs, show the results, send them, and count how the jobs ended.

    A job that fails is counted, and its reason is stored; nothing is raised for it.

    place: where in a sweep the request stands, for whoever watches it.

    Raises:
        Busy: another process does the only job.
        KeyboardInterrupt: the user stopped it.
    """
    console = terminal.console()
    libraries.hush(request.verbosity)
    try:
        with progress_bar.watching(console, request.verbosity, place) as watch:
            results = requests.run(request, watch)
    except STOPS:
        raise
    except BaseException as error:  # compiled code may raise what is no Exception
        noted = [failures.note(config, error) for config in request.jobs]
        missing = tuple(map(axes.of_config, request.jobs))
        return Tally(failed=len(noted), reasons=(str(noted[0]),), missing=missing)
    terminal.show(lambda: _view(request, results, console), console)
    unsent = _sent(_publish(request, results), console)
    reasons = grouped(f"{name}: {reason}" for name, reason in results.failures.items())
    done = sum(outcome.scores is not None for outcome in results.outcomes.values())
    read = len(results.outcomes) - done
    paths = tuple(str(outcome.path) for outcome in results.outcomes.values())
    missing = tuple(
        axes.of_config(job) for job in request.jobs if job.task.name in results.failures
    )
    return Tally(done, read, len(results.failures), reasons, unsent, paths, missing)


def _view(request: Request, results: Results, console: Console) -> None:
    quiet, verbose = (request.verbosity == word for word in ("quiet", "verbose"))
    if request.suite is not None:
        (suite_view.show_briefly if quiet else suite_view.show)(request, results, console)
        return
    for outcome in results.outcomes.values():
        if quiet:
            job_view.show_briefly(outcome, console)
        else:
            job_view.show(outcome, console, metrics=verbose)


def _publish(request: Request, results: Results) -> wandb_runs.Sending | None:
    if request.suite is not None:
        return wandb_runs.publish_suite(request, results)
    (config,) = request.jobs  # a suite's member is sent with its suite
    return wandb_runs.publish(results.outcomes[config.task.name], config)


def _sent(trouble: wandb_runs.Sending | None, console: Console) -> int:
    """Print why a run was not sent as it should be; returns how many remain to be sent, 0 or 1."""
    if trouble is None:
        return 0
    console.print(trouble.message, highlight=False, soft_wrap=True)
    return int(trouble.left)
