"""Three options beside the paper's setting: flipped labels, a joint seam, and momentum.

Each is a difference on the same test rows and for the same draws. Flipped labels are read twice:
against the gold labels, and as the share of predictions that are the label which was shown.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from deepthink.report.comparisons import Comparison, compare, question
from deepthink.report.layouts import TASKS
from deepthink.report.measurements import Measured, Subject
from deepthink.report.readings import FIVE, VANILLA, Reading
from deepthink.report.runs import Run
from deepthink.report.words import standing

EXPERIMENTS = ("flipped", "seam", "rivals")
QUESTION = "options, difference"
_AXES = {"flipped": "demonstrations.labels", "seam": "prompt.seam"}
TESTED = (VANILLA, FIVE)
"""The readings of t at which options are compared."""
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
    """What each option changes at a fixed t, for each task and on average.

    Each option is a question of its own, see `comparisons.question`: t = 1 and t = 5 are tested
    together where both exist. At t = 1 no setting of thinking differs from another.
    """
    later = reading.fixed != VANILLA.fixed
    for where, method in _SETTINGS.items():
        if later or not where:
            family = (FIVE,) if where else TESTED
            yield question(reading, partial(_flipped, subject, method, where), family)
        if later:
            yield question(reading, partial(_following, subject, method, where), (FIVE,))
    yield question(reading, partial(_seam, subject), TESTED)
    if later:
        yield question(reading, partial(_momentum, subject), (FIVE,))


def _measure(
    subject: Subject, experiment: str, value: str, method: str, reading: Reading
) -> list[Measured]:
    axes = {_AXES[experiment]: value, "method": method}
    return subject.measure_tasks(experiment, reading, TASKS, **axes)


def _flipped(subject: Subject, method: str, where: str, reading: Reading) -> Comparison:
    """Flipped labels against gold ones, judged by the gold labels."""
    flipped, gold = (
        _measure(subject, "flipped", value, method, reading) for value in ("flipped", "gold")
    )
    return compare(f"flipped labels less gold ones{where}", flipped, gold, tested=True)


def _following(subject: Subject, method: str, where: str, reading: Reading) -> Comparison:
    """How many more answers follow the flipped labels than at t = 1."""
    late, early = (
        [*map(as_shown, _measure(subject, "flipped", "flipped", method, at))]
        for at in (reading, VANILLA)
    )
    label = f"answers as flipped labels show them, t = {reading.fixed} less t = 1{where}"
    return compare(label, late, early, tested=True)


def _seam(subject: Subject, reading: Reading) -> Comparison:
    joint, apart = (
        _measure(subject, "seam", value, "deepthink_curve", reading) for value in ("joint", "apart")
    )
    return compare("joint seam less apart", joint, apart, tested=True)


def _momentum(subject: Subject, reading: Reading) -> Comparison:
    with_it, without = (
        subject.measure_tasks("rivals", reading, TASKS, method=method)
        for method in ("authors", "deepthink_curve")
    )
    return compare("momentum 0.9 less none", with_it, without, tested=True)


def sentences(subject: Subject) -> Iterator[str]:
    """Where each option is ahead or behind, by the p of the tables."""
    for reading in TESTED:
        for one in every(subject, reading):
            if any(one.estimates):
                first, _, second = one.label.partition(" less ")
                yield f"{first}, {reading.name}: {standing(one, second)}."
