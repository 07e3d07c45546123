"""Several jobs, some of which other processes may be at."""

import time
from collections.abc import Callable, Iterable
from typing import TypeVar

POLL = 2.0
"""Seconds between two looks at jobs that others are at."""


def pause() -> None:
    """Wait until the next look."""
    time.sleep(POLL)


class Busy(Exception):
    """Another process is at this job; the message says which."""


Job = TypeVar("Job")


def until_done(jobs: Iterable[Job], attempt: Callable[[Job], object]) -> None:
    """Attempt each job; those that are Busy again and again, until no job is.

    A job another process finishes is read then; one whose process dies is done here.
    """
    left = list(jobs)
    while left:
        passed = []
        for job in left:
            try:
                attempt(job)
            except Busy:
                passed.append(job)
        if len(passed) == len(left):
            pause()
        left = passed
