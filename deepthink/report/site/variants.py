"""The numbers of a method under a reading of t and a calibration, on every task and their mean."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from deepthink.report import statistics
from deepthink.report.cells import Cell
from deepthink.report.measurements import Measured, Subject, shared
from deepthink.report.readings import Calibration, Reading
from deepthink.report.runs import Run
from deepthink.report.site.methods import Method, slug
from deepthink.report.statistics import Estimate
from deepthink.store import curves
from deepthink.store.curves import Point

MEAN = "mean"
"""The column of the mean over tasks."""


@dataclass(frozen=True)
class Metric:
    """What a number says. factor: of a point's value, to the unit shown. digits: after its point.

    of: the value of a point; None where records do not have it.
    """

    label: str
    unit: str
    factor: float
    digits: int
    of: Callable[[Point], float | None]


METRICS = {
    "accuracy": Metric("Accuracy", "%", 100, 1, lambda point: point.accuracy),
    "macro_f1": Metric("Macro-F1", "%", 100, 1, lambda point: point.macro_f1),
    "log_likelihood": Metric("Log-likelihood", "nats", 1, 3, lambda point: point.log_likelihood),
    "calibration_error": Metric(
        "Calibration error (ECE)", "%", 100, 1, lambda point: point.calibration_error
    ),
}
"""The metrics that a reader can choose. The interval of accuracy is that of the tables, over draws
and examples; the interval of any other metric is over draws alone."""


@dataclass(frozen=True)
class Variant:
    """A method, read in one way, with raw or calibrated scores.

    calibration: the key of `methods.calibrations`. parts: what was measured on each of the tasks.
    """

    method: Method
    reading: Reading
    calibration: str
    parts: tuple[Measured, ...]

    @property
    def key(self) -> str:
        """The name in the page's data."""
        name = self.reading.name.partition(", ")[0]
        return f"{self.method.key}|{slug(name)}|{self.calibration}"

    @property
    def there(self) -> bool:
        """Whether any run is there."""
        return any(part.runs for part in self.parts)

    @property
    def columns(self) -> list[tuple[Measured, ...]]:
        """The parts of each column: of each task, then of all tasks if there are several."""
        alone: list[tuple[Measured, ...]] = [(part,) for part in self.parts]
        return [*alone, self.parts] if len(self.parts) > 1 else alone

    @cached_property
    def cells(self) -> list[Cell]:
        """The accuracy of each column, with its draws, as the tables have it."""
        return [Cell(parts) for parts in self.columns]

    def steps(self, column: int) -> list[int]:
        """The t that the runs of a column count at, in order."""
        runs = (run for part in self.columns[column] for (run,) in part.runs.values())
        return sorted({self.reading.step(run) for run in runs})

    def estimate(self, metric: str, column: int) -> Estimate | None:
        """The number of a column in the unit shown; None where it is not known."""
        if metric == "accuracy":
            return self.cells[column].so_far
        parts = self.columns[column]
        draws = shared(*parts)
        if not draws:
            return None
        of = METRICS[metric]
        values = []
        for draw in draws:
            found = [
                of.of(_point(part, part.runs[part.setting.reached(draw)][0])) for part in parts
            ]
            known = [value for value in found if value is not None]
            if len(known) < len(found):
                return None
            values.append(of.factor * float(np.mean(known)))
        return statistics.over_draws(values)


def _point(part: Measured, run: Run) -> Point:
    """The test point at which a run counts."""
    return curves.at_step(run.record.curve, "test", part.reading.step(run))


def variant(
    subject: Subject,
    tasks: Sequence[str],
    method: Method,
    reading: Reading,
    calibration: tuple[str, Calibration | None],
) -> Variant:
    """What was measured of a method on these tasks."""
    name, applied = calibration
    read = reading if applied is None else reading.after(applied)
    parts = subject.measure_tasks(method.experiment, read, tasks, **method.axes)
    return Variant(method, read, name, tuple(parts))
