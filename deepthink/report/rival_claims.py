"""This study's own questions: what is left of thinking's gain beside the cheapest rivals."""

from itertools import product

from deepthink.report.comparisons import compare
from deepthink.report.layouts import TASKS
from deepthink.report.measurements import Measured, Subject
from deepthink.report.readings import BY_DEV, FIVE, VANILLA, Reading, at
from deepthink.report.rivals import EXPERIMENT, FROM_DEV
from deepthink.report.statistics import Estimate
from deepthink.report.verdicts import NOT_RUN, Judged, judge_gains

SETTINGS = {
    "the paper's setting": "deepthink_curve",
    "the authors' program": "authors",
    "aligned, η = 0.1": "aligned",
}
"""The ways to think that are judged, and the method of each."""
READINGS = (FIVE, BY_DEV)
EPOCHS = (1, 2, 4, 9, 20)
"""After how many epochs gradient descent is compared with one step of thinking."""


def calibration(subject: Subject) -> Judged:
    """Judge the claim that thinking gains on top of what calibration alone gains."""
    return _against(subject, "deepthink_curve")


def repetition(subject: Subject) -> Judged:
    """Judge the claim that it gains more than demonstrations that are written five times."""
    return _against(subject, "repeat")


def orders(subject: Subject) -> Judged:
    """Judge the claim that it gains more than the mean of five orders, which cost as much."""
    return _against(subject, "permutations")


def epochs(subject: Subject) -> Judged:
    """Judge the claim that one step (t = 2) is ahead of k epochs of gradient descent."""
    gains = {}
    for (setting, method), k in product(SETTINGS.items(), EPOCHS):
        one = _measured(subject, method, at(2))
        other = _measured(subject, "kv_tuning", at(1 + k))
        gains[f"{setting} less k = {k}"] = _average(one, other)
    return _judged(gains)


def _against(subject: Subject, rival: str) -> Judged:
    """Each setting and reading of thinking less a rival at t = 1, averaged over tasks."""
    other = _measured(subject, rival, VANILLA)
    return _judged(
        {
            f"{setting}, {reading.name}": _average(_measured(subject, method, reading), other)
            for (setting, method), reading in product(SETTINGS.items(), READINGS)
        }
    )


def _measured(subject: Subject, method: str, reading: Reading) -> list[Measured]:
    """A method on every task, its scores calibrated from dev."""
    return subject.measure_tasks(EXPERIMENT, reading.after(FROM_DEV), TASKS, method=method)


def _average(first: list[Measured], second: list[Measured]) -> Estimate | None:
    return compare("", first, second, tested=True).average


def _judged(gains: dict[str, Estimate | None]) -> Judged:
    there = {name: gain for name, gain in gains.items() if gain is not None}
    if not there:
        return NOT_RUN, ""
    verdict, evidence = judge_gains(there, len(gains))
    return verdict, f"calibrated, average over tasks: {evidence}"
