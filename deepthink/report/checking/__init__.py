"""Judging a folder of records: each file here is one kind of check, and `judge` makes them all."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from deepthink.report.checking import curves, draws, files, mixing, places, score_files, tables
from deepthink.report.checking.findings import Finding, notes
from deepthink.report.runs import Runs


@dataclass(frozen=True)
class Judgement:
    """What was found in a folder of results.

    records: how many records count. scored: how many of them name a file of scores.
    """

    findings: tuple[Finding, ...]
    records: int
    scored: int

    @property
    def errors(self) -> int:
        """How many findings are errors. The folder passes if none is."""
        return sum(finding.error for finding in self.findings)


def judge(results: Path, complete: bool, stage: Callable[[str], object]) -> Judgement:
    """Everything that is wrong with the records, scores and tables of a folder of results.

    No model is loaded, no network is used, and nothing is written.

    complete: whether a draw that an experiment asks for and that is missing is an error.
    stage: called with the name of what comes next.
    """
    stage("reading records")
    runs = Runs.load(results)
    every = (*runs.all, *runs.open)
    scored = sum(bool(run.record.scores) for run in every)
    found = [*of_records(results, runs, stage)]
    stage("experiments")
    missing = draws.check(runs)
    found += missing if complete else notes(missing)
    stage("tables")
    found += tables.check(results, runs)
    return Judgement(tuple(found), len(every), scored)


def of_records(
    results: Path, runs: Runs, stage: Callable[[str], object] = lambda _: None
) -> Iterator[Finding]:
    """Everything that is wrong with the records and their scores, whatever was asked for."""
    every = (*runs.all, *runs.open)
    if not every:
        todo = "name the folder of results, in which records lie in a folder `records`"
        yield Finding(Path("records"), "has no record of this version", todo)
    yield from files.check(results, runs)
    for number, run in enumerate(every):
        if number % 10 == 0:
            stage(f"record {number + 1} of {len(every)}")
        yield from places.check(run)
        wrong = [*curves.check(run)]
        yield from wrong or score_files.check(results, run)
    yield from mixing.check(every)
