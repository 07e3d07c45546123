"""Why thinking changes accuracy: the label bias over t, beside raw and calibrated accuracy.

The label bias of predictions after t is the total variation distance between how often each label
y is predicted and how often it is gold on the same N test rows, in points:

    bias_t = 100 · ½ Σ_y |predicted_t(y) - gold(y)| / N

It is 0 where every label is predicted as often as it is gold, and it is the least error, in points,
that predictions with these numbers of labels must make: accuracy_t ≤ 100 - bias_t. Gold labels are
needed to measure it. Batch calibration, which needs none, estimates a bias vector from dev rows,

    b_t(y) = log((1/M) Σ_j p_t(y | row j)),    p the softmax over the candidates' scores

whose size is given as the root mean square of b_t(y) - mean_y b_t(y), in nats. It is 0 where the
mean probability of all labels is the same.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.special import log_softmax, logsumexp

from deepthink.report import calibrated, over_draws, statistics
from deepthink.report.layouts import PAPERS_STEP_SIZE, STEP_SIZES, TASKS
from deepthink.report.measurements import Measured, Subject, average, percent, shared, subjects
from deepthink.report.readings import LAST
from deepthink.report.rivals import FROM_DEV
from deepthink.report.runs import Array, Run, Runs
from deepthink.report.statistics import Estimate
from deepthink.store import curves

EXPERIMENT = "mechanism"
STEP_SIZE = STEP_SIZES[-1]
EARLY, LATE = 1, 5
"""The t between which a change is measured: plain in-context learning, and the paper's fixed t."""

PAPERS = f"continued, η = {PAPERS_STEP_SIZE}"
ALIGNED = f"aligned, η = {STEP_SIZE}"
SETTINGS: Mapping[str, tuple[str, dict[str, str]]] = {
    PAPERS: (
        "positions",
        {"method.step_size": PAPERS_STEP_SIZE, "method.positions": "continued"},
    ),
    f"continued, η = {STEP_SIZE}": (EXPERIMENT, {"method": "deepthink_curve"}),
    ALIGNED: (EXPERIMENT, {"method": "aligned"}),
    f"rotated back, η = {STEP_SIZE}": (EXPERIMENT, {"method": "rotated"}),
}
"""The ways to think that are looked into: the experiment and the axes of each one's runs."""


def label_bias(predicted: Array, gold: Array) -> float:
    """The label bias of predictions [N] of gold labels [N], in points, 0 to 100.

    >>> label_bias(np.array([0, 0, 0, 1]), np.array([0, 1, 0, 1]))
    25.0
    """
    labels = 1 + max(int(predicted.max()), int(gold.max()))
    counts = (np.bincount(each, minlength=labels) for each in (predicted, gold))
    apart: float = np.abs(np.subtract(*counts)).sum() / len(gold)
    return 50 * float(apart)


def bias_vector_size(scores: Array) -> float:
    """The size of batch calibration's bias vector over rows of scores [M, C], in nats.

    >>> round(bias_vector_size(np.log([[0.5, 0.5], [0.9, 0.1]])), 4)  # ½ log(0.7 / 0.3)
    0.4236
    """
    bias = logsumexp(log_softmax(scores, axis=1), axis=0)
    return float(np.std(bias))


@dataclass(frozen=True)
class Curves:
    """One setting of a subject over t, as far as it was run with stored scores.

    tasks: those that have runs (K of them). steps: the scored t that all runs have. bias: [S, K, T]
    label bias in points. sizes: [S, K, T] size of the bias vector in nats. raw, calibrated: for
    each task [T, S, I] of 0 and 1, right or wrong on test, before and after calibration from dev.
    tokens: [S, K] of the demonstrations.
    """

    subject: Subject
    setting: str
    tasks: tuple[str, ...]
    steps: tuple[int, ...]
    bias: Array
    sizes: Array
    raw: tuple[Array, ...]
    calibrated: tuple[Array, ...]
    tokens: Array

    def of_task(self, place: int) -> "Curves":
        """The same of one task alone, by its place among the tasks."""
        one = slice(place, place + 1)
        return replace(
            self, tasks=self.tasks[one], bias=self.bias[:, one], sizes=self.sizes[:, one],
            raw=self.raw[one], calibrated=self.calibrated[one], tokens=self.tokens[:, one],
        )  # fmt: skip

    @property
    def seeds(self) -> int:
        """The number of draws."""
        return len(self.bias)

    @property
    def examples(self) -> int:
        """The number of test rows of all tasks."""
        return sum(task.shape[2] for task in self.raw)

    def at(self, step: int) -> int:
        """The place of a t among the steps."""
        return self.steps.index(step)

    def bias_at(self, step: int) -> Estimate | None:
        """The mean label bias over tasks after t, in points."""
        return self._over_draws(self.bias[:, :, self.at(step)])

    def size_at(self, step: int) -> Estimate | None:
        """The mean size of the bias vector over tasks after t, in nats."""
        return self._over_draws(self.sizes[:, :, self.at(step)])

    def accuracy_at(self, tasks: Sequence[Array], step: int) -> Estimate:
        """The mean accuracy over tasks after t, in per cent. tasks: `raw` or `calibrated`."""
        return average([task[self.at(step)] for task in tasks])

    def _over_draws(self, values: Array) -> Estimate | None:
        return over_draws.mean(values.mean(axis=1), self.examples)

    @cached_property
    def bias_change(self) -> Estimate | None:
        """How far the label bias is higher at t = 5 than at t = 1, in points."""
        return self._over_draws(-self.fall)

    @cached_property
    def raw_change(self) -> Estimate:
        """How far raw accuracy is higher at t = 5 than at t = 1, in points."""
        return self._change(self.raw)

    @cached_property
    def calibrated_change(self) -> Estimate:
        """The same after calibration from dev."""
        return self._change(self.calibrated)

    def _change(self, tasks: Sequence[Array]) -> Estimate:
        late, early = ([task[self.at(step)] for task in tasks] for step in (LATE, EARLY))
        return statistics.tested(percent(statistics.average_difference(late, early)))

    @cached_property
    def fall(self) -> Array:
        """[S, K] points by which the label bias is lower at t = 5 than at t = 1."""
        fall: Array = self.bias[:, :, self.at(EARLY)] - self.bias[:, :, self.at(LATE)]
        return fall

    @cached_property
    def gains(self) -> Array:
        """[S, K] points of raw accuracy that t = 5 is ahead of t = 1."""
        return self._gains(self.raw)

    def _gains(self, tasks: Sequence[Array]) -> Array:
        late, early = (
            np.stack([task[self.at(step)].mean(axis=1) for task in tasks], axis=1)
            for step in (LATE, EARLY)
        )
        gains: Array = 100 * (late - early)
        return gains

    @cached_property
    def correlation(self) -> Estimate | None:
        """Pearson's r of the fall of the label bias and the raw gain, over draws and tasks."""
        return self._bootstrap(over_draws.correlation, self.fall, self.gains)

    @cached_property
    def slope(self) -> Estimate | None:
        """Points of raw gain for a point of fall: the least-squares line over draws and tasks."""
        return self._bootstrap(over_draws.slope, self.fall, self.gains)

    @cached_property
    def gone(self) -> Estimate | None:
        """The part of the raw change that is gone after calibration, a ratio of means.

        None where the interval of the raw change holds zero.
        """
        if self.raw_change.low <= 0 <= self.raw_change.high:
            return None
        return self._bootstrap(over_draws.lost, self.gains, self._gains(self.calibrated))

    def _bootstrap(
        self, statistic: over_draws.OfTwo, first: Array, second: Array
    ) -> Estimate | None:
        return over_draws.bootstrap(statistic, first, second, self.examples)


