"""Draws: which of the jobs that the experiments ask for have no record."""

import shlex
from collections.abc import Iterator
from pathlib import Path

from deepthink.installation import usual
from deepthink.report import experiments
from deepthink.report.checking.findings import Finding
from deepthink.report.measurements import Measured, Subject, subjects
from deepthink.report.readings import at
from deepthink.report.runs import Runs


def check(runs: Runs) -> Iterator[Finding]:
    """A finding for each experiment, model and scale of which some draws are there, not all."""
    for name in experiments.names():
        for subject in subjects(runs, name):
            measured = [*_measured(name, subject)]
            lacking = [of for of in measured if of.missing]
            if lacking and any(of.runs for of in measured):
                yield _missing(name, subject, measured, lacking)


def _measured(name: str, subject: Subject) -> Iterator[Measured]:
    """Every number of an experiment, at the last t of its jobs."""
    for setting in experiments.settings(name):
        last = max(config.method.iterations for config in setting.configs)
        yield subject.measure_setting(setting, at(last))


def _missing(
    name: str, subject: Subject, measured: list[Measured], lacking: list[Measured]
) -> Finding:
    draws = sum(len(of.missing) for of in lacking)
    wanted = sum(len(of.wanted) for of in measured)
    begun = sum(len(of.missing) < len(of.wanted) for of in lacking)
    wrong = f"has {wanted - draws} of {wanted} draws of experiment={name} on {subject.scale}"
    if begun:
        wrong += f", and {begun} {'number lacks' if begun == 1 else 'numbers lack'} a part of them"
    words = [f"model={subject.model}", *experiments.of_scale(subject.scale)]
    words += experiments.kept_in(subject.runs)
    todo = f"`{usual()} plan {name} {shlex.join(words)} --jobs` lists what is missing"
    return Finding(Path("records", subject.model), wrong, todo)
