"""The runs behind one number, and the outcomes that they give."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeVar

import numpy as np

from deepthink.report import experiments, statistics
from deepthink.report.experiments import Setting, as_run
from deepthink.report.method import Method
from deepthink.report.readings import Reading
from deepthink.report.runs import Array, Draw, Family, Run, Runs, Scale, one_per_draw
from deepthink.report.statistics import Estimate

Key = TypeVar("Key")


@dataclass(frozen=True)
class Subject:
    """One model on one scale, and the runs that its numbers come from.

    Two subjects are equal if model and scale are, whichever runs they have.

        subject = Subject(runs, "smollm2-135m", scale)
        subject.measure("table1", FIVE, method="deepthink_curve", task="sst2").outcomes
    """

    runs: Runs = field(compare=False, repr=False)
    model: str
    scale: Scale

    def __str__(self) -> str:
        return f"{self.model}: {self.scale}"

    def has(self, family: Family) -> bool:
        """Whether there is a run of a family itself, and not one that fills its t = 1 alone."""
        runs = self.runs.of(self.model, family, self.scale)
        return any(run.family == family for run in runs)

    def measure(self, experiment: str, reading: Reading, **axes: str) -> "Measured":
        """The runs of the one setting of an experiment that has these values."""
        return self.measure_setting(experiments.setting(experiment, **axes), reading)

    def measure_tasks(
        self, experiment: str, reading: Reading, tasks: Iterable[str], **axes: str
    ) -> "list[Measured]":
        """As `measure`, for one task after the other."""
        return [self.measure(experiment, reading, task=task, **axes) for task in tasks]

    def measure_setting(self, setting: Setting, reading: Reading) -> "Measured":
        """The runs of a setting. A draw counts only if every member of a suite has it.

        Where t is chosen run by run, only runs of the setting's own T count, since a longer run
        would choose among more t. A run that lacks what the reading needs counts as missing; it is
        made again by `force=true` if it is older than what it lacks.
        """
        by_member = []
        unseen = False
        for config, family in zip(setting.configs, setting.families, strict=True):
            last = config.method.iterations
            step = reading.fixed or last
            runs = list(_usable(self.runs.of(self.model, family, self.scale, step), family))
            if reading.fixed is None:
                runs = [run for run in runs if run.iterations == last]
            seen = [again for run in runs if (again := reading.seen(run)) is not None]
            unseen = unseen or len(seen) < len(runs)
            by_member.append(one_per_draw(seen, setting.draws))
        complete = [draw for draw in setting.draws if all(draw in runs for runs in by_member)]
        runs_of = {draw: tuple(runs[draw] for runs in by_member) for draw in complete}
        how: tuple[str, ...] = ()
        if len(runs_of) < len(setting.draws):
            suite = setting.configs[0].task.name.partition("/")[0]
            how = as_run(self.runs, self.model, self.scale, suite)
            if unseen and reading.later:
                how = (*how, "force=true")
        return Measured(self, setting, reading, runs_of, how)


def subjects(runs: Runs, experiment: str, models: Iterable[str] | None = None) -> Iterator[Subject]:
    """Every model and scale that has a run of an experiment, the largest scale of a model first.

    models: None takes every model that has a run.
    """
    families = [family for s in experiments.settings(experiment) for family in s.families]
    for model in runs.models if models is None else models:
        scales = {
            run.scale for family in families for run in _usable(runs.of(model, family), family)
        }
        for scale in sorted(scales, key=lambda scale: scale.rank):
            yield Subject(runs, model, scale)


def _usable(runs: Iterable[Run], family: Family) -> Iterator[Run]:
    """The runs of the family itself, and those whose refinement is the paper's iteration.

    At t = 1 runs of other step sizes are offered too, since they have the same plain reading. The
    t = 1 of another refinement should be the same, but it fills no cell of this family.
    """
    return (
        run for run in runs
        if run.family == family or Method.of(run.record.identity).iterates
    )  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """The runs of one setting of a subject, and the reading that makes them a number.

    runs: by draw, one run or one for each member of a suite. A draw of which a member is missing
        is missing. how: the words that a further run needs, see `experiments.as_run`.
    """

    subject: Subject
    setting: Setting
    reading: Reading
    runs: dict[Draw, tuple[Run, ...]]
    how: tuple[str, ...]

    @property
    def wanted(self) -> tuple[Draw, ...]:
        """The draws that the experiment asks for."""
        return self.setting.draws

    @property
    def missing(self) -> list[Draw]:
        """Draws without a result."""
        return [draw for draw in self.wanted if draw not in self.runs]

    @cached_property
    def outcomes(self) -> list[Array]:
        """As the function `outcomes`, of all draws."""
        return outcomes(self.runs, self.reading)

    def has(self, draw: Draw) -> bool:
        """Whether there is a result of a draw."""
        return self.setting.reached(draw) in self.runs

    def only(self, draws: Sequence[Draw]) -> "Measured":
        """The same with the runs of these draws alone, which must be there."""
        reached = dict.fromkeys(map(self.setting.reached, draws))
        return replace(self, runs={draw: self.runs[draw] for draw in reached})

    def of_draws(self, draws: Sequence[Draw]) -> list[Array]:
        """The outcomes of these draws alone, which must be there."""
        places = [list(self.runs).index(self.setting.reached(draw)) for draw in draws]
        return [outcome[places] for outcome in self.outcomes]


def outcomes(runs: Mapping[Draw, tuple[Run, ...]], reading: Reading) -> list[Array]:
    """Of the task or of each member: int8 [S, I], 1 where draw s is right on example i."""
    members = zip(*runs.values(), strict=True)
    return [np.stack([run.correct(reading.step(run)) for run in draws]) for draws in members]


def shared(*parts: Measured) -> list[Draw]:
    """The draws that all parts have. What no seed changes has those of all seeds."""
    most = max(parts, key=lambda part: len(part.runs))
    return [draw for draw in most.runs if all(part.has(draw) for part in parts)]


def paired(parts: Mapping[Key, Measured]) -> dict[Key, Measured]:
    """The parts that have runs, each with those draws alone that all of these have.

    Means that stand side by side are then of the same demonstrations. Empty if no draw is common.
    """
    run = {key: part for key, part in parts.items() if part.runs}
    draws = shared(*run.values()) if run else []
    return {key: part.only(draws) for key, part in run.items()} if draws else {}


def sizes(setting: Setting) -> list[float]:
    """How many test examples the data of each member have, however many a run used."""
    return [float(config.task.rows["test"]) for config in setting.configs]


def average(outcomes: Sequence[Array], weights: Sequence[float] | None = None) -> Estimate:
    """The accuracy on a task, or the mean over several, in per cent."""
    return percent(statistics.average_accuracy(outcomes, weights=weights))


def percent(estimate: Estimate) -> Estimate:
    """An estimate of a fraction, in per cent."""
    mean, low, high = (100 * value for value in (estimate.mean, estimate.low, estimate.high))
    return replace(estimate, mean=mean, low=low, high=high)
