"""A table's numbers: which runs make each, read at which t, beside the paper's."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from deepthink.report import experiments, statistics
from deepthink.report.experiments import Setting, as_run, command, merged
from deepthink.report.runs import Array, Draw, Run, Runs, Scale, one_per_draw
from deepthink.report.statistics import Estimate
from deepthink.store import curves


@dataclass(frozen=True)
class Reading:
    """Which t of a curve counts: a fixed one, the best on dev, or the best on test itself."""

    name: str
    fixed: int | None = None
    dev: bool = False

    def step(self, run: Run) -> int:
        """The t at which a run is read."""
        if self.fixed is not None:
            return self.fixed
        curve = run.record.curve
        point = curves.by_dev(curve) if self.dev else curves.oracle(curve)
        assert point is not None
        return point.step


def at(step: int) -> Reading:
    """The reading at a fixed t."""
    return Reading(f"t = {step}", step)


VANILLA, FIVE = at(1), at(5)
BY_DEV = Reading("t by dev", dev=True)
ORACLE = Reading("oracle t")
"""The best t on test: an upper bound, never a result."""


@dataclass(frozen=True)
class Measured:
    """The runs of one setting, model and scale, and the reading that makes them a number.

    found: by draw, one run or one for each member of a suite; draws of which a member is missing
        are missing. how: what a further run must be told, see `experiments.as_run`.
    """

    setting: Setting
    model: str
    scale: Scale
    reading: Reading
    found: dict[Draw, tuple[Run, ...]]
    how: tuple[str, ...]

    @property
    def wanted(self) -> tuple[Draw, ...]:
        """The draws the experiment asks for."""
        return self.setting.draws

    @property
    def missing(self) -> list[Draw]:
        """Draws without a result."""
        return [draw for draw in self.wanted if draw not in self.found]

    @cached_property
    def outcomes(self) -> list[Array]:
        """Of the task, or each member of the suite: [S, I] of 0 and 1, by draw and example."""
        members = zip(*self.found.values(), strict=True)
        return [np.stack([run.correct(self.reading.step(run)) for run in runs]) for runs in members]

    def of_draws(self, draws: Sequence[Draw]) -> list[Array]:
        """The outcomes of these draws alone."""
        places = [list(self.found).index(draw) for draw in draws]
        return [outcome[places] for outcome in self.outcomes]


def shared(*parts: Measured) -> list[Draw]:
    """The draws all have."""
    return [draw for draw in parts[0].found if all(draw in part.found for part in parts)]


def sizes(setting: Setting) -> list[float]:
    """How many test examples the data of each member have, whatever a run read of them."""
    return [float(config.task.rows["test"]) for config in setting.configs]


def measure(runs: Runs, setting: Setting, model: str, scale: Scale, reading: Reading) -> Measured:
    """The runs that make a number, as far as they are there."""
    by_member = []
    for config, family in zip(setting.configs, setting.families, strict=True):
        last = config.method.iterations
        found = runs.of(model, family, scale, reading.fixed or last)
        if reading.fixed is None:
            found = [run for run in found if run.iterations == last]
        if reading.dev:
            found = [run for run in found if run.has_dev]
        by_member.append(one_per_draw(found, setting.draws))
    complete = [draw for draw in setting.draws if all(draw in found for found in by_member)]
    whole = {draw: tuple(found[draw] for found in by_member) for draw in complete}
    suite = setting.configs[0].task.name.partition("/")[0]
    how = as_run(runs, model, scale, suite) if len(whole) < len(setting.draws) else ()
    return Measured(setting, model, scale, reading, whole, how)


def scales_of(runs: Runs, settings: Sequence[Setting], model: str) -> list[Scale]:
    """The scales on which a model has runs of any of the settings, the largest first."""
    found = {
        run.scale
        for setting in settings
        for family in setting.families
        for run in runs.of(model, family)
    }
    return sorted(found, key=lambda scale: scale.rank)


@dataclass(frozen=True)
class Cell:
    """One number of a table: of one measurement, or the mean of several.

    paper: what the paper prints there, in per cent; None where it prints nothing, or of a model it
        does not have. context: the paper's number for another model.
    pooled: of a suite, over all questions, as many of each member as there are in the data; else
        every member weighs the same.
    """

    parts: tuple[Measured, ...]
    paper: float | None = None
    context: float | None = None
    pooled: bool = False

    @property
    def wanted(self) -> int:
        """Draws the experiment asks for."""
        return max(len(part.wanted) for part in self.parts)

    @property
    def seeds(self) -> int:
        """Draws there are."""
        return len(self.draws)

    @cached_property
    def draws(self) -> list[Draw]:
        """Draws that all parts have."""
        return shared(*self.parts)

    @property
    def complete(self) -> bool:
        """Whether no draw is missing."""
        return not any(part.missing for part in self.parts)

    @cached_property
    def so_far(self) -> Estimate | None:
        """The estimate from the draws there are, in per cent; None if there are none."""
        if not self.draws:
            return None
        outcomes = [one for part in self.parts for one in part.of_draws(self.draws)]
        weights = sizes(self.parts[0].setting) if self.pooled else None
        return average(outcomes, weights)

    @property
    def estimate(self) -> Estimate | None:
        """The estimate, in per cent; None unless every draw is there."""
        return self.so_far if self.complete else None

    @property
    def difference(self) -> float | None:
        """Ours less the paper's, in points."""
        if self.paper is None or self.estimate is None:
            return None
        return self.estimate.mean - self.paper


def fill(parts: Iterable[Measured]) -> list[tuple[str, list[Measured]]]:
    """Commands that do what is missing of one experiment, model and scale, and of which parts."""
    alike: dict[tuple[str, ...], list[Measured]] = {}
    for part in parts:
        if part.missing:
            alike.setdefault(part.how, []).append(part)
    return [one for missing in alike.values() for one in _fill(missing)]


def _fill(missing: Sequence[Measured]) -> Iterator[tuple[str, list[Measured]]]:
    """Of parts that must be told the same."""
    first = missing[0]
    scored = {
        run.record.config.method.scored
        for part in missing
        for runs in part.found.values()
        for run in runs
    }
    usual = experiments.scored_on(first.scale)
    other = scored.pop() if len(scored) == 1 and usual is not None else None
    for swept, draws in merged((part.setting, part.missing) for part in missing):
        values = dict(swept)
        of = [
            part
            for part in missing
            if part.missing == draws
            and all(value in values[key] for key, value in part.setting.axes.items())
        ]
        line = command(
            first.setting.experiment,
            swept,
            draws,
            first.model,
            first.scale,
            first.how,
            None if other == usual else other,
        )
        yield line, of


def average(outcomes: Sequence[Array], weights: Sequence[float] | None = None) -> Estimate:
    """The accuracy on a task, or the mean over several, in per cent."""
    return percent(statistics.average_accuracy(outcomes, weights=weights))


def percent(estimate: Estimate) -> Estimate:
    """The same in per cent."""
    mean, low, high = (100 * value for value in (estimate.mean, estimate.low, estimate.high))
    return replace(estimate, mean=mean, low=low, high=high)
