"""Curves: whether a record's accuracies are those of its own predictions."""

from collections.abc import Iterator

from deepthink.report.checking.findings import Finding
from deepthink.report.runs import Run
from deepthink.store import curves
from deepthink.store.curves import Point
from deepthink.study.points import rounded
from deepthink.tasks.metrics import macro_f1

_REDO = "the record was edited or its program is wrong; run its job again"


def check(run: Run) -> Iterator[Finding]:
    """A finding for each number that does not follow from the gold labels and the predictions."""
    record = run.record
    for point in record.curve:
        gold = record.gold.of(point.split)
        if wrong := _wrong(point, gold, len(record.identity.task.labels or ())):
            yield Finding(run.path, f"{wrong} on {point.split} at t = {point.step}", _REDO)
    chosen = curves.by_dev(record.curve)
    step = chosen.step if chosen else None
    if step != record.step_by_dev:
        wrong = f"says that dev chooses t = {record.step_by_dev}, but its dev accuracies choose"
        yield Finding(run.path, f"{wrong} {step}", _REDO)


def _wrong(point: Point, gold: list[str], labels: int) -> str:
    predicted = point.predicted.split()
    try:
        truth, guess = [int(word) for word in gold], [int(word) for word in predicted]
    except ValueError:
        return "has labels that are no numbers"
    if min(truth + guess) < 0 or (labels and max(truth + guess) >= labels):
        return "has a label that the task does not have"
    right = sum(a == b for a, b in zip(truth, guess, strict=True))
    if right != point.correct:
        return f"says {point.correct} are right, but {right} of its predictions are,"
    if point.macro_f1 is not None and point.macro_f1 != rounded(macro_f1(truth, guess)):
        return "has a macro-F1 that its predictions do not give"
    return ""
