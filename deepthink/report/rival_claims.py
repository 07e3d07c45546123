"""This study's own questions: what is left of thinking's gain beside the cheapest rivals."""

from itertools import product

from deepthink.report.comparisons import compare
from deepthink.report.layout import Line
from deepthink.report.layouts import TASKS
from deepthink.report.measurements import Measured, Subject, shared
from deepthink.report.readings import VANILLA, Reading, at
from deepthink.report.rival_lines import METHODS
from deepthink.report.rivals import EXPERIMENT, FROM_DEV, Entry, less
from deepthink.report.statistics import Estimate
from deepthink.report.verdicts import (
    NOT_RUN,
    Gain,
    Gains,
    Judged,
    OverVanilla,
    averages,
    judge_gains,
    tested,
)

SETTINGS = {
    "the paper's setting": "deepthink_curve",
    "the authors' program": "authors",
    "aligned, η = 0.1": "aligned",
}
"""The ways to think that are judged, and the method of each."""
EPOCHS = (1, 2, 4, 9, 20)
"""After how many epochs gradient descent is compared with one step of thinking."""


def calibration(subject: Subject) -> Judged:
    """Judge the claim that thinking gains on top of what calibration alone gains."""
    return _against(subject, METHODS[0])


def repetition(subject: Subject) -> Judged:
    """Judge the claim that it gains more than demonstrations that are written five times."""
    return _against(subject, _lines("repeat")[0])


def orders(subject: Subject) -> Judged:
    """Judge the claim that it gains more than the mean of five orders, which cost as much."""
    return _against(subject, _lines("permutations")[0])


def epochs(subject: Subject) -> Judged:
    """Judge the claim that one step (t = 2) is ahead of k epochs of gradient descent.

    Descent may end below where it began, so t = 2 must be ahead of vanilla as well.
    """
    steps = {name: _measured(subject, method, at(2)) for name, method in SETTINGS.items()}
    tuned = {k: _measured(subject, "kv_tuning", at(1 + k)) for k in EPOCHS}
    vanilla = _measured(subject, METHODS[0].axes["method"], VANILLA)
    names = {(name, k): f"{name} less k = {k}" for name, k in product(steps, EPOCHS)}
    gains = {names[name, k]: _average(steps[name], tuned[k]) for name, k in names}
    plain = {name: _average(one, vanilla) for name, one in steps.items()}
    both = tested({**gains, **plain})
    over = {names[name, k]: (name, both[name]) for name, k in names if name in both}
    return _told({name: both[name] for name in gains if name in both}, len(gains), over)


def _against(subject: Subject, rival: Line) -> Judged:
    """Each setting and reading of thinking less a rival, averaged over tasks.

    A rival may be worse than vanilla, so thinking must be ahead of vanilla as well.
    """
    settings = {
        f"{name}, {line.reading.name}": line
        for name, method in SETTINGS.items()
        for line in _lines(method)
    }
    lines = (METHODS[0], rival, *settings.values())
    found = {line.label: entry for line in lines if (entry := _entry(subject, line))}

    def less_than(other: Line) -> dict[str, Gain]:
        return averages(
            {
                name: less(found[line.label], found[other.label], lambda of, _: found.get(of.label))
                for name, line in settings.items()
                if {line.label, other.label} <= found.keys()
            }
        )

    gains = less_than(rival)
    if rival == METHODS[0]:
        return _told(gains, len(settings), None)
    over = {name: (name, gain) for name, gain in less_than(METHODS[0]).items()}
    return _told(gains, len(settings), over)


def _lines(method: str) -> list[Line]:
    """The lines of a method, without vanilla."""
    return [line for line in METHODS[1:] if line.axes["method"] == method]


def _entry(subject: Subject, line: Line) -> Entry | None:
    """A line on every task, its scores calibrated from dev; None if a task has no number."""
    parts = _measured(subject, line.axes["method"], line.reading)
    return Entry(line, True, tuple(parts)) if shared(*parts) else None


def _measured(subject: Subject, method: str, reading: Reading) -> list[Measured]:
    """A method on every task, its scores calibrated from dev."""
    return subject.measure_tasks(EXPERIMENT, reading.after(FROM_DEV), TASKS, method=method)


def _average(first: list[Measured], second: list[Measured]) -> Estimate | None:
    return compare("", first, second, tested=True).average


def _told(gains: Gains, expected: int, over_vanilla: OverVanilla | None) -> Judged:
    if not gains:
        return NOT_RUN, ""
    verdict, evidence = judge_gains(gains, expected, over_vanilla)
    return verdict, f"calibrated, average over tasks: {evidence}"
