"""Three options beside the paper's setting: flipped labels, a joint seam, and momentum.

Each is a difference on the same test rows and for the same draws. Flipped labels are read twice:
against the gold labels, and as the share of predictions that are the label which was shown.
"""

from collections.abc import Iterator
from dataclasses import replace

from deepthink.report import verdicts
from deepthink.report.comparisons import Comparison, compare
from deepthink.report.layouts import TASKS
from deepthink.report.measurements import Measured, Subject
from deepthink.report.readings import FIVE, VANILLA, Reading
from deepthink.report.runs import Run
from deepthink.report.words import standing

EXPERIMENTS = ("flipped", "seam", "rivals")
QUESTION = "options, difference"
_AXES = {"flipped": "demonstrations.labels", "seam": "prompt.seam"}
_SETTINGS = {"": "deepthink_curve", ", aligned at η = 0.1": "aligned"}


def as_shown(measured: Measured) -> Measured:
    """The same runs, whose right test answers are the labels that flipped demonstrations show.

    The label of a row is then the next one of the task's labels, and the first after the last, as
    in `deepthink.tasks.labels.flipped`. An accuracy becomes the share of predictions that follow
    the demonstrations.
    """
    runs = {draw: tuple(map(_as_shown, those)) for draw, those in measured.runs.items()}
    return replace(measured, runs=runs)


def _as_shown(run: Run) -> Run:
    record = run.record
    count = len(record.identity.task.labels)
    shown = ((int(label) + 1) % count for label in record.gold.of("test"))
    gold = replace(record.gold, test=" ".join(map(str, shown)))
    return replace(run, record=replace(record, gold=gold))


def every(subject: Subject, reading: Reading) -> Iterator[Comparison]:
    """What each option changes at a fixed t, for each task and on average."""

    def measure(experiment: str, value: str, method: str, at: Reading = reading) -> list[Measured]:
        axes = {_AXES[experiment]: value, "method": method}
        return subject.measure_tasks(experiment, at, TASKS, **axes)

    later = reading.fixed != VANILLA.fixed
    for where, method in _SETTINGS.items():
        if where and not later:
            continue  # at t = 1 no setting of thinking differs from another
        flipped, gold = (measure("flipped", value, method) for value in ("flipped", "gold"))
        yield compare(f"flipped labels less gold ones{where}", flipped, gold, tested=True)
        if later:
            early = map(as_shown, measure("flipped", "flipped", method, VANILLA))
            late = map(as_shown, flipped)
            label = f"answers as flipped labels show them, t = {reading.fixed} less t = 1{where}"
            yield compare(label, [*late], [*early], tested=True)
    joint, apart = (measure("seam", value, "deepthink_curve") for value in ("joint", "apart"))
    yield compare("joint seam less apart", joint, apart, tested=True)
    if later:
        with_it, without = (
            subject.measure_tasks("rivals", reading, TASKS, method=method)
            for method in ("authors", "deepthink_curve")
        )
        yield compare("momentum 0.9 less none", with_it, without, tested=True)


def sentences(subject: Subject) -> Iterator[str]:
    """Where each option is ahead or behind, after Holm's correction over all of them."""
    read = [(reading, one) for reading in (VANILLA, FIVE) for one in every(subject, reading)]
    corrected = verdicts.corrected([one for _, one in read])
    for (reading, _), one in zip(read, corrected, strict=True):
        if any(one.estimates):
            first, _, second = one.label.partition(" less ")
            yield f"{first}, {reading.name}: {standing(one, second)}."