def across(found: Sequence[Curves], values: Callable[[Curves], Array]) -> Estimate | None:
    """Pearson's r of values [S, K] and the raw gain, over draws, tasks and models.

    The bootstrap takes the same draws of every model. None with fewer than two models, or if they
    differ in their numbers of draws.
    """
    if len(found) < 2 or len({each.seeds for each in found}) > 1:
        return None
    first = np.concatenate([values(each) for each in found], axis=1)
    gains = np.concatenate([each.gains for each in found], axis=1)
    examples = sum(each.examples for each in found)
    return over_draws.bootstrap(over_draws.correlation, first, gains, examples)


def start(curves: Curves) -> Array:
    """[S, K] the label bias at t = 1, in points."""
    first: Array = curves.bias[:, :, curves.at(EARLY)]
    return first


def every(runs: Runs) -> list[Curves]:
    """Every setting of every subject that has runs with stored scores."""
    found = (
        measured(subject, setting) for subject in subjects(runs, EXPERIMENT) for setting in SETTINGS
    )
    return [each for each in found if each is not None]


def parts(subject: Subject, setting: str) -> list[Measured]:
    """The runs of a setting with their calibrated scores, one part for each task."""
    experiment, axes = SETTINGS[setting]
    return subject.measure_tasks(experiment, LAST.after(FROM_DEV), TASKS, **axes)


def measured(subject: Subject, setting: str) -> Curves | None:
    """The curves of a setting over the draws that all its tasks have; None without any."""
    experiment, axes = SETTINGS[setting]
    corrected = [part for part in parts(subject, setting) if part.runs]
    draws = shared(*corrected) if corrected else []
    if not draws:
        return None
    tasks = tuple(part.setting.axes["task"] for part in corrected)
    plain = subject.measure_tasks(experiment, LAST, tasks, **axes)
    runs = [[part.runs[draw][0] for draw in draws] for part in plain]
    after = [[part.runs[draw][0] for draw in draws] for part in corrected]
    steps = tuple(sorted(set.intersection(*(set(run.steps) for each in runs for run in each))))
    if not {EARLY, LATE} <= {*steps}:
        return None
    return Curves(
        subject, setting, tasks, steps,
        np.array([[_biases(run, steps) for run in each] for each in runs]).swapaxes(0, 1),
        np.array([[_sizes(run, steps) for run in each] for each in runs]).swapaxes(0, 1),
        tuple(_outcomes(each, steps) for each in runs),
        tuple(_outcomes(each, steps) for each in after),
        np.array([[run.record.demonstrations.tokens for run in each] for each in runs]).T,
    )  # fmt: skip


def _biases(run: Run, steps: Sequence[int]) -> list[float]:
    gold = np.array(run.record.gold.of("test"), dtype=int)
    points = (curves.at_step(run.record.curve, "test", step) for step in steps)
    return [label_bias(np.array(point.predicted.split(), dtype=int), gold) for point in points]


def _sizes(run: Run, steps: Sequence[int]) -> list[float]:
    scores = calibrated.log_scores(run)
    assert scores is not None
    return [bias_vector_size(scores[step]["dev"]) for step in steps]


def _outcomes(runs: Sequence[Run], steps: Sequence[int]) -> Array:
    """[T, S, I] of 0 and 1."""
    return np.stack([np.stack([run.correct(step) for run in runs]) for step in steps])
