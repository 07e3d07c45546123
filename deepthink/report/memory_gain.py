"""Does a heavier memory do what thinking does? The method `gain` beside thinking and vanilla."""

from collections import Counter
from dataclasses import dataclass

from deepthink.report.comparisons import Comparison, compare
from deepthink.report.layouts import TASKS
from deepthink.report.measurements import Measured, Subject
from deepthink.report.method import Method
from deepthink.report.readings import BY_DEV, VANILLA, Reading
from deepthink.report.rivals import EXPERIMENT
from deepthink.report.runs import Run


@dataclass(frozen=True)
class MemoryGain:
    """The memory's weight in attention, chosen on dev, on the tasks that all three were run on.

    over_vanilla, thinking_less: raw accuracies of the gain less vanilla, and of aligned thinking
    at η = 0.1 with t by dev less the gain. factors: how often dev chose which factor e^b; 1 is
    plain in-context learning.
    """

    tasks: tuple[str, ...]
    over_vanilla: Comparison
    thinking_less: Comparison
    factors: Counter[float]


def measured(subject: Subject) -> MemoryGain | None:
    """The method `gain` of a subject; None if no task has it beside thinking."""
    every = (
        parts(subject, "gain", BY_DEV),
        parts(subject, "aligned", BY_DEV),
        parts(subject, "deepthink_curve", VANILLA),
    )
    alike = [each for each in zip(*every, strict=True) if all(part.runs for part in each)]
    if not alike:
        return None
    gain, thinking, plain = zip(*alike, strict=True)
    factors = Counter(_factor(run, BY_DEV) for part in gain for (run,) in part.runs.values())
    return MemoryGain(
        tuple(part.setting.axes["task"] for part in gain),
        compare("gain − vanilla", gain, plain, tested=True),
        compare("thinking − gain", thinking, gain, tested=True),
        factors,
    )


def parts(subject: Subject, method: str, reading: Reading) -> list[Measured]:
    """A method of the rivals, one part for each task."""
    return subject.measure_tasks(EXPERIMENT, reading, TASKS, method=method)


def _factor(run: Run, reading: Reading) -> float:
    """The factor after the t that a reading chooses."""
    weights = dict(Method.of(run.record.identity).refinement.options)["weights"]
    return float((1.0, *weights)[reading.step(run) - 1])
