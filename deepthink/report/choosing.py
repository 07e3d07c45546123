"""Which step size and which t: rules that see no label of dev or test, beside those that do.

A rule gives every (η, t) of a job a value, and the job counts at the largest. Of equals the
smallest t wins, then the smallest η. At t = 1 all η are plain in-context learning. Rules without
labels see the scores as the model gave them, also where accuracies are calibrated afterwards.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy.special import entr, softmax

from deepthink.config import overrides
from deepthink.report import statistics
from deepthink.report.calibrated import log_scores
from deepthink.report.layouts import POSITIONS, TASKS
from deepthink.report.measurements import Measured, Subject, average, percent, shared, subjects
from deepthink.report.readings import LAST, Reading
from deepthink.report.rivals import FROM_DEV
from deepthink.report.runs import Array, Draw, Run, Runs
from deepthink.report.statistics import FEWEST, Estimate
from deepthink.store import curves

EXPERIMENT = "step_sizes"
SIZES = tuple(sorted(overrides.axes(EXPERIMENT)["method.step_size"], key=float))
"""The η to choose from."""

Place = tuple[str, int]
"""η and t."""
Values = Mapping[int, float]
"""t → how well a rule likes it."""


@dataclass(frozen=True)
class Option:
    """The run of one η of a job, raw, and as calibration from dev would have it."""

    step_size: str
    raw: Run
    calibrated: Run

    def of(self, calibrated: bool) -> Run:
        """The raw or the calibrated run."""
        return self.calibrated if calibrated else self.raw

    @cached_property
    def dev_scores(self) -> Mapping[int, Array]:
        """By t, [M, C] the scores of the dev rows, as the model gave them."""
        found = log_scores(self.raw)
        assert found is not None  # since the run was calibrated
        return {step: splits["dev"] for step, splits in found.items()}


@dataclass(frozen=True)
class Rule:
    """A way to choose η and t. Two rules of one name are equal.

    sees: whose labels it sees. values: what it says of a run whose numbers are calibrated or not;
        None if the run lacks what the rule looks at. upper_bound: whether it looks at test, so that
        it is never tested.
    """

    name: str
    sees: str
    values: Callable[[Option, bool], Values | None] = field(compare=False)
    upper_bound: bool = False

    def choose(self, options: Sequence[Option], calibrated: bool) -> Place | None:
        """The chosen η and t; None if a run lacks what the rule looks at."""
        found = [(option, self.values(option, calibrated)) for option in options]
        if any(values is None for _, values in found):
            return None
        places = [
            (value, -t, -float(option.step_size), (option.step_size, t))
            for option, values in found
            for t, value in (values or {}).items()
        ]
        return max(places)[-1] if places else None


def _left_out(option: Option, calibrated: bool) -> Values | None:
    return {point.step: point.log_p for point in option.raw.record.left_out} or None


def _accuracy(split: str) -> Callable[[Option, bool], Values | None]:
    """Accuracy on a split, raw or calibrated as the numbers that are made."""

    def values(option: Option, calibrated: bool) -> Values:
        points = curves.of_split(option.of(calibrated).record.curve, split)
        return {point.step: point.accuracy for point in points}

    return values


def _of_dev_scores(value: Callable[[Array], float]) -> Callable[[Option, bool], Values | None]:
    def values(option: Option, calibrated: bool) -> Values:
        return {step: value(scores) for step, scores in option.dev_scores.items()}

    return values


def evenness(scores: Array) -> float:
    """The entropy of the mean label distribution over rows of scores [M, C], in nats.

    It is log C where all labels are equally likely on average. Rows have no labels here.

    >>> round(evenness(np.log([[0.9, 0.1], [0.1, 0.9]])), 4)  # log 2
    0.6931
    """
    return float(entr(softmax(scores, axis=1).mean(axis=0)).sum())


def information(scores: Array) -> float:
    """The mutual information of row and label, in nats (Sorensen et al. 2022): H(mean) - mean H.

    It is high where labels are even on average and each row is sure of its own.

    >>> round(information(np.log([[0.5, 0.5], [0.5, 0.5]])), 6)
    0.0
    """
    each = entr(softmax(scores, axis=1)).sum(axis=1).mean()
    return evenness(scores) - float(each)


def fixed(step_size: str, step: int) -> Rule:
    """The rule that takes this η and t, whatever the run says."""

    def values(option: Option, calibrated: bool) -> Values:
        return {step: 0.0} if option.step_size == step_size else {}

    return Rule(f"η = {step_size}, t = {step}", "none", values)


LABEL_FREE = (
    Rule("leave-one-out", "the demonstrations'", _left_out),
    Rule("evenness on dev", "none", _of_dev_scores(evenness)),
    Rule("mutual information on dev", "none", _of_dev_scores(information)),
)
BY_DEV = Rule("dev accuracy", "dev's", _accuracy("dev"))
ORACLE = Rule("oracle (upper bound)", "test's", _accuracy("test"), upper_bound=True)
RULES = (*LABEL_FREE, fixed(SIZES[0], 5), fixed(SIZES[-1], 5), BY_DEV, ORACLE)


@dataclass(frozen=True)
class Chosen:
    """What a rule gives, task by task, on the same draws for every task.

    places: the chosen η and t of each task's draws. chosen, plain: for each task [S, I] of 0 and 1,
    right or wrong on test at the chosen place and at t = 1.
    """

    rule: Rule
    places: tuple[tuple[Place, ...], ...]
    chosen: tuple[Array, ...]
    plain: tuple[Array, ...]

    @cached_property
    def accuracy(self) -> Estimate:
        """The mean accuracy over tasks, in per cent."""
        return average(self.chosen)

    @cached_property
    def gain(self) -> Estimate:
        """How far it is ahead of t = 1 on average over tasks, in points; no p of an upper bound."""
        return self._gain(self.chosen, self.plain)

    @cached_property
    def gains(self) -> tuple[Estimate, ...]:
        """The same for each task."""
        pairs = zip(self.chosen, self.plain, strict=True)
        return tuple(self._gain([chosen], [plain]) for chosen, plain in pairs)

    def _gain(self, chosen: Sequence[Array], plain: Sequence[Array]) -> Estimate:
        estimate = percent(statistics.average_difference(chosen, plain))
        return statistics.tested(estimate, not self.rule.upper_bound)

    @property
    def counts(self) -> Counter[Place]:
        """How often which η and t were chosen; all η of t = 1 are one."""
        every = (place for task in self.places for place in task)
        return Counter(("", 1) if t == 1 else (size, t) for size, t in every)


@dataclass(frozen=True)
class Choices:
    """What every rule gives on one subject, at one kind of positions, raw or calibrated.

    sizes: the η that all these tasks were run at. chosen: the rules that every run serves.
    grid: every fixed η and t ≥ 2 that was scored; no rule's choice, since it is read off test.
    """

    subject: Subject
    positions: str
    calibrated: bool
    tasks: tuple[str, ...]
    sizes: tuple[str, ...]
    chosen: tuple[Chosen, ...]
    grid: Mapping[Place, Chosen]

    def of(self, rule: Rule) -> Chosen | None:
        """What a rule gives; None if it could not be applied."""
        return next((each for each in self.chosen if each.rule == rule), None)


def every(runs: Runs) -> list[Choices]:
    """The choices on every subject and at both kinds of positions, raw and calibrated."""
    return [
        choices
        for subject in subjects(runs, EXPERIMENT)
        for positions in POSITIONS
        for choices in of_subject(subject, positions)
    ]


def of_subject(subject: Subject, positions: str) -> Iterator[Choices]:
    """What every rule gives, raw, then calibrated; nothing unless tasks share two η or more.

    Of three η or more, one of few draws is left out where it would leave too few draws to test.
    """
    raw, corrected = (
        {size: parts(subject, size, positions, reading) for size in SIZES}
        for reading in (LAST, LAST.after(FROM_DEV))
    )
    tasks = [task for task in TASKS if any(corrected[size][task].runs for size in SIZES)]
    sizes = [size for size in SIZES if all(corrected[size][task].runs for task in tasks)]
    if not tasks or len(sizes) < 2:
        return
    draws = _draws(corrected, sizes, tasks)
    while len(draws) < FEWEST and len(sizes) > 2:
        sizes.remove(min(sizes, key=lambda size: len(_draws(corrected, [size], tasks))))
        draws = _draws(corrected, sizes, tasks)
    jobs = [
        [
            [
                Option(size, *(by_size[size][task].runs[draw][0] for by_size in (raw, corrected)))
                for size in sizes
            ]
            for draw in draws
        ]
        for task in tasks
    ]
    if not draws:
        return
    scored = (set(option.raw.steps) for task in jobs for job in task for option in job)
    late = sorted(set.intersection(*scored) - {1})
    places = [(size, t) for size in sizes for t in late]
    for calibrated in (False, True):
        fixed_ones = {place: _chosen(fixed(*place), jobs, calibrated) for place in places}
        chosen = [_chosen(rule, jobs, calibrated) for rule in RULES]
        yield Choices(
            subject, positions, calibrated, tuple(tasks), tuple(sizes),
            tuple(each for each in chosen if each is not None),
            {place: each for place, each in fixed_ones.items() if each is not None},
        )  # fmt: skip


def _draws(
    found: Mapping[str, Mapping[str, Measured]], sizes: Sequence[str], tasks: Sequence[str]
) -> list[Draw]:
    """The draws that these η all have of all these tasks."""
    return shared(*(found[size][task] for size in sizes for task in tasks))


def parts(
    subject: Subject, step_size: str, positions: str, reading: Reading
) -> dict[str, Measured]:
    """The runs of one η by task."""
    axes = {"method.step_size": step_size, "method.positions": positions}
    found = subject.measure_tasks(EXPERIMENT, reading, TASKS, **axes)
    return dict(zip(TASKS, found, strict=True))


def _chosen(
    rule: Rule, tasks: Sequence[Sequence[Sequence[Option]]], calibrated: bool
) -> Chosen | None:
    """A rule applied to each job; tasks: of each task its draws, of each draw its options."""
    places = [[rule.choose(options, calibrated) for options in task] for task in tasks]
    found = tuple(tuple(place for place in task if place is not None) for task in places)
    if any(len(of) < len(task) for of, task in zip(found, tasks, strict=True)):
        return None
    chosen = tuple(
        np.stack([_outcome(job, place, calibrated) for job, place in zip(task, of, strict=True)])
        for task, of in zip(tasks, found, strict=True)
    )
    plain = (np.stack([job[0].of(calibrated).correct(1) for job in task]) for task in tasks)
    return Chosen(rule, found, chosen, tuple(plain))


def _outcome(options: Sequence[Option], place: Place, calibrated: bool) -> Array:
    size, step = place
    (option,) = (option for option in options if option.step_size == size)
    return option.of(calibrated).correct(step)
